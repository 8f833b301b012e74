/**
 * What one session is subscribed to: ticks at a rate, best prices and statistics of symbols. By one pattern per family where
 * the token grants all symbols, which spares a gateway thousands of requests; else symbol by symbol.
 */
import { NOT_AUTHORIZED } from "./market-connection.js";

const LATE_JOINER = Object.freeze({ get_retained: true });
const BY_PATTERN = Object.freeze({ match: "wildcard", get_retained: true });

/** Return the topic of a symbol's ticks, at a rate such as "every_1s" or, with null, each. An empty symbol stands for any. */
const tickTopic = (symbol, rate) => (rate === null ? `market.${symbol}` : `market.${symbol}.${rate}`);

export class Subscriptions {
  #session;
  #receive;
  #patterns;
  #granted;
  #families = new Set(); // subscribed to by pattern
  #ticks = []; // autobahn's subscriptions, which a change of the rate ends
  #symbols = new Set(); // asked for, refused ones included
  #refused = new Set();
  #turn = Promise.resolve(); // what is under way

  /**
   * @param session           the joined session
   * @param options.receive   {tick, book, day}: what gets the events of each family; of those that are null none are asked for
   * @param options.patterns  whether to try patterns
   * @param options.granted   whether all symbols are ones that the token grants: then a family that is refused of one is
   *                          refused of all, and asking for each would use up the refusals that a gateway bears
   */
  constructor(session, { receive, patterns, granted }) {
    this.#session = session;
    this.#receive = receive;
    this.#patterns = patterns;
    this.#granted = granted;
  }

  /** The symbols to which the token gives no right. */
  get refused() {
    return this.#refused;
  }

  /** Subscribe to those of these symbols that are not yet; return which were not. */
  async add(symbols, rate) {
    return this.#inTurn(async () => {
      const missing = symbols.filter((symbol) => !this.#symbols.has(symbol));
      missing.forEach((symbol) => this.#symbols.add(symbol));
      await Promise.all([
        this.#addFamily("tick", missing, (symbol) => tickTopic(symbol, rate)),
        this.#addFamily("book", missing, (symbol) => `market.${symbol}.book`),
        this.#addFamily("day", missing, (symbol) => `market.${symbol}.day`),
      ]);
      return missing;
    });
  }

  /** End all ticks, and have `between` called; then subscribe to those of the same symbols at another rate. */
  async changeRate(rate, between) {
    return this.#inTurn(async () => {
      const ended = this.#ticks;
      this.#ticks = [];
      this.#families.delete("tick");
      await Promise.all(ended.map((subscription) => this.#session.unsubscribe(subscription)));
      between();
      this.#refused.clear();
      await this.#addFamily("tick", [...this.#symbols], (symbol) => tickTopic(symbol, rate));
    });
  }

  /** Do one after the other: what is granted only after the rate was changed would be of the rate before, and stay. */
  #inTurn(act) {
    const done = this.#turn.then(act);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Whether there are symbols, and the token has no right to ticks of any. */
  get allRefused() {
    return this.#refused.size > 0 && this.#refused.size === this.#symbols.size;
  }

  async #addFamily(family, symbols, topicOf) {
    const receive = this.#receive[family];
    if (receive === null || symbols.length === 0 || this.#families.has(family)) {
      return;
    }
    if (this.#patterns) {
      this.#families.add(family);
      if (await this.#subscribe(family, topicOf(""), BY_PATTERN)) {
        return;
      }
      this.#families.delete(family);
    }
    const [first, ...others] = symbols;
    const add = async (symbol) => {
      const granted = await this.#subscribe(family, topicOf(symbol), LATE_JOINER);
      if (!granted && family === "tick") {
        this.#refused.add(symbol);
      }
      return granted;
    };
    if (!this.#granted) {
      await Promise.all(symbols.map(add));
    } else if (await add(first)) {
      await Promise.all(others.map(add));
    } else if (family === "tick") {
      others.forEach((symbol) => this.#refused.add(symbol));
    }
  }

  /** Return whether the gateway has granted it. */
  async #subscribe(family, topic, options) {
    try {
      const subscription = await this.#session.subscribe(topic, ([event]) => this.#receive[family](event), options);
      if (family === "tick") {
        this.#ticks.push(subscription);
      }
      return true;
    } catch (error) {
      if (error?.error !== NOT_AUTHORIZED) {
        throw error;
      }
      return false;
    }
  }
}
