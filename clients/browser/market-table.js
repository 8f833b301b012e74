/**
 * The table of all symbols: sorts, filters, follows the keyboard, and paints.
 *
 * - Painted is at most once per animation frame, and of the rows those that changed and are in view; of the others a few at a time.
 * - Rows are put in order at most once a second, and not while pointer or focus is among them: nobody should click on a row
 *   that has just moved away.
 * - It keeps a row per listed symbol and nothing per event, so it is bounded also while the tab is hidden and no frame comes.
 */
import { COLUMNS, UNSORTED, nextOrder, passes, sorted } from "./columns.js";
import { Row } from "./row.js";

const SORT_INTERVAL_MS = 1_000;

/** How often ages are looked at. */
const AGE_INTERVAL_MS = 500;

/** Names and prices of more characters make their columns wider. */
const LONG_SYMBOL = 10;
const LONG_PRICE = 10;

/** Rows out of view that are painted each time. */
const ROWS_ELSEWHERE = 20;

/** Spark lines drawn per frame: all in view are drawn anew within a few frames, not in one. */
const SPARKS_PER_FRAME = 8;
const SPARK_INTERVAL_MS = 2_000;

export class MarketTable {
  #table;
  #body;
  #painter;
  #on;
  #rows = new Map();
  #order = UNSORTED;
  #filter = "";
  #current = null; // the symbol whose button the tab key reaches
  #selected = null;
  #observer;
  #palette = null;
  #sparks = []; // rows whose spark line is due
  #exchangeTime_ms;
  #pointerInside = false;
  #turn = 0; // of the rows out of view
  #paint = () => this.#paintRows();
  #paintSparks = () => this.#drawSparks();

  /**
   * @param options.table     the <table>, with heads in the order of the rows' cells, each with a button and data-column
   * @param options.painter   a `Painter`
   * @param options.exchangeTime_ms  tells about the exchange's time, ms since 1970
   * @param options.onSelect  (symbol) => …: a row was chosen
   * @param options.onOrder   ({key, direction, held}) => …: the order was changed, or is held or no longer held
   * @param options.onVisible (count) => …: how many rows pass the filter, whenever that may have changed
   */
  constructor({ table, painter, exchangeTime_ms, onSelect, onOrder, onVisible }) {
    this.#table = table;
    this.#body = table.tBodies[0];
    this.#painter = painter;
    this.#exchangeTime_ms = exchangeTime_ms;
    this.#on = { select: onSelect, order: onOrder, visible: onVisible };
    this.#observer = new IntersectionObserver((entries) => this.#viewed(entries), { rootMargin: "120px" });
    for (const head of table.tHead.rows[0].cells) {
      head.querySelector("button")?.addEventListener("click", () => this.sortBy(nextOrder(this.#order, head.dataset.column)));
    }
    this.#body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row !== null) {
        this.select(row.dataset.symbol);
      }
    });
    this.#body.addEventListener("keydown", (event) => this.#keyDown(event));
    this.#body.addEventListener("pointerenter", () => this.#hold(true));
    this.#body.addEventListener("pointerleave", () => this.#hold(false));
    this.#body.addEventListener("focusin", (event) => this.#focused(event));
    this.#body.addEventListener("focusout", () => queueMicrotask(() => this.#tellOrder()));
    setInterval(() => this.#painter.ask(() => this.#paintAges()), AGE_INTERVAL_MS);
    setInterval(() => this.#held || this.#arrange(), SORT_INTERVAL_MS);
    setInterval(() => this.#sparksAreDue(), SPARK_INTERVAL_MS);
  }

  /** Show exactly these symbols' states, in this order where no other is chosen; rows that stay keep what they show. */
  setSymbols(states) {
    const rows = new Map();
    for (const state of states) {
      const known = this.#rows.get(state.symbol);
      rows.set(state.symbol, known?.state === state ? known : this.#addRow(state));
    }
    for (const [symbol, row] of this.#rows) {
      if (rows.get(symbol) !== row) {
        this.#observer.unobserve(row.element);
        row.element.remove();
      }
    }
    this.#rows = rows;
    this.#table.classList.toggle("long-symbols", states.some(({ symbol }) => symbol.length > LONG_SYMBOL));
    this.#arrange();
    this.#applyFilter();
  }

  /** Have a symbol's row painted, if it is listed. */
  changed(symbol) {
    const row = this.#rows.get(symbol);
    if (row !== undefined && !row.dirty) {
      row.dirty = true;
      if (row.inView) {
        this.#painter.ask(this.#paint);
      }
    }
  }

  /** Draw in these colours. */
  setPalette(palette) {
    this.#palette = palette;
    this.#sparksAreDue();
  }

  /** Tell the eye that nothing arrives: the whole table is dimmed. */
  setFrozen(frozen) {
    this.#table.classList.toggle("frozen", frozen);
  }

  /** Show only symbols that contain one of the space-separated words; an empty text shows all. */
  setFilter(text) {
    this.#filter = text;
    this.#applyFilter();
  }

  get order() {
    return this.#order;
  }

  /** Sort by `{key, direction}`, see columns.js. */
  sortBy(order) {
    this.#order = order;
    for (const head of this.#table.tHead.rows[0].cells) {
      if (head.dataset.column !== undefined) {
        head.setAttribute("aria-sort", head.dataset.column === order.key ? order.direction : "none");
      }
    }
    this.#arrange();
    this.#tellOrder();
  }

  /** Sort by the next column that is shown, in its first direction; after the last one as the gateway lists them. */
  sortByNext() {
    const shown = [...this.#table.tHead.rows[0].cells].filter((head) => head.checkVisibility()).map((head) => head.dataset.column);
    const at = COLUMNS.findIndex(({ key }) => key === this.#order.key);
    const next = COLUMNS.slice(at + 1).find(({ key }) => shown.includes(key));
    this.sortBy(next === undefined ? UNSORTED : nextOrder(UNSORTED, next.key));
  }

  /** Choose a symbol; does nothing if it is not listed. */
  select(symbol) {
    if (this.#rows.has(symbol)) {
      this.markSelected(symbol);
      this.#on.select(symbol);
    }
  }

  /** Mark a symbol as chosen, null for none. */
  markSelected(symbol) {
    this.#rows.get(this.#selected)?.select(false);
    this.#selected = symbol;
    this.#rows.get(symbol)?.select(true);
    this.#setCurrent(symbol);
  }

  /** Move the focus by so many rows, into the table if it is elsewhere. */
  moveFocus(step) {
    const visible = this.#visibleElements();
    if (visible.length === 0) {
      return;
    }
    const at = visible.findIndex((element) => element.dataset.symbol === this.#current);
    const inside = this.#body.contains(document.activeElement);
    const next = at < 0 ? 0 : inside ? Math.min(visible.length - 1, Math.max(0, at + step)) : at;
    this.#rows.get(visible[next].dataset.symbol).button.focus();
  }

  #addRow(state) {
    const row = new Row(state);
    row.select(state.symbol === this.#selected);
    this.#observer.observe(row.element);
    return row;
  }

  #visibleElements() {
    return [...this.#body.rows].filter((element) => !element.hidden);
  }

  #keyDown(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      this.moveFocus(step);
    }
  }

  #focused(event) {
    this.#setCurrent(event.target.closest("tr")?.dataset.symbol ?? null);
    this.#tellOrder();
  }

  /** Of all rows' buttons the tab key reaches one: the one that was used last, else the first. */
  #setCurrent(symbol) {
    const current = this.#rows.get(this.#current);
    if (current !== undefined) {
      current.button.tabIndex = -1;
    }
    const element = this.#visibleElements()[0];
    const next = this.#rows.get(symbol) ?? (element && this.#rows.get(element.dataset.symbol));
    this.#current = next?.state.symbol ?? null;
    if (next !== undefined) {
      next.button.tabIndex = 0;
    }
  }

  get #held() {
    // A click leaves the focus where it was too, but without showing it.
    return this.#pointerInside || this.#body.querySelector(":focus-visible") !== null;
  }

  #hold(pointerInside) {
    this.#pointerInside = pointerInside;
    this.#tellOrder();
  }

  #tellOrder() {
    this.#on.order({ ...this.#order, held: this.#held && this.#order.key !== null && this.#order.key !== "symbol" });
  }

  /** Put the rows in order, and move only those that are not where they belong; what has the focus keeps it. */
  #arrange() {
    const focused = this.#body.contains(document.activeElement) ? document.activeElement : null;
    let place = this.#body.firstElementChild;
    for (const { symbol } of sorted([...this.#rows.values()].map(({ state }) => state), this.#order)) {
      const { element } = this.#rows.get(symbol);
      if (element === place) {
        place = place.nextElementSibling;
      } else {
        this.#body.insertBefore(element, place);
      }
    }
    focused?.focus({ preventScroll: true });
  }

  #applyFilter() {
    let visible = 0;
    for (const [symbol, row] of this.#rows) {
      row.element.hidden = !passes(symbol, this.#filter);
      visible += row.element.hidden ? 0 : 1;
    }
    const current = this.#rows.get(this.#current);
    if (current === undefined || current.element.hidden) {
      this.#setCurrent(null);
    }
    this.#on.visible(visible);
  }

  #viewed(entries) {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rows.get(target.dataset.symbol);
      if (row?.element === target) {
        row.inView = isIntersecting;
        if (isIntersecting) {
          this.#sparks.push(row);
        }
      }
    }
    this.#painter.ask(this.#paint);
    this.#painter.ask(this.#paintSparks);
  }

  #paintRows() {
    const now_ms = performance.now();
    const exchange_ms = this.#exchangeTime_ms();
    let longest = 0;
    for (const row of this.#rows.values()) {
      if (row.dirty && row.inView) {
        row.paint(now_ms, exchange_ms);
        longest = Math.max(longest, row.priceLength);
      }
    }
    if (longest > LONG_PRICE) {
      this.#table.classList.add("long-prices");
    }
  }

  /** Besides the ages in view, values that changed elsewhere: who searches the page, or has it read out, finds them late, not never. */
  #paintAges() {
    const now_ms = performance.now();
    const exchange_ms = this.#exchangeTime_ms();
    const elsewhere = [];
    for (const row of this.#rows.values()) {
      if (row.inView) {
        row.paintAge(now_ms, exchange_ms);
      } else {
        elsewhere.push(row);
      }
    }
    // In turn, since those at the top have changed again before those at the bottom have had theirs.
    for (let count = Math.min(ROWS_ELSEWHERE, elsewhere.length); count > 0; count -= 1) {
      this.#turn = (this.#turn + 1) % elsewhere.length;
      if (elsewhere[this.#turn].dirty) {
        elsewhere[this.#turn].paint(now_ms, exchange_ms);
      }
    }
  }

  #sparksAreDue() {
    this.#sparks = [...this.#rows.values()].filter(({ inView }) => inView);
    this.#painter.ask(this.#paintSparks);
  }

  #drawSparks() {
    if (this.#palette === null) {
      return;
    }
    const exchange_ms = this.#exchangeTime_ms();
    for (const row of this.#sparks.splice(0, SPARKS_PER_FRAME)) {
      if (row.inView) {
        row.paintSpark(exchange_ms, this.#palette);
      }
    }
    if (this.#sparks.length > 0) {
      this.#painter.ask(this.#paintSparks);
    }
  }
}
