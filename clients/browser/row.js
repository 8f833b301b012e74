/** One symbol's row of the table. Values reach the document by text only, and only those that differ from what is there. */
import { formatAge, formatChange, formatCompact, formatLeast, isAhead } from "./format.js";
import { drawSpark } from "./spark.js";

export const NONE = "–";

const ARROWS = { up: "▲", down: "▼" };

/** How long a price that moved is highlighted. */
const HIGHLIGHT_MS = 600;

/** Write a text into an element if it is another one. */
export function write(element, text) {
  if (element.firstChild === null) {
    element.textContent = text;
  } else if (element.firstChild.data !== text) {
    element.firstChild.data = text;
  }
}

export class Row {
  element = document.createElement("tr");
  button = document.createElement("button");
  /** Whether something of it differs from what is painted, and whether it is in view. */
  dirty = true;
  inView = false;
  /** Characters of the longest of its prices, as painted. */
  priceLength = 0;
  #state;
  #shown = {}; // what the attributes were set to, so that they need not be read
  #cells = {};
  #arrow = document.createElement("span");
  #price = document.createElement("span");
  #canvas = null;

  constructor(state) {
    this.#state = state;
    this.element.dataset.symbol = state.symbol;
    this.element.setAttribute("role", "row");
    const heading = document.createElement("th");
    heading.scope = "row";
    heading.className = "symbol";
    heading.setAttribute("role", "rowheader");
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.textContent = state.symbol;
    this.button.title = `Show the chart of ${state.symbol}`;
    heading.append(this.button);
    this.element.append(heading);
    for (const key of ["price", "change", "trend", "day-volume", "bid", "ask", "age", "missed"]) {
      const cell = this.element.insertCell();
      cell.className = key === "trend" ? key : `number ${key}`;
      cell.setAttribute("role", "cell");
      this.#cells[key] = cell;
    }
    this.#arrow.className = "arrow";
    this.#arrow.setAttribute("role", "img");
    this.#price.className = "value";
    this.#cells.price.append(this.#arrow, this.#price);
  }

  get state() {
    return this.#state;
  }

  /** Paint what has changed of the values; `now_ms` as performance.now(), `exchange_ms` is about the exchange's time. */
  paint(now_ms, exchange_ms) {
    this.dirty = false;
    const { price, direction, priceColumn, change, dayVolume, bid, ask, missed, lostUnknown, moved_ms, silent } = this.#state;
    const [priceText, bidText, askText] = [price, bid, ask].map((value) => (value === null ? NONE : priceColumn.rounded(value)));
    this.priceLength = Math.max(priceText.length, bidText.length, askText.length);
    write(this.#price, priceText);
    write(this.#cells.change, change === null ? NONE : formatChange(change));
    write(this.#cells["day-volume"], dayVolume === null ? NONE : formatCompact(dayVolume));
    write(this.#cells.bid, bidText);
    write(this.#cells.ask, askText);
    write(this.#cells.missed, formatLeast(missed, lostUnknown));
    this.#set("direction", direction, () => {
      this.#cells.price.dataset.direction = direction;
      this.#arrow.textContent = ARROWS[direction];
      this.#arrow.setAttribute("aria-label", direction);
    });
    const trend = change === null ? 0 : Math.sign(Math.round(change * 10_000));
    this.#set("trend", trend, () => {
      this.#cells.change.classList.toggle("up", trend > 0);
      this.#cells.change.classList.toggle("down", trend < 0);
    });
    this.#set("some", missed > 0 || lostUnknown, (some) => this.#cells.missed.classList.toggle("some", some));
    this.#set("silent", silent, () => {
      this.element.classList.toggle("stale", silent);
      this.#cells.age.title = silent ? "The exchange has sent nothing for this symbol lately" : "";
    });
    this.#set("moved", moved_ms !== null && now_ms - moved_ms < HIGHLIGHT_MS, (moved) =>
      this.#cells.price.classList.toggle("moved", moved),
    );
    this.paintAge(now_ms, exchange_ms);
  }

  /** Paint how old the last trade is. One that was kept for who joins is as old as it is, however lately it came. */
  paintAge(now_ms, exchange_ms) {
    const { ts, moved_ms } = this.#state;
    write(this.#cells.age, ts === null || isAhead(exchange_ms - ts) ? NONE : formatAge(exchange_ms - ts));
    if (this.#shown.moved && now_ms - moved_ms >= HIGHLIGHT_MS) {
      this.#shown.moved = false;
      this.#cells.price.classList.remove("moved");
    }
  }

  /** Draw the spark line; `exchange_ms` is about the exchange's time. */
  paintSpark(exchange_ms, palette) {
    if (this.#canvas === null) {
      this.#canvas = document.createElement("canvas");
      this.#canvas.setAttribute("aria-hidden", "true");
      this.#cells.trend.append(this.#canvas);
    }
    drawSpark(this.#canvas, this.#state.spark.points(exchange_ms), palette);
  }

  /** Mark the row as the one whose chart is shown. */
  select(selected) {
    this.element.classList.toggle("selected", selected);
    this.button.setAttribute("aria-pressed", String(selected));
  }

  #set(name, value, apply) {
    if (this.#shown[name] !== value && value !== null) {
      this.#shown[name] = value;
      apply(value);
    }
  }
}
