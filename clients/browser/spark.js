/** A symbol's way over the last two minutes, in a fixed number of points. `Spark` is pure; `drawSpark` draws one on a canvas. */

export const POINTS = 60;
export const POINT_MS = 2_000;

/** The last price of each of the last `POINTS` intervals. */
export class Spark {
  #prices = new Float64Array(POINTS).fill(NaN);
  #torn = new Uint8Array(POINTS);
  #newest = -1;

  /** Take a price of an exchange's time in ms; `torn` tells that trades are missing before it. */
  take(ts_ms, price, torn = false) {
    const point = Math.floor(ts_ms / POINT_MS);
    if (!Number.isFinite(point) || point <= this.#newest - POINTS) {
      return;
    }
    // What lies between has had no trade.
    for (let between = Math.max(this.#newest + 1, point - POINTS + 1); between <= point; between += 1) {
      this.#prices[between % POINTS] = NaN;
      this.#torn[between % POINTS] = 0;
    }
    this.#newest = Math.max(this.#newest, point);
    this.#prices[point % POINTS] = price;
    if (torn) {
      this.#torn[point % POINTS] = 1;
    }
  }

  /** Return `[age, price, torn]` of each point that has one, the oldest first; `age` is in points before `now_ms`. */
  points(now_ms) {
    const now = Math.max(this.#newest, Math.floor(now_ms / POINT_MS));
    const points = [];
    for (let point = Math.max(0, now - POINTS + 1); point <= this.#newest; point += 1) {
      const price = this.#prices[point % POINTS];
      if (!Number.isNaN(price)) {
        points.push([now - point, price, this.#torn[point % POINTS] === 1]);
      }
    }
    return points;
  }
}

/** Draw a spark line on a canvas; where trades are missing the line is broken. `colors` has `up`, `down` and `muted`. */
export function drawSpark(canvas, points, colors) {
  const ratio = globalThis.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (points.length === 0) {
    return;
  }
  let low = Infinity;
  let high = -Infinity;
  for (const [, price] of points) {
    low = Math.min(low, price);
    high = Math.max(high, price);
  }
  const x = (age) => 1.5 + ((width - 4) * (POINTS - 1 - age)) / (POINTS - 1);
  const y = (price) => (high === low ? height / 2 : 2 + ((height - 4) * (high - price)) / (high - low));
  const [first] = points;
  const last = points[points.length - 1];
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.strokeStyle = last[1] === first[1] ? colors.muted : last[1] > first[1] ? colors.up : colors.down;
  context.beginPath();
  points.forEach(([age, price, torn], index) => {
    if (index === 0 || torn) {
      context.moveTo(x(age), y(price));
    } else {
      context.lineTo(x(age), y(price));
    }
  });
  context.stroke();
  context.fillStyle = context.strokeStyle;
  context.beginPath();
  context.arc(x(last[0]), y(last[1]), 1.75, 0, 2 * Math.PI);
  context.fill();
}
