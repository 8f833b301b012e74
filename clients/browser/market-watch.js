/**
 * Watches symbols through a MarketConnection: subscribes after every join, follows the feed's epochs, and reports
 * ticks, best bids and asks, the feed's status, and gaps. Runs in browsers and in node.js.
 *
 * It keeps nothing but the last sequence number of each symbol: events are handed on as they come.
 */
import { AccessRefused, MarketConnection, NOT_AUTHORIZED } from "./market-connection.js";
import { SequenceTracker } from "./sequence.js";

const LATE_JOINER = Object.freeze({ get_retained: true });

const ignore = () => {};

export class MarketWatch {
  #connection;
  #sequences = new SequenceTracker();
  #wantedSymbols;
  #handlers;

  /**
   * @param options.symbols   list of symbols, or null for all that the gateway has
   * @param options.onTick    (tick, missed) => …: `missed` counts the symbol's ticks that never came since the last one
   * @param options.onBook    (book) => …: best bid and ask; leave it out, and books are not subscribed to
   * @param options.onStatus  (status) => …: the feed's state, after each join and whenever it changes
   * @param options.onStaleSymbols  (symbols) => …: the silent ones, likewise; leave it out, and they are not asked for
   * @param options.onSymbols (symbols) => …: the symbols watched, in the gateway's order, whenever they may have changed
   * @param options.onRefusedSymbols  (symbols) => …: the token has no right to these (but to others)
   * Further options as for MarketConnection, `onJoin` excepted.
   */
  constructor({
    symbols = null,
    onTick,
    onBook = null,
    onStatus = ignore,
    onStaleSymbols = null,
    onSymbols = ignore,
    onRefusedSymbols = ignore,
    ...connection
  }) {
    this.#wantedSymbols = symbols;
    this.#handlers = { onTick, onBook, onStatus, onStaleSymbols, onSymbols, onRefusedSymbols };
    this.#connection = new MarketConnection({ ...connection, onJoin: (session, fail) => this.#joined(session, fail) });
  }

  open() {
    this.#connection.open();
  }

  retryNow() {
    this.#connection.retryNow();
  }

  close() {
    this.#connection.close();
  }

  async #joined(session, fail) {
    const subscribed = new Set(); // the symbols, by this session
    // First the topic, then the procedure: so no change can fall in between.
    await this.#listen(session, "market.status", (status) => this.#follow(session, subscribed, status).catch(fail));
    await this.#follow(session, subscribed, await session.call("market.status"));
  }

  #isCurrent(session) {
    return session === this.#connection.session;
  }

  /** Subscribe; events of a session that was given up are older than what the next one has told, and are ignored. */
  #listen(session, topic, receive, options) {
    return session.subscribe(topic, ([event]) => this.#isCurrent(session) && receive(event), options);
  }

  /** Catch up with the feed: one that came up late, or afresh, may have symbols that were not there at the join. */
  async #follow(session, subscribed, status) {
    // Looked at after each answer: one may come late, and would undo what the next session has told.
    if (!this.#isCurrent(session)) {
      return;
    }
    this.#sequences.enterEpoch(status.epoch);
    this.#handlers.onStatus(status);
    await this.#tellStaleSymbols(session, status);
    const symbols = this.#wantedSymbols ?? (await session.call("market.symbols"));
    if (!this.#isCurrent(session)) {
      return;
    }
    const missing = symbols.filter((symbol) => !subscribed.has(symbol));
    missing.forEach((symbol) => subscribed.add(symbol));
    const refused = new Set();
    await Promise.all(missing.map((symbol) => this.#subscribe(session, symbol, refused)));
    if (!this.#isCurrent(session)) {
      return;
    }
    if (refused.size > 0) {
      if (refused.size === symbols.length) {
        throw new AccessRefused(`this token has no right to ${summary(symbols)}`);
      }
      this.#handlers.onRefusedSymbols([...refused]);
    }
    this.#handlers.onSymbols(symbols.filter((symbol) => !refused.has(symbol)));
  }

  /** The topic tells only how many symbols are silent; the procedure's answer names them. */
  async #tellStaleSymbols(session, { stale, stale_symbols: known = stale === 0 ? [] : null }) {
    const { onStaleSymbols } = this.#handlers;
    if (onStaleSymbols !== null) {
      const symbols = known ?? (await session.call("market.status")).stale_symbols;
      if (this.#isCurrent(session)) {
        onStaleSymbols(symbols);
      }
    }
  }

  async #subscribe(session, symbol, refused) {
    const { onTick, onBook } = this.#handlers;
    const topic = `market.${symbol}`;
    const receive = (tick) => {
      const missed = this.#sequences.observe(tick);
      if (missed !== null) {
        onTick(tick, missed);
      }
    };
    const subscriptions = [this.#listen(session, topic, receive, LATE_JOINER)];
    if (onBook !== null) {
      subscriptions.push(this.#listen(session, `${topic}.book`, onBook, LATE_JOINER));
    }
    try {
      await Promise.all(subscriptions);
    } catch (error) {
      if (error?.error !== NOT_AUTHORIZED) {
        throw error;
      }
      refused.add(symbol);
    }
  }
}

/** Return a few of many symbols as text: "BTCUSDT, ETHUSDT and 98 more". */
export function summary(symbols, shown = 3) {
  const rest = symbols.length - shown;
  return symbols.slice(0, shown).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
