/**
 * The table of prices: takes events as fast as they come, paints at most once per animation frame.
 *
 * Between two frames it keeps only the newest tick and the newest book of each symbol, so it is bounded by the symbols
 * also while the tab is hidden and no frame comes. Knows nothing of connections. Values reach the document by
 * textContent only.
 */
import { NumberColumn, formatAge, formatCount } from "./format.js";

/** How often ages are repainted. */
const AGE_INTERVAL_MS = 500;

const ARROWS = { up: "▲", down: "▼" };

export class TickerTable {
  #table;
  #body;
  #rows = new Map();
  #pendingTicks = new Map();
  #pendingBooks = new Map();
  #staleSymbols = new Set();
  #frameRequested = false;
  #filter = "";
  #onVisibleCount;

  /** Fill the given `<table>`; `onVisibleCount` is told how many rows pass the filter whenever that may have changed. */
  constructor(table, onVisibleCount) {
    this.#table = table;
    this.#body = table.tBodies[0];
    this.#onVisibleCount = onVisibleCount;
    setInterval(() => this.#paintAges(), AGE_INTERVAL_MS);
  }

  get symbolCount() {
    return this.#rows.size;
  }

  /** Show exactly these symbols, in this order; rows that stay keep their values. */
  setSymbols(symbols) {
    const kept = new Map(symbols.map((symbol) => [symbol, this.#rows.get(symbol) ?? new Row(symbol)]));
    this.#rows = kept;
    this.#body.replaceChildren(...[...kept.values()].map((row) => row.element));
    this.#applyFilter();
    this.#paintStale();
    this.#requestFrame();
  }

  takeTick(tick, missed) {
    const overtaken = this.#pendingTicks.get(tick.symbol);
    this.#pendingTicks.set(tick.symbol, { tick, missed: missed + (overtaken?.missed ?? 0), arrived_ms: performance.now() });
    this.#requestFrame();
  }

  takeBook(book) {
    this.#pendingBooks.set(book.symbol, book);
    this.#requestFrame();
  }

  /** Mark these symbols as silent at the exchange's side, and no others. */
  markStale(symbols) {
    this.#staleSymbols = new Set(symbols);
    this.#paintStale();
  }

  /** Tell the eye that nothing arrives: whole table dimmed. */
  setFrozen(frozen) {
    this.#table.classList.toggle("frozen", frozen);
  }

  /** Show only symbols that contain one of the space-separated words; an empty text shows all. */
  setFilter(text) {
    this.#filter = text;
    this.#applyFilter();
  }

  #applyFilter() {
    const words = this.#filter.toUpperCase().split(/\s+/).filter(Boolean);
    let visible = 0;
    for (const [symbol, row] of this.#rows) {
      row.element.hidden = words.length > 0 && !words.some((word) => symbol.includes(word));
      visible += row.element.hidden ? 0 : 1;
    }
    this.#onVisibleCount(visible);
  }

  #requestFrame() {
    if (!this.#frameRequested) {
      this.#frameRequested = true;
      requestAnimationFrame(() => this.#paint());
    }
  }

  #paint() {
    this.#frameRequested = false;
    // An event may come before its symbol is listed: it waits for its row.
    for (const [symbol, pending] of this.#pendingTicks) {
      const row = this.#rows.get(symbol);
      if (row) {
        row.paintTick(pending);
        this.#pendingTicks.delete(symbol);
      }
    }
    for (const [symbol, book] of this.#pendingBooks) {
      const row = this.#rows.get(symbol);
      if (row) {
        row.paintBook(book);
        this.#pendingBooks.delete(symbol);
      }
    }
  }

  #paintStale() {
    for (const [symbol, row] of this.#rows) {
      row.markStale(this.#staleSymbols.has(symbol));
    }
  }

  #paintAges() {
    const now_ms = performance.now();
    for (const row of this.#rows.values()) {
      row.paintAge(now_ms);
    }
  }
}

/** One symbol's row. */
class Row {
  element = document.createElement("tr");
  #priceCell = this.#addCell("price");
  #arrow = document.createElement("span");
  #price = document.createElement("span");
  #volumeCell = this.#addCell("volume");
  #bidCell = this.#addCell("bid");
  #askCell = this.#addCell("ask");
  #ageCell = this.#addCell("age");
  #missedCell = this.#addCell("missed");
  #priceColumn = new NumberColumn();
  #volumeColumn = new NumberColumn();
  #lastPrice = null;
  #arrived_ms = null;
  #missed = 0;

  constructor(symbol) {
    const heading = document.createElement("th");
    heading.scope = "row";
    heading.className = "symbol";
    heading.textContent = symbol;
    this.element.prepend(heading);
    this.element.dataset.symbol = symbol;
    this.#arrow.className = "arrow";
    this.#arrow.setAttribute("role", "img");
    this.#arrow.hidden = true;
    this.#price.className = "value";
    this.#price.textContent = "–";
    this.#priceCell.append(this.#arrow, this.#price);
    for (const cell of [this.#volumeCell, this.#bidCell, this.#askCell, this.#ageCell]) {
      cell.textContent = "–";
    }
    this.#missedCell.textContent = "0";
  }

  paintTick({ tick, missed, arrived_ms }) {
    const { price, volume } = tick;
    if (this.#lastPrice !== null && price !== this.#lastPrice) {
      this.#paintDirection(price > this.#lastPrice ? "up" : "down");
    }
    this.#lastPrice = price;
    this.#price.textContent = this.#priceColumn.format(price);
    this.#volumeCell.textContent = this.#volumeColumn.format(volume);
    this.#arrived_ms = arrived_ms;
    this.paintAge(performance.now());
    if (missed > 0) {
      this.#missed += missed;
      this.#missedCell.textContent = formatCount(this.#missed);
      this.#missedCell.classList.add("some");
    }
  }

  #paintDirection(direction) {
    if (this.#priceCell.dataset.direction !== direction) {
      this.#priceCell.dataset.direction = direction;
      this.#arrow.textContent = ARROWS[direction];
      this.#arrow.setAttribute("aria-label", direction);
      this.#arrow.hidden = false;
    }
    this.#priceCell.classList.add("moved");
  }

  paintBook({ bid, ask }) {
    this.#bidCell.textContent = this.#priceColumn.format(bid);
    this.#askCell.textContent = this.#priceColumn.format(ask);
  }

  /** Also ends the highlight of a price that moved before the last age interval. */
  paintAge(now_ms) {
    if (this.#arrived_ms === null) {
      return;
    }
    const age_ms = now_ms - this.#arrived_ms;
    const age = formatAge(age_ms);
    if (this.#ageCell.textContent !== age) {
      this.#ageCell.textContent = age;
    }
    if (age_ms > AGE_INTERVAL_MS / 2) {
      this.#priceCell.classList.remove("moved");
    }
  }

  markStale(stale) {
    this.element.classList.toggle("stale", stale);
    this.#ageCell.title = stale ? "The exchange has sent nothing for this symbol lately" : "";
  }

  #addCell(className) {
    const cell = this.element.insertCell();
    cell.className = className;
    return cell;
  }
}
