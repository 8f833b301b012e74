/** What the page knows of the market, symbol by symbol. Pure: events and times go in, and nothing of it grows with time. */
import { NumberColumn } from "./format.js";
import { Spark } from "./spark.js";
import { UnheardTrades } from "./unheard.js";

/** A price that stood still for so long is worth a highlight when it moves; one that always moves is not. */
const CALM_MS = 1_000;

/** One symbol. */
export class SymbolState {
  price = null;
  /** "up" or "down", by the last price that differed. */
  direction = null;
  /** Of the last trade, or of those merged into it. */
  volume = null;
  side = null;
  /** The exchange's time of the last trade, ms since 1970. */
  ts = null;
  seq = null;
  book = null;
  /** The last 24 hours, where the exchange tells. */
  day = null;
  /** When the price last moved after it had stood still for a while, as performance.now(). */
  moved_ms = null;
  /** Trades that came summed up in another, that the gateway left out, and that never came for another reason. */
  merged = 0;
  dropped = 0;
  lost = 0;
  /** Whether some are missing of which nobody knows how many: the feed has begun to count afresh. */
  lostUnknown = false;
  /** Trades that no feed got, so that nobody has them. */
  unheard = 0;
  silent = false;
  spark = new Spark();
  /** Prices, best prices and the day's share their decimals, so that they stand below each other. */
  priceColumn = new NumberColumn();
  volumeColumn = new NumberColumn();
  #changed_ms = -Infinity;
  #torn = false;
  #ids = new UnheardTrades();

  constructor(symbol) {
    this.symbol = symbol;
  }

  /** Take the symbol's next tick; return how many trades before it no feed got. */
  takeTick(tick, now_ms) {
    const { price, merged = 1, dropped = 0 } = tick;
    const unheard = this.#ids.take(tick);
    if (this.price !== null && price !== this.price) {
      this.direction = price > this.price ? "up" : "down";
      if (now_ms - this.#changed_ms > CALM_MS) {
        this.moved_ms = now_ms;
      }
      this.#changed_ms = now_ms;
    }
    this.price = price;
    this.volume = tick.volume;
    this.side = tick.side;
    this.ts = tick.ts;
    this.seq = tick.seq;
    this.merged += merged - 1;
    this.dropped += dropped;
    this.priceColumn.learn(price);
    this.volumeColumn.learn(tick.volume);
    this.unheard += unheard;
    this.spark.take(tick.ts, price, this.#torn || dropped > 0 || unheard > 0);
    this.#torn = false;
    return unheard;
  }

  /** Take note that trades are missing before the next tick; `count` is null where nobody knows how many. */
  takeGap(count) {
    this.lost += count ?? 0;
    this.#torn = true;
    if (count === null) {
      this.lostUnknown = true;
      this.#ids.restart();
    }
  }

  takeBook(book) {
    this.book = book;
    this.priceColumn.learn(book.bid);
    this.priceColumn.learn(book.ask);
    this.volumeColumn.learn(book.bid_volume);
    this.volumeColumn.learn(book.ask_volume);
  }

  takeDay(day) {
    this.day = day;
    this.priceColumn.learn(day.last);
    this.priceColumn.learn(day.high);
    this.priceColumn.learn(day.low);
  }

  /** The price's change over the last 24 hours as a share, or null. */
  get change() {
    return this.day !== null && this.day.open > 0 ? this.day.last / this.day.open - 1 : null;
  }

  /** Volume of the last 24 hours in the quoted asset, or null. */
  get dayVolume() {
    return this.day?.quote_volume ?? null;
  }

  get bid() {
    return this.book?.bid ?? null;
  }

  get ask() {
    return this.book?.ask ?? null;
  }

  /** Trades that this page has not seen. */
  get missed() {
    return this.dropped + this.lost;
  }
}

/** All symbols, and what they add up to. */
export class MarketState {
  #symbols = new Map();
  #listed = [];
  #silent = new Set(); // names, also of symbols that are yet to be listed
  /** Since the page was opened. */
  totals = { trades: 0, merged: 0, dropped: 0, lost: 0, unheard: 0 };
  /** Whether, besides, some are missing of which nobody knows how many. */
  lostUnknown = false;

  /** The symbols that the gateway lists, in its order. */
  get listed() {
    return this.#listed;
  }

  /** List these symbols; what is known of others is let go. */
  list(names) {
    const kept = new Map(names.map((name) => [name, this.of(name)]));
    this.#symbols = kept;
    this.#listed = [...kept.values()];
  }

  /** Return a symbol's state, made if need be: an event may come before its symbol is listed. */
  of(name) {
    let state = this.#symbols.get(name);
    if (state === undefined) {
      state = new SymbolState(name);
      state.silent = this.#silent.has(name);
      this.#symbols.set(name, state);
    }
    return state;
  }

  takeTick(tick, now_ms) {
    const state = this.of(tick.symbol);
    const { merged = 1, dropped = 0 } = tick;
    this.totals.trades += merged;
    this.totals.merged += merged - 1;
    this.totals.dropped += dropped;
    this.totals.unheard += state.takeTick(tick, now_ms);
    return state;
  }

  /** Take a gap as MarketWatch tells it. */
  takeGap({ symbol, from_seq, to_seq }) {
    const state = this.of(symbol);
    const count = to_seq === null ? null : to_seq - from_seq + 1;
    this.totals.lost += count ?? 0;
    this.lostUnknown ||= count === null;
    state.takeGap(count);
    return state;
  }

  takeBook(book) {
    const state = this.of(book.symbol);
    state.takeBook(book);
    return state;
  }

  takeDay(day) {
    const state = this.of(day.symbol);
    state.takeDay(day);
    return state;
  }

  /** Mark these symbols as silent at the exchange's side, and no others; return those for which that has changed. */
  markSilent(names) {
    this.#silent = new Set(names);
    const changed = [...this.#symbols.values()].filter((state) => state.silent !== this.#silent.has(state.symbol));
    changed.forEach((state) => {
      state.silent = !state.silent;
    });
    return changed;
  }
}
