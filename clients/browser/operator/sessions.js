/**
 * The table of sessions: pages of `node.sessions`, in the order of a column, refreshed in place.
 *
 * While the pointer or the focus is on the rows they keep their places: what has left the page is dimmed, what is new comes in
 * when the pointer has gone.
 */
import { formatCount } from "../format.js";
import { element, make, setText } from "./dom.js";
import { formatBytes, formatMoment, formatSpan } from "./units.js";

const PAGE_ROWS = 50;

/** Columns whose smallest comes first when they are chosen: what is about to end. */
const ASCENDING_FIRST = new Set(["exp"]);

export class SessionTable {
  #onChange;
  #body = element("session-rows");
  #rows = new Map();
  #order = "queue_bytes";
  #ascending = false;
  #search = "";
  /** The cursors by which the pages up to this one were reached. */
  #cursors = [null];
  #next = null;
  #isPointedAt = false;

  /**
   * @param options.onChange  called when another page, order or search is wanted: ask anew
   * @param options.onOpen    (row) => …: show a session
   * @param options.onClose   (row) => …: close a session
   */
  constructor({ onChange, onOpen, onClose }) {
    this.#onChange = onChange;
    this.onOpen = onOpen;
    this.onClose = onClose;
    for (const heading of document.querySelectorAll("#session-table [data-order]")) {
      heading.firstChild.addEventListener("click", () => this.#sortBy(heading.dataset.order));
    }
    this.#body.addEventListener("pointerenter", () => this.#point(true));
    this.#body.addEventListener("pointerleave", () => this.#point(false));
    element("page-next").addEventListener("click", () => this.#turn(1));
    element("page-before").addEventListener("click", () => this.#turn(-1));
    element("search").addEventListener("input", (event) => {
      this.#search = event.target.value.trim();
      this.#begin();
    });
    this.#showOrder();
  }

  /** What `node.sessions` is to be asked. */
  get question() {
    return {
      after: this.#cursors.at(-1),
      limit: PAGE_ROWS,
      order: this.#order,
      ascending: this.#ascending,
      search: this.#search || null,
    };
  }

  /** Tell whether an answer is to what the table asks now. */
  asks(question) {
    return JSON.stringify(question) === JSON.stringify(this.question);
  }

  show({ sessions, next, total, matching, unanswered }, severalWorkers) {
    this.#next = next;
    const holds = this.#holds();
    const ids = new Set(sessions.map(({ session }) => session));
    for (const session of sessions) {
      const row = this.#rows.get(session.session) ?? (holds ? null : this.#makeRow(session));
      row?.show(session, severalWorkers);
    }
    for (const [id, row] of this.#rows) {
      row.element.classList.toggle("gone", !ids.has(id));
      row.element.title = ids.has(id) ? "" : "No longer on this page: it has left, or others come before it";
    }
    if (!holds) {
      for (const id of [...this.#rows.keys()].filter((id) => !ids.has(id))) {
        this.#rows.delete(id);
      }
      const wanted = sessions.map(({ session }) => this.#rows.get(session).element);
      if (wanted.length !== this.#body.rows.length || wanted.some((row, index) => row !== this.#body.rows[index])) {
        this.#body.replaceChildren(...wanted);
      }
    }
    element("held").hidden = !holds;
    const shown = matching === total ? formatCount(total) : `${formatCount(matching)} of ${formatCount(total)}`;
    const silent = unanswered.length > 0 ? `; not those of ${unanswered.join(", ")}, which does not answer` : "";
    setText(element("sessions-count"), shown + silent);
    const nothing = element("no-sessions");
    nothing.hidden = sessions.length > 0 || holds;
    setText(nothing, this.#search ? "No session matches." : this.#cursors.length > 1 ? "Nobody is on this page any more." : "Nobody is here.");
    const page = this.#cursors.length;
    const pages = Math.max(page, Math.ceil(matching / PAGE_ROWS));
    setText(element("page-number"), pages > 1 ? `Page ${page} of ${pages}` : "");
    element("page-before").disabled = page === 1;
    element("page-next").disabled = next === null;
  }

  #holds() {
    // A click leaves the focus where it was: that is no reason, but going there by the keyboard is.
    return this.#rows.size > 0 && (this.#isPointedAt || this.#body.querySelector(":focus-visible") !== null);
  }

  #point(isPointedAt) {
    this.#isPointedAt = isPointedAt;
  }

  #makeRow(session) {
    const row = new SessionRow(session, this);
    this.#rows.set(session.session, row);
    return row;
  }

  #sortBy(order) {
    this.#ascending = order === this.#order ? !this.#ascending : ASCENDING_FIRST.has(order);
    this.#order = order;
    this.#showOrder();
    this.#begin();
  }

  #showOrder() {
    for (const heading of document.querySelectorAll("#session-table [data-order]")) {
      if (heading.dataset.order === this.#order) {
        heading.setAttribute("aria-sort", this.#ascending ? "ascending" : "descending");
      } else {
        heading.removeAttribute("aria-sort");
      }
    }
  }

  #begin() {
    this.#cursors = [null];
    this.#onChange();
  }

  #turn(pages) {
    if (pages > 0 && this.#next !== null) {
      this.#cursors.push(this.#next);
    } else if (pages < 0 && this.#cursors.length > 1) {
      this.#cursors.pop();
    }
    this.#onChange();
  }
}

/** How many milliseconds a queue has been blocked in words of its limit. */
function blockedTitle({ blocked_ms, stall_timeout_ms, times_blocked }) {
  const times = `blocked ${formatCount(times_blocked)} times since it connected`;
  return blocked_ms > 0 ? `closed when blocked for ${formatSpan(stall_timeout_ms)}; ${times}` : times;
}

class SessionRow {
  #session;
  #cells = {};

  constructor(session, table) {
    const cell = (name, className = "") => (this.#cells[name] = make("td", { className }));
    this.#cells.open = make("button", { type: "button", className: "link" });
    this.#cells.open.addEventListener("click", () => table.onOpen(this.#session));
    const close = make("button", { type: "button", className: "quiet small", textContent: "Close…" });
    close.setAttribute("aria-label", `Close session ${session.session} of ${session.authid}`);
    close.addEventListener("click", () => table.onClose(this.#session));
    this.#cells.meter = make("meter", { min: 0, ariaLabel: "What waits, against its bound" });
    this.#cells.queueText = make("span");
    this.element = make(
      "tr",
      { data: { session: session.session } },
      make("th", { scope: "row", className: "mono" }, this.#cells.open),
      cell("who", "who"),
      cell("realm"),
      cell("address", "mono"),
      cell("transport"),
      cell("joined", "number"),
      cell("exp", "number"),
      cell("subscriptions", "number"),
      make("td", { className: "number queue" }, this.#cells.queueText, this.#cells.meter),
      cell("blocked", "number"),
      cell("refusals", "number"),
      make("td", { className: "act" }, close),
    );
  }

  show(session, severalWorkers) {
    this.#session = session;
    const cells = this.#cells;
    const now_ms = Date.now();
    setText(cells.open, session.session);
    cells.open.title = severalWorkers ? `on ${session.worker}` : "Show all that is known";
    setText(cells.who, `${session.authid} · ${session.role}${session.tier === null ? "" : ` · ${session.tier}`}`);
    cells.who.title = cells.who.textContent;
    setText(cells.realm, session.realm);
    setText(cells.address, session.address);
    setText(cells.transport, session.transport);
    setText(cells.joined, formatSpan(Math.max(0, now_ms - session.joined_at * 1_000)));
    cells.joined.title = formatMoment(session.joined_at * 1_000, now_ms);
    const left_ms = session.exp * 1_000 - now_ms;
    setText(cells.exp, left_ms > 0 ? formatSpan(left_ms) : "over");
    cells.exp.dataset.tone = left_ms < 60_000 ? "waiting" : "";
    setText(cells.subscriptions, formatCount(session.subscriptions));
    const { queue } = session;
    cells.meter.hidden = queue === undefined || (queue.bytes === 0 && queue.blocked_ms === 0);
    if (queue === undefined) {
      setText(cells.queueText, "–");
      setText(cells.blocked, "–");
    } else {
      setText(cells.queueText, formatBytes(queue.bytes));
      cells.queueText.title = `${formatCount(queue.entries)} events wait; ${formatBytes(queue.max_bytes)} at most`;
      cells.meter.max = queue.max_bytes;
      cells.meter.high = queue.max_bytes / 2;
      cells.meter.optimum = 0;
      cells.meter.value = queue.bytes;
      cells.meter.title = cells.queueText.title;
      setText(cells.blocked, queue.blocked_ms > 0 ? formatSpan(queue.blocked_ms) : "–");
      cells.blocked.title = blockedTitle(queue);
      cells.blocked.dataset.tone = queue.blocked_ms > queue.stall_timeout_ms / 2 ? "bad" : queue.blocked_ms > 0 ? "waiting" : "";
    }
    setText(cells.refusals, session.refusals === 0 ? "–" : formatCount(session.refusals));
    cells.refusals.dataset.tone = session.refusals > 0 ? "waiting" : "";
    this.element.classList.toggle("closing", session.is_closing);
  }
}
