/**
 * Trades that the exchange made and no feed got, feed by feed, as `market.status` counts them. Pure.
 *
 * They have no sequence number, since nobody has them, and so are not among the trades that this client has missed.
 *
 * - What the first feed had counted when it was heard first was before this client looked.
 * - Of a feed that goes on leading, what it has counted since it was last heard.
 * - Of one that has taken over, what it has counted since it took the lead (`since_lead`), as far as it had not been heard of.
 * - A count that falls is an old word: one gateway may be a moment behind another. A feed that was started anew is another one
 *   (`started`).
 * - Feeds of an earlier version say neither: what such a one had counted when it came in, or was started anew, nobody knows.
 */

/** Feeds that are remembered; with more, the one that was heard least lately is let go. */
const MAX_FEEDS = 16;

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

export class FeedMisses {
  #feeds = new Map(); // by name and start, the one heard last at the end
  #last = null; // its key
  #total = 0;
  #unknown = false;

  /** Take what `market.status` says. */
  take({ feed, started = null, counters, since_lead: sinceLead }) {
    const count = counters?.missed_trades;
    if (typeof feed !== "string" || !isCount(count)) {
      return;
    }
    const key = JSON.stringify([feed, started]);
    const inThisLead = isCount(sinceLead?.missed_trades) ? sinceLead.missed_trades : null;
    const known = this.#feeds.get(key) ?? null;
    const told = { feed, count: Math.max(count, known?.count ?? 0), grown: known?.grown ?? 0 };
    if (known !== null) {
      const since = Math.max(0, count - known.count);
      this.#add(told, key === this.#last ? since : Math.min(since, inThisLead ?? since));
      this.#unknown ||= started === null && count < known.count;
    } else if (this.#last !== null) {
      this.#add(told, inThisLead ?? 0);
      this.#unknown ||= inThisLead === null && count > 0;
    }
    this.#last = key;
    this.#feeds.delete(key);
    this.#feeds.set(key, told);
    if (this.#feeds.size > MAX_FEEDS) {
      this.#feeds.delete(this.#feeds.keys().next().value);
    }
  }

  #add(told, grown) {
    told.grown += grown;
    this.#total += grown;
  }

  /** Trades of all symbols of all feeds since the first word, as far as is known; null before it. */
  get total() {
    return this.#last === null ? null : this.#total;
  }

  /** Whether there may be more, nobody knows how many. */
  get unknown() {
    return this.#unknown;
  }

  /** Each feed's `{feed, grown, count}`: since the first word of it, and since its own start; the one heard last comes first. */
  get feeds() {
    return [...this.#feeds.values()].map(({ feed, grown, count }) => ({ feed, grown, count })).reverse();
  }
}
