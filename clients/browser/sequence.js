/**
 * Counts the ticks a client has not seen. Pure: sequence numbers go in, counts come out.
 *
 * The gateway numbers every symbol's ticks without gaps (`seq`) within an *epoch*; a restarted feed opens another
 * epoch and counts afresh. Within an epoch a symbol's `seq` grows by one trade, or by the `"merged": n` trades that a
 * tick says it stands for, plus those that are in no tick, which it says as `"dropped": n` where the gateway left them out.
 */
export class SequenceTracker {
  #epoch = null;
  #lastBySymbol = new Map();

  /** Take note of the epoch; numbers of another epoch are not compared with those seen so far. */
  enterEpoch(epoch) {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#lastBySymbol.clear();
    }
  }

  /**
   * Take note of a tick; return how many ticks of its symbol are missing right before it (0 for a first one), or null
   * for the very tick seen last: after a reconnect the retained one often is.
   */
  observe(tick) {
    const last = this.#lastBySymbol.get(tick.symbol);
    if (tick.seq === last) {
      return null;
    }
    this.#lastBySymbol.set(tick.symbol, tick.seq);
    if (last === undefined || tick.seq < last) {
      // A lower number is a feed started afresh, whose epoch has not been announced here yet.
      return tick.dropped ?? 0;
    }
    // Not by `first_seq`: some of the numbers between it and `seq` may be dropped ones.
    return Math.max(0, tick.seq - last - (tick.merged ?? 1));
  }
}
