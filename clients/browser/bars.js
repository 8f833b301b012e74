/**
 * Ticks of one symbol as bars (open, high, low, close, volume) of an interval that can be changed. Pure.
 *
 * Kept are bars of a second, the newest `KEPT_S` of them; longer ones are made of these. An interval without a trade has no
 * bar, and one in which trades are missing says so, be it here or that no feed got them: nothing is drawn that was not seen.
 */
import { UnheardTrades } from "./unheard.js";

/** Seconds of bars that are kept. */
export const KEPT_S = 3_600;

/** A bar: `time` in s since 1970 where its interval begins, `trades` in it, and `missing` ones, null where nobody knows how many. */
function newBar(time, open) {
  return { time, open, high: open, low: open, close: open, volume: 0, trades: 0, missing: 0 };
}

/** Add up two counts of which one may be unknown. */
const plus = (one, other) => (one === null || other === null ? null : one + other);

export class Bars {
  #seconds = new Map(); // in the order of their time, by it
  #sorted = true;
  #last = null; // the newest second with a bar
  #missing = 0; // trades missing before the next tick
  #ids = new UnheardTrades();
  #interval_s;
  #changedFrom = Infinity;

  constructor(interval_s) {
    this.#interval_s = interval_s;
  }

  get interval_s() {
    return this.#interval_s;
  }

  set interval_s(interval_s) {
    this.#interval_s = interval_s;
    this.#changedFrom = -Infinity;
  }

  /** Take a tick, the symbol's next one. */
  take({ id, seq, ts, price, volume, high = price, low = price, merged = 1, dropped = 0 }) {
    const time = Math.floor(ts / 1_000);
    const missing = plus(this.#missing, dropped + this.#ids.take({ id, seq }));
    let bar = this.#seconds.get(time);
    if (bar === undefined) {
      // Of trades summed up in one tick the first price is not known: they go on where the bar before ended.
      const before = merged > 1 && missing === 0 ? this.#seconds.get(this.#last)?.close : undefined;
      bar = newBar(time, before === undefined ? (merged > 1 ? Math.min(high, Math.max(low, price)) : price) : before);
      this.#insert(bar);
    }
    bar.high = Math.max(bar.high, high);
    bar.low = Math.min(bar.low, low);
    bar.close = price;
    bar.volume += volume;
    bar.trades += merged;
    if (missing !== 0) {
      bar.missing = plus(bar.missing, missing);
      this.#missing = 0;
    }
    this.#touch(time);
  }

  /** Take note that trades are missing before the next tick, and how many; null where nobody knows. */
  takeGap(count) {
    this.#missing = plus(this.#missing, count);
    if (count === null) {
      this.#ids.restart();
    }
  }

  /** Trades that are known to be missing behind the last bar; null where nobody knows how many. */
  get missingAtEnd() {
    return this.#missing;
  }

  /** Where the first interval begins that has changed since this was asked last, s since 1970; Infinity if none. */
  takeChangedFrom() {
    const from = this.#changedFrom;
    this.#changedFrom = Infinity;
    return from === -Infinity || from === Infinity ? from : this.#begin(from);
  }

  /**
   * Return the bars from the interval of a time on, in s since 1970, at most `most` of them and then the newest: of an interval
   * without trades only `{time}`.
   */
  list(from_s, most) {
    const step = this.#interval_s;
    const times = this.#times();
    if (times.length === 0) {
      return [];
    }
    const end = this.#begin(times.at(-1));
    const begin = Math.max(this.#begin(Math.max(from_s, times[0])), end - (most - 1) * step);
    const bars = [];
    for (let time = begin; time <= end; time += step) {
      bars.push({ time });
    }
    for (let at = times.length - 1; at >= 0 && times[at] >= begin; at -= 1) {
      const second = this.#seconds.get(times[at]);
      const place = (this.#begin(second.time) - begin) / step;
      const bar = bars[place];
      bars[place] = bar.open === undefined ? { ...second, time: bar.time } : joined(second, bar);
    }
    return bars;
  }

  /** The bar of the newest interval with a trade, or null. */
  get newest() {
    return this.#last === null ? null : this.at(this.#begin(this.#last));
  }

  /** Return the bar of the interval that begins at a time, or null. */
  at(time) {
    let bar = null;
    for (const each of this.#times()) {
      if (this.#begin(each) === time) {
        const second = this.#seconds.get(each);
        bar = bar === null ? { ...second, time } : { ...joined(bar, second), time };
      }
    }
    return bar;
  }

  #begin(time) {
    return Math.floor(time / this.#interval_s) * this.#interval_s;
  }

  #touch(time) {
    this.#changedFrom = Math.min(this.#changedFrom, time);
  }

  #insert(bar) {
    this.#seconds.set(bar.time, bar);
    if (this.#last !== null && bar.time < this.#last) {
      this.#sorted = false; // the exchange's times went back
    } else {
      this.#last = bar.time;
    }
    const oldest = this.#seconds.keys().next().value;
    if (oldest <= this.#last - KEPT_S || this.#seconds.size > KEPT_S) {
      this.#seconds.delete(oldest);
    }
  }

  #times() {
    if (!this.#sorted) {
      this.#seconds = new Map([...this.#seconds].sort(([one], [other]) => one - other));
      this.#sorted = true;
    }
    return [...this.#seconds.keys()];
  }
}

/** Return two bars that follow on each other as one that begins with the first. */
function joined(first, second) {
  return {
    time: second.time,
    open: first.open,
    high: Math.max(first.high, second.high),
    low: Math.min(first.low, second.low),
    close: second.close,
    volume: first.volume + second.volume,
    trades: first.trades + second.trades,
    missing: plus(first.missing, second.missing),
  };
}
