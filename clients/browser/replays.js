/**
 * Calls `market.replay` for one session: a few calls at a time, and not faster than a gateway's limits allow. What is asked
 * for and what an answer means is sequence.js's to decide.
 */
import { retryDelay_ms } from "./backoff.js";

/** Their answers fit into what the kernel of a gateway takes for a connection, so that none waits on a slow line and cuts it. */
const CALLS_AT_ONCE = 2;

/** Most of what a gateway allows by default (100 at once, 20 a second): the rest is the application's. */
const CALLS_BURST = 80;
const CALL_INTERVAL_MS = 1_000 / 15;

/** How often a replay is asked for that the gateway has no time for. */
const ATTEMPTS = 5;

const ANSWER_TIMEOUT_MS = 15_000;

const NOT_NOW = new Set(["crosstick.error.limit_exceeded", "crosstick.error.not_ready"]);
const INVALID_ARGUMENT = "wamp.error.invalid_argument";

export class Replays {
  #session;
  #settle;
  #waiting = []; // [ask, settle]
  #requests = new Set(); // what settles them
  #running = 0;
  #next_ms = -Infinity;
  #timers = new Set();
  #stopped = false;

  /**
   * @param session  the joined session
   * @param settle   (outcome, ask, answer) => …: `outcome` is "answered", "ahead" or "failed", as SequenceTracker's methods
   */
  constructor(session, settle) {
    this.#session = session;
    this.#settle = settle;
  }

  /** Call as soon as there is room, and settle with the outcome; at most one ask per symbol is under way. */
  ask(ask) {
    this.#waiting.push([ask, this.#settle]);
    this.#start();
  }

  /** Call as `ask` does, but for somebody else: return a promise of `[outcome, answer]`. "stopped" is an outcome too. */
  request(ask) {
    if (this.#stopped) {
      return Promise.resolve(["stopped"]);
    }
    return new Promise((resolve) => {
      const settle = (outcome, _, answer) => {
        this.#requests.delete(settle);
        resolve([outcome, answer]);
      };
      this.#requests.add(settle);
      this.#waiting.push([ask, settle]);
      this.#start();
    });
  }

  /** Whether nothing is settled any more. */
  get stopped() {
    return this.#stopped;
  }

  /** Ask no more, and settle nothing but requests. */
  stop() {
    this.#stopped = true;
    this.#waiting = [];
    this.#requests.forEach((settle) => settle("stopped"));
    this.#timers.forEach(clearTimeout);
  }

  #start() {
    while (this.#running < CALLS_AT_ONCE && this.#waiting.length > 0 && !this.#stopped) {
      this.#running += 1;
      this.#replay(...this.#waiting.shift());
    }
  }

  async #replay(ask, settle) {
    const [outcome, answer] = await this.#answer(ask);
    this.#running -= 1;
    if (!this.#stopped) {
      settle(outcome, ask, answer);
      this.#start();
    }
  }

  async #answer(ask) {
    for (let attempt = 0; attempt < ATTEMPTS && !this.#stopped; attempt += 1) {
      await this.#turn();
      try {
        return ["answered", await this.#call(ask)];
      } catch (error) {
        if (error?.error === INVALID_ARGUMENT) {
          return ["ahead"];
        }
        if (!NOT_NOW.has(error?.error)) {
          return ["failed"];
        }
      }
      await this.#wait(500 + retryDelay_ms(attempt));
    }
    return ["failed"];
  }

  /** Let calls through, CALLS_BURST at once, and one per CALL_INTERVAL_MS after that. */
  async #turn() {
    const now_ms = Date.now();
    this.#next_ms = Math.max(this.#next_ms, now_ms - CALLS_BURST * CALL_INTERVAL_MS) + CALL_INTERVAL_MS;
    if (this.#next_ms > now_ms) {
      await this.#wait(this.#next_ms - now_ms);
    }
  }

  #call({ symbol, epoch, after_seq }) {
    return new Promise((resolve, reject) => {
      const timer = this.#later(ANSWER_TIMEOUT_MS, () => reject(new Error("the replay was not answered")));
      const settled = (settle) => (value) => {
        clearTimeout(timer);
        this.#timers.delete(timer);
        settle(value);
      };
      this.#session.call("market.replay", [symbol, epoch, after_seq]).then(settled(resolve), settled(reject));
    });
  }

  #wait(delay_ms) {
    return new Promise((resolve) => this.#later(delay_ms, resolve));
  }

  #later(delay_ms, then) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, delay_ms);
    this.#timers.add(timer);
    return timer;
  }
}
