/**
 * Watches symbols through a MarketConnection: subscribes after every join, follows the feed's epochs, and reports
 * ticks, best bids and asks, the day's figures, the feed's status, and gaps. Runs in browsers and in node.js.
 *
 * Ticks are handed on in sequence: what came while there was no connection, or was lost on the way, is asked for and joined
 * on (sequence.js). Best bids and asks, and the day's figures, are handed on as they come.
 */
import { AccessRefused, MarketConnection, NOT_AUTHORIZED } from "./market-connection.js";
import { Replays } from "./replays.js";
import { SequenceTracker } from "./sequence.js";

const LATE_JOINER = Object.freeze({ get_retained: true });

const ignore = () => {};

export class MarketWatch {
  #connection;
  #sequences = new SequenceTracker();
  #replays = null;
  #wantedSymbols;
  #handlers;

  /**
   * @param options.symbols   list of symbols, or null for all that the gateway has
   * @param options.onTick    (tick, missed) => …: `missed` counts the symbol's ticks that are missing right before it
   * @param options.onGap     ({symbol, epoch, from_seq, to_seq, because}) => …: ticks that will not come, before the tick
   *                          behind them; `to_seq` is null where nobody knows it, for `because` see sequence.js
   * @param options.onReplay  ({symbol, epoch, after_seq, to_seq, ticks}) => …: how many ticks were asked for and have come
   * @param options.onBook    (book) => …: best bid and ask; leave it out, and books are not subscribed to
   * @param options.onDay     (day) => …: last, open, high, low and volumes of 24 hours; leave it out, and they are not
   *                          subscribed to
   * @param options.onStatus  (status) => …: the feed's state, after each join and whenever it changes
   * @param options.onStaleSymbols  (symbols) => …: the silent ones, likewise; leave it out, and they are not asked for
   * @param options.onSymbols (symbols) => …: the symbols watched, in the gateway's order, whenever they may have changed
   * @param options.onRefusedSymbols  (symbols) => …: the token has no right to these (but to others)
   * Further options as for MarketConnection, `onJoin` excepted.
   */
  constructor({
    symbols = null,
    onTick,
    onGap = ignore,
    onReplay = ignore,
    onBook = null,
    onDay = null,
    onStatus = ignore,
    onStaleSymbols = null,
    onSymbols = ignore,
    onRefusedSymbols = ignore,
    ...connection
  }) {
    this.#wantedSymbols = symbols;
    this.#handlers = { onTick, onGap, onReplay, onBook, onDay, onStatus, onStaleSymbols, onSymbols, onRefusedSymbols };
    this.#connection = new MarketConnection({ ...connection, onJoin: (session, fail) => this.#joined(session, fail) });
  }

  open() {
    this.#connection.open();
  }

  retryNow() {
    this.#connection.retryNow();
  }

  close() {
    this.#replays?.stop();
    this.#connection.close();
  }

  async #joined(session, fail) {
    this.#replays?.stop();
    const replays = new Replays(session, (outcome, ask, answer) => {
      try {
        this.#settle(session, outcome, ask, answer);
      } catch (error) {
        fail(error);
      }
    });
    this.#replays = replays;
    const subscribed = new Set(); // the symbols, by this session
    // First the topic, then the procedure: so no change can fall in between.
    await this.#listen(session, "market.status", (status) => this.#follow(session, subscribed, status).catch(fail));
    const status = await session.call("market.status");
    if (this.#isCurrent(session)) {
      this.#do(this.#sequences.beginSession(status.epoch));
      await this.#follow(session, subscribed, status);
    }
  }

  /** Carry out what the tracker says. */
  #do(steps) {
    const { onTick, onGap } = this.#handlers;
    for (const step of steps) {
      if (step.kind === "tick") {
        onTick(step.tick, step.missed);
      } else if (step.kind === "gap") {
        const { kind, ...gap } = step;
        onGap(gap);
      } else {
        this.#replays.ask(step);
      }
    }
  }

  #settle(session, outcome, ask, answer) {
    if (!this.#isCurrent(session)) {
      return;
    }
    if (outcome === "answered" && answer.events.length > 0) {
      const { symbol, after_seq } = ask;
      this.#handlers.onReplay({ symbol, epoch: answer.epoch, after_seq, to_seq: answer.to_seq, ticks: answer.events.length });
    }
    this.#do(this.#sequences[outcome](ask, answer));
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
    this.#do(this.#sequences.enterEpoch(status.epoch));
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
    missing.forEach((symbol) => this.#do(this.#sequences.resume(symbol)));
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
    const { onBook, onDay } = this.#handlers;
    const topic = `market.${symbol}`;
    const receive = (tick) => this.#do(this.#sequences.observe(tick));
    const subscriptions = [this.#listen(session, topic, receive, LATE_JOINER)];
    for (const [family, receive] of [["book", onBook], ["day", onDay]]) {
      if (receive !== null) {
        subscriptions.push(this.#listen(session, `${topic}.${family}`, receive, LATE_JOINER));
      }
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
