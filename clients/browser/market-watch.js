/**
 * Watches symbols through a MarketConnection: subscribes after every join, follows the feed's epochs, and reports
 * ticks, best bids and asks, the day's figures, the feed's status, and gaps. Runs in browsers and in node.js.
 *
 * Ticks are handed on in sequence, whatever the rate at which they come: what came while there was no connection, or was lost
 * on the way, is asked for and joined on (sequence.js). Best bids and asks, and statistics of 24 hours, are handed on as they
 * come.
 */
import { AccessRefused, MarketConnection } from "./market-connection.js";
import { Replays } from "./replays.js";
import { SequenceTracker } from "./sequence.js";
import { Subscriptions } from "./subscriptions.js";

const ignore = () => {};

export class MarketWatch {
  #connection;
  #sequences = new SequenceTracker();
  #replays = null;
  #subscriptions = null; // of the session that has joined
  #wantedSymbols;
  #rate;
  #rateChange = Promise.resolve(); // one after the other
  #patterns;
  #handlers;

  /**
   * @param options.symbols   list of symbols, or null for all that the gateway has
   * @param options.rate      null for every trade, or a rate of the gateway's such as "every_1s"
   * @param options.patterns  true: without `symbols`, subscribe by pattern where the token grants all symbols
   * @param options.onTick    (tick, missed) => …: `missed` counts the symbol's ticks that are missing right before it
   * @param options.onGap     ({symbol, epoch, from_seq, to_seq, because}) => …: ticks that will not come, before the tick
   *                          behind them; `to_seq` is null where nobody knows it, for `because` see sequence.js
   * @param options.onReplay  ({symbol, epoch, after_seq, to_seq, ticks}) => …: how many ticks were asked for and have come
   * @param options.onBook    (book) => …: best bid and ask; leave it out, and books are not subscribed to
   * @param options.onDay     (day) => …: last, open, high, low and volumes of 24 hours; leave it out, and they are not
   *                          subscribed to. An exchange may have none
   * @param options.onJoin    (session) => …: a session has joined, and is about to be set up
   * @param options.onStatus  (status) => …: the feed's state, after each join and whenever it changes
   * @param options.onCounters  (status) => …: the same each 15 s as well: its counters grow without its state changing
   * @param options.onStaleSymbols  (symbols) => …: the silent ones, likewise; leave it out, and they are not asked for
   * @param options.onSymbols (symbols) => …: the symbols watched, in the gateway's order, whenever they may have changed
   * @param options.onRefusedSymbols  (symbols) => …: the token has no right to these (but to others)
   * @param options.onRefusedRate     (rate) => …: the gateway has no such rate; every trade comes instead
   * Further options as for MarketConnection, `onJoin` excepted.
   */
  constructor({
    symbols = null,
    rate = null,
    patterns = false,
    onTick,
    onGap = ignore,
    onReplay = ignore,
    onBook = null,
    onDay = null,
    onJoin = ignore,
    onStatus = ignore,
    onCounters = ignore,
    onStaleSymbols = null,
    onSymbols = ignore,
    onRefusedSymbols = ignore,
    onRefusedRate = ignore,
    ...connection
  }) {
    this.#wantedSymbols = symbols;
    this.#rate = rate;
    this.#patterns = patterns && symbols === null;
    const told = { onTick, onGap, onReplay, onBook, onDay, onJoin, onStatus, onCounters };
    this.#handlers = { ...told, onStaleSymbols, onSymbols, onRefusedSymbols, onRefusedRate };
    this.#connection = new MarketConnection({
      ...connection,
      onJoin: (session, fail) => this.#joined(session, fail),
      onProbed: onCounters,
    });
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

  /** Have ticks at another rate from here on, see the option; nothing is lost or repeated by that. */
  setRate(rate) {
    if (rate === this.#rate) {
      return;
    }
    this.#rate = rate;
    const subscriptions = this.#subscriptions;
    this.#rateChange = this.#rateChange.then(async () => {
      if (subscriptions !== null && subscriptions === this.#subscriptions) {
        await this.#changeRate(subscriptions);
      }
    });
  }

  /**
   * Ask for what the gateway keeps of a symbol's ticks behind a number, up to another; at most as many answers as it takes.
   *
   * `onPage` gets `market.replay`'s answers, the oldest first, and returns whether to go on. Throws an Error that can be shown
   * when there is no connection, or no answer.
   */
  async history(symbol, after_seq, to_seq, onPage) {
    const replays = this.#replays;
    if (replays === null || this.#connection.session === null) {
      throw new Error("there is no connection");
    }
    let page = { to_seq: after_seq, more: true };
    while (page.more && page.to_seq < to_seq) {
      const ask = { symbol, epoch: this.#sequences.epoch, after_seq: page.to_seq };
      const [outcome, answer] = await replays.request(ask);
      if (outcome !== "answered") {
        throw new Error(outcome === "stopped" ? "the connection was lost" : "the gateway has not answered");
      }
      page = answer;
      if (!onPage(answer)) {
        return;
      }
    }
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
    this.#handlers.onJoin(session);
    const { onBook, onDay } = this.#handlers;
    const current = (receive) => receive && ((event) => this.#isCurrent(session) && receive(event));
    const receive = {
      // A pattern reaches the feed's status too, which has no place in a sequence.
      tick: current((event) => event.seq !== undefined && this.#do(this.#sequences.observe(event))),
      book: current(onBook),
      day: current(onDay),
    };
    const value = new Subscriptions(session, { receive, patterns: this.#patterns, granted: this.#wantedSymbols === null });
    const subscriptions = { session, fail, value };
    this.#subscriptions = subscriptions;
    // First the topic, then the procedure: so no change can fall in between.
    await session.subscribe("market.status", ([status]) => this.#isCurrent(session) && this.#follow(subscriptions, status).catch(fail));
    const status = await session.call("market.status");
    if (this.#isCurrent(session)) {
      this.#do(this.#sequences.beginSession(status.epoch));
      await this.#follow(subscriptions, status);
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

  /** Events of a session that was given up are older than what the next one has told, and are ignored. */
  #isCurrent(session) {
    return session === this.#connection.session;
  }

  /** Catch up with the feed: one that came up late, or afresh, may have symbols that were not there at the join. */
  async #follow(subscriptions, status) {
    const { session, value } = subscriptions;
    // Looked at after each answer: one may come late, and would undo what the next session has told.
    if (!this.#isCurrent(session)) {
      return;
    }
    this.#do(this.#sequences.enterEpoch(status.epoch));
    this.#handlers.onStatus(status);
    this.#handlers.onCounters(status);
    await this.#tellStaleSymbols(session, status);
    const symbols = this.#wantedSymbols ?? (await session.call("market.symbols"));
    if (!this.#isCurrent(session)) {
      return;
    }
    const added = await value.add(symbols, this.#rate);
    if (!this.#isCurrent(session)) {
      return;
    }
    if (value.allRefused && this.#rate !== null) {
      await this.#withoutRate(subscriptions);
      if (!this.#isCurrent(session)) {
        return;
      }
    }
    if (this.#rate === null) {
      // Ticks at a rate begin with one that tells where they go on; what a replay brought beyond that would only tear the next.
      added.forEach((symbol) => this.#do(this.#sequences.resume(symbol)));
    }
    this.#tellSymbols(value, symbols);
  }

  #tellSymbols({ refused, allRefused }, symbols) {
    if (refused.size > 0) {
      if (allRefused) {
        throw new AccessRefused(`this token has no right to ${summary(symbols)}`);
      }
      this.#handlers.onRefusedSymbols([...refused]);
    }
    this.#handlers.onSymbols(symbols.filter((symbol) => !refused.has(symbol)));
  }

  async #changeRate(subscriptions) {
    const { session, fail, value } = subscriptions;
    if (!this.#isCurrent(session)) {
      return;
    }
    try {
      await value.changeRate(this.#rate, () => this.#isCurrent(session) && this.#sequences.changeStreams());
      if (value.allRefused && this.#rate !== null && this.#isCurrent(session)) {
        await this.#withoutRate(subscriptions);
      }
    } catch (error) {
      fail(error);
    }
  }

  /** Every trade instead of a rate that there is not. */
  async #withoutRate({ value }) {
    const refused = this.#rate;
    this.#rate = null;
    this.#handlers.onRefusedRate(refused);
    await value.changeRate(null, ignore);
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
}

/** Return a few of many symbols as text: "BTCUSDT, ETHUSDT and 98 more". */
export function summary(symbols, shown = 3) {
  const rest = symbols.length - shown;
  return symbols.slice(0, shown).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
