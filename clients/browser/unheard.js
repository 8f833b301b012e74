/**
 * Trades of one symbol that no feed got, as its ticks show by themselves. Pure.
 *
 * The exchange numbers trades without holes (`id`), the feed those that it got (`seq`): by what `id` has grown more than `seq`
 * between two ticks, trades never came. What this client alone has missed both numbers count, and so it is not among them.
 */
export class UnheardTrades {
  #id = NaN;
  #seq = NaN;

  /** Return how many there were between the tick before and this one, the symbol's next. */
  take({ id, seq }) {
    const unheard = id - this.#id - (seq - this.#seq);
    const follows = seq > this.#seq;
    this.#id = id;
    this.#seq = seq;
    // An exchange that numbers afresh begins below where it was.
    return follows && unheard > 0 ? unheard : 0;
  }

  /** Begin anew: `seq` counts afresh. */
  restart() {
    this.#id = this.#seq = NaN;
  }
}
