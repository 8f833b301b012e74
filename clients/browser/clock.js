/**
 * How far the gateway's clock is from this one's, and how long a question to it takes: NTP's arithmetic over `market.time`.
 * `GatewayClock` is pure; `ClockWatch` asks, at a rate that the limit of calls hardly notices.
 */

/** Of so many answers the quickest counts: the shorter the way, the less its two halves can differ. */
const SAMPLES = 8;

/** At first a few questions, so that there is an answer soon; then one now and then, since clocks drift. */
const FIRST_ASKS = 4;
const FIRST_INTERVAL_MS = 500;
const INTERVAL_MS = 10_000;

/** This machine's wall clock in ms since 1970, finer than Date.now(). */
export const localTime_ms = () => performance.timeOrigin + performance.now();

/** What is known of the gateway's clock. */
export class GatewayClock {
  #samples = [];

  /** Take an answer: when it was asked for and came, by this clock, and what the gateway said, in whole ms cut off. */
  take(sent_ms, gateway_ms, received_ms) {
    const roundTrip_ms = Math.max(0, received_ms - sent_ms);
    this.#samples.push({ roundTrip_ms, offset_ms: gateway_ms + 0.5 - (sent_ms + received_ms) / 2 });
    if (this.#samples.length > SAMPLES) {
      this.#samples.shift();
    }
  }

  /** Forget all: another gateway has another clock. */
  reset() {
    this.#samples = [];
  }

  /** How long the last answer took in ms, or null. */
  get roundTrip_ms() {
    return this.#samples.at(-1)?.roundTrip_ms ?? null;
  }

  /** What to add to this machine's time for the gateway's, in ms, or null; wrong by half of the quickest round trip at most. */
  get offset_ms() {
    let quickest = null;
    for (const sample of this.#samples) {
      if (quickest === null || sample.roundTrip_ms < quickest.roundTrip_ms) {
        quickest = sample;
      }
    }
    return quickest?.offset_ms ?? null;
  }

  /** Return the gateway's time in ms since 1970, or null. */
  at(local_ms) {
    return this.offset_ms === null ? null : local_ms + this.offset_ms;
  }
}

/** Keeps a `GatewayClock` up to date over one session after another. */
export class ClockWatch {
  clock = new GatewayClock();
  #timer = null;
  #session = null;
  #asked = 0;

  /** Ask this session from here on. */
  follow(session) {
    this.stop();
    this.clock.reset();
    this.#session = session;
    this.#asked = 0;
    this.#ask(session);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#session = null;
  }

  async #ask(session) {
    const sent_ms = localTime_ms();
    this.#asked += 1;
    try {
      const gateway_ms = await session.call("market.time");
      if (session === this.#session) {
        this.clock.take(sent_ms, gateway_ms, localTime_ms());
      }
    } catch (error) {
      // A gateway that has no such procedure, or no call left for us: what is not known is shown as such.
      console.debug("market.time:", error?.error ?? error);
    }
    if (session === this.#session) {
      this.#timer = setTimeout(() => this.#ask(session), this.#asked < FIRST_ASKS ? FIRST_INTERVAL_MS : INTERVAL_MS);
    }
  }
}
