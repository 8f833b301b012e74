/** The chosen symbol: its figures, its chart, and the history that the chart begins with. */
import { Bars } from "./bars.js";
import { formatChange, formatCompact, formatCount, formatLeast, formatTime } from "./format.js";
import { NONE, write } from "./row.js";

/** The newest ticks that are asked for when a symbol is chosen. */
const HISTORY_TICKS = 20_000;

/** Ticks that wait while the history is on its way; a history that takes longer is done without. */
const MOST_WAITING = 20_000;

const DIRECTIONS = { up: "▲", down: "▼" };

export class SymbolDetail {
  #root;
  #painter;
  #chart = null;
  #asLine = false;
  #palette = null;
  #state = null;
  #bars = null;
  #waiting = null; // ticks and gaps behind the history, in their order, while it is asked for; else null
  #pointed = null; // the bar under the crosshair
  #history;
  #interval_s;
  #historyText = "";
  #historyFailed = false;
  #awaitsFirst = false; // whether the history is to be asked for as soon as it is known how far the symbol has got
  #paint = () => this.#paintAll();

  /**
   * @param options.root      the section, with an element per figure: `[data-figure]`
   * @param options.painter   a `Painter`
   * @param options.interval_s       of the bars
   * @param options.history   async (symbol, after_seq, to_seq, onPage) => …: what the gateway keeps, as MarketWatch has it
   */
  constructor({ root, painter, interval_s, history }) {
    this.#root = root;
    this.#painter = painter;
    this.#interval_s = interval_s;
    this.#history = history;
  }

  /** Draw with chart.js's `PriceChart`; until then there are figures only. */
  useChart(PriceChart) {
    this.#chart = new PriceChart({
      container: this.#root.querySelector(".chart"),
      palette: this.#palette,
      onPoint: (bar) => {
        this.#pointed = bar;
        this.changed();
      },
    });
    this.#chart.setLine(this.#asLine);
    this.#chart.show(this.#bars);
    this.changed();
  }

  /** The symbol that is shown, or null. */
  get symbol() {
    return this.#state?.symbol ?? null;
  }

  /** Show a symbol's state, null for none. */
  show(state) {
    if (state === this.#state) {
      return;
    }
    this.#state = state;
    this.#root.hidden = state === null;
    if (state === null) {
      this.#begin(null);
      return;
    }
    write(this.#root.querySelector("h2"), state.symbol);
    this.#root.querySelector(".chart").setAttribute("aria-label", `Chart of ${state.symbol}; its figures are above it`);
    this.#begin(new Bars(this.#interval_s));
    if (state.seq === null) {
      this.#awaitsFirst = true;
    } else {
      this.#loadHistory(state.seq);
    }
    this.changed();
  }

  /** Ask for the history again, if it could not be had before: there is a connection. */
  connected() {
    if (this.#state !== null && this.#historyFailed && this.#state.seq !== null) {
      this.#begin(new Bars(this.#interval_s));
      this.#loadHistory(this.#state.seq);
    }
  }

  /** Take a tick of the chosen symbol, which its state has taken before. */
  takeTick(tick) {
    if (this.#awaitsFirst) {
      this.#awaitsFirst = false;
      this.#loadHistory(tick.seq, tick);
    } else {
      this.#take({ tick });
    }
  }

  /** Take note of missing trades of the chosen symbol; `count` is null where nobody knows how many. */
  takeGap(count) {
    this.#take({ count });
  }

  /** Have the figures painted. */
  changed() {
    this.#painter.ask(this.#paint);
  }

  setInterval(interval_s) {
    this.#interval_s = interval_s;
    if (this.#bars !== null) {
      this.#bars.interval_s = interval_s;
      this.#chart?.show(this.#bars);
      this.changed();
    }
  }

  setLine(asLine) {
    this.#asLine = asLine;
    this.#chart?.setLine(asLine);
  }

  /** Draw in these colours. */
  setPalette(palette) {
    this.#palette = palette;
    this.#chart?.setPalette(palette);
  }

  /** Show the newest bar. */
  scrollToNow() {
    this.#chart?.scrollToNow();
  }

  #begin(bars) {
    this.#bars = bars;
    this.#waiting = this.#pointed = null;
    this.#historyFailed = this.#awaitsFirst = false;
    this.#historyText = "";
    this.#chart?.show(bars);
  }

  #take(event) {
    if (this.#waiting === null) {
      apply(this.#bars, event);
    } else {
      this.#waiting.push(event);
      if (this.#waiting.length > MOST_WAITING) {
        this.#endHistory(this.#bars, "Earlier trades did not come in time");
      }
    }
    this.changed();
  }

  /**
   * Everything up to the newest tick is history, and everything behind it comes: so nothing is drawn twice. Without a history
   * the bars begin with `first`.
   */
  async #loadHistory(to_seq, first = null) {
    const { symbol } = this.#state;
    const bars = this.#bars;
    this.#waiting = [];
    this.#historyText = "Asking for earlier trades…";
    let begun = false;
    const onPage = ({ events, missing }) => {
      if (bars !== this.#bars || this.#waiting === null) {
        return false;
      }
      for (const event of inOrder(events, missing, to_seq)) {
        // What is missing before the first tick that is kept is not missing, but earlier.
        begun ||= event.tick !== undefined;
        if (begun) {
          apply(bars, event);
        }
      }
      this.changed();
      return true;
    };
    let problem = "";
    try {
      await this.#history(symbol, Math.max(0, to_seq - HISTORY_TICKS), to_seq, onPage);
    } catch (error) {
      problem = `Earlier trades could not be had: ${error?.error ?? error?.message ?? error}`;
    }
    if (!begun && first !== null && bars === this.#bars && this.#waiting !== null) {
      bars.take(first);
    }
    this.#endHistory(bars, problem);
  }

  #endHistory(bars, problem) {
    if (bars !== this.#bars || this.#waiting === null) {
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#historyText = problem;
    this.#historyFailed = problem !== "";
    waiting.forEach((event) => apply(bars, event));
    this.changed();
  }

  #paintAll() {
    const state = this.#state;
    if (state === null) {
      return;
    }
    const { price, direction, priceColumn, volumeColumn, book, day, change } = state;
    const figure = (name, value, text) => write(this.#root.querySelector(`[data-figure="${name}"]`), value === null ? NONE : text());
    const inPrice = (value) => priceColumn.rounded(value);
    const inVolume = (value) => volumeColumn.rounded(value);
    figure("price", price, () => inPrice(price));
    write(this.#root.querySelector('[data-figure="arrow"]'), direction === null ? "" : DIRECTIONS[direction]);
    figure("change", change, () => formatChange(change));
    figure("open", day, () => inPrice(day.open));
    figure("high", day, () => inPrice(day.high));
    figure("low", day, () => inPrice(day.low));
    figure("day-volume", day, () => formatCompact(day.volume));
    figure("quote-volume", day, () => formatCompact(day.quote_volume));
    figure("bid", book, () => inPrice(book.bid));
    figure("ask", book, () => inPrice(book.ask));
    figure("bid-volume", book, () => inVolume(book.bid_volume));
    figure("ask-volume", book, () => inVolume(book.ask_volume));
    figure("spread", book, () => `${inPrice(book.ask - book.bid)} (${basisPoints(book)} bp)`);
    const trade = () => `${state.side === "buy" ? "bought" : "sold"} ${inVolume(state.volume)} at ${formatTime(state.ts)}`;
    write(this.#root.querySelector('[data-figure="trade"]'), state.volume === null ? "" : trade());
    figure("merged", state.merged, () => formatCount(state.merged));
    figure("missed", state.missed, () => formatLeast(state.missed, state.lostUnknown));
    figure("unheard", state.unheard, () => formatCount(state.unheard));
    const heading = this.#root.querySelector(".quote");
    heading.dataset.direction = direction ?? "";
    const sign = change === null ? "" : change > 0 ? "up" : "down";
    this.#root.querySelector('[data-figure="change"]').dataset.direction = sign;
    this.#chart?.setDecimals(priceColumn.decimals, inPrice);
    this.#chart?.draw();
    this.#paintBar();
  }

  /** Say in words what the crosshair is at, and else the newest bar. */
  #paintBar() {
    const bar = this.#pointed === null ? this.#bars.newest : this.#bars.at(this.#pointed.time);
    const { priceColumn, volumeColumn } = this.#state;
    let text = "No trade yet";
    if (bar !== null) {
      const price = (name) => `${name[0].toUpperCase()}\u00a0${priceColumn.rounded(bar[name])}`;
      const trades = `${formatCount(bar.trades)}\u00a0${bar.trades === 1 ? "trade" : "trades"}`;
      const missing = bar.missing === 0 ? "" : `, ${bar.missing === null ? "an unknown number" : formatCount(bar.missing)} missing`;
      text = [
        formatTime(bar.time * 1_000),
        ...["open", "high", "low", "close"].map(price),
        `V\u00a0${volumeColumn.rounded(bar.volume)}`,
        trades + missing,
      ].join("  ");
    }
    write(this.#root.querySelector(".bar-text"), text);
    write(this.#root.querySelector(".history-text"), this.#historyText);
  }
}

function basisPoints({ bid, ask }) {
  return (((ask - bid) / ((ask + bid) / 2)) * 10_000).toFixed(2);
}

function apply(bars, { tick, count }) {
  if (tick === undefined) {
    bars.takeGap(count);
  } else {
    bars.take(tick);
  }
}

/** Return a replay's ticks, and the gaps between them, up to a number. */
function inOrder(events, missing, to_seq) {
  const ticks = events.map((tick) => ({ seq: tick.seq, tick }));
  const gaps = missing.map(([from, to]) => ({ seq: from, count: Math.min(to, to_seq) - from + 1 }));
  return [...ticks, ...gaps].filter(({ seq }) => seq <= to_seq).sort((one, other) => one.seq - other.seq);
}
