/** How fast a total grows. Pure. */

/** By the time that has gone by since it was looked at last: the timers of a page in the background may be a minute apart. */
export class Pace {
  #total = 0;
  #looked_ms;

  /** Begin with nothing; times are as performance.now(). */
  constructor(now_ms) {
    this.#looked_ms = now_ms;
  }

  /** Return by how many a second the total has grown since the last look. */
  look(total, now_ms) {
    const passed_ms = Math.max(1, now_ms - this.#looked_ms);
    const perSecond = ((total - this.#total) * 1_000) / passed_ms;
    this.#total = total;
    this.#looked_ms = now_ms;
    return perSecond;
  }
}
