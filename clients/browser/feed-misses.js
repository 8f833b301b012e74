/**
 * Trades that the exchange made and no feed got, feed by feed, as `market.status` counts them. Pure.
 *
 * They have no sequence number, since nobody has them, and so are not among the trades that this client has missed.
 *
 * - A feed counts from its own start, and another one that takes the lead has counted other things: what is new here is by what
 *   a feed's count has grown since it was first heard.
 * - What the first feed had counted by then was before this client looked. Of one that is heard later nobody can say.
 * - A count that falls is that of a feed begun anew if its state is of later than what was known; else it is an old word, as
 *   one gateway may be a moment behind another.
 */

/** Feeds that are remembered; with more, the one that was heard least lately is let go. */
const MAX_FEEDS = 16;

export class FeedMisses {
  #feeds = new Map(); // by name, the one heard last at the end
  #grown = 0;
  #unknown = false;
  #heard = false;

  /** Take what `market.status` says. */
  take({ feed, since, counters }) {
    const count = counters?.missed_trades;
    if (typeof feed !== "string" || !Number.isSafeInteger(count) || count < 0) {
      return;
    }
    const since_ms = typeof since === "number" ? since : 0;
    let known = this.#feeds.get(feed);
    if (known === undefined) {
      known = { count, since_ms, grown: 0 };
      this.#unknown ||= this.#heard && count > 0;
    } else if (count >= known.count || since_ms > known.since_ms) {
      const grown = count >= known.count ? count - known.count : count;
      this.#grown += grown;
      known = { count, since_ms: Math.max(since_ms, known.since_ms), grown: known.grown + grown };
    }
    this.#heard = true;
    this.#feeds.delete(feed);
    this.#feeds.set(feed, known);
    if (this.#feeds.size > MAX_FEEDS) {
      this.#feeds.delete(this.#feeds.keys().next().value);
    }
  }

  /** Trades of all symbols of all feeds since the first word, as far as is known; null before it. */
  get total() {
    return this.#heard ? this.#grown : null;
  }

  /** Whether there may be more, nobody knows how many: a feed came in later that had missed some before. */
  get unknown() {
    return this.#unknown;
  }

  /** Each feed's `{feed, grown, count}`: since the first word of it, and since its own start; the one heard last comes first. */
  get feeds() {
    return [...this.#feeds].map(([feed, { grown, count }]) => ({ feed, grown, count })).reverse();
  }
}
