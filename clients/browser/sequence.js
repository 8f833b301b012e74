/**
 * Puts the ticks of each symbol in sequence, without a hole or a repetition. Pure: ticks and answers go in, steps come out.
 *
 * The gateway numbers every symbol's ticks without gaps (`seq`) within an *epoch*; a restarted feed opens another epoch and
 * counts afresh. Within an epoch a symbol's `seq` grows by one trade, or by the `"merged": n` trades that a tick says it
 * stands for, plus those that are in no tick, which it says as `"dropped": n` where the gateway left them out.
 *
 * - What does not follow on the tick before, be it since the client was away or since ticks were lost on the way, is held
 *   back, and `market.replay` asked for what is between. What comes meanwhile is held too, and joined on.
 * - What cannot be had is told as a gap, once: before the first tick behind it.
 * - What was handed on does not come again.
 *
 * Steps, to be done in their order:
 *
 *     { kind: "tick", tick, missed }       hand the tick on; `missed` counts the symbol's ticks missing right before it
 *     { kind: "gap", symbol, epoch, from_seq, to_seq, because }   these will not come; `to_seq` is null where unknown
 *     { kind: "ask", symbol, epoch, after_seq }   call `market.replay` with these; this very object and the answer go to
 *                                                 `answered`, what goes wrong to `ahead` or `failed`
 *
 * `because` is "gone" (the gateway no longer has them), "epoch" (the feed counts afresh), "overflow" (more came while a
 * replay was asked for than is held) or "unanswered" (the replay was not answered). clients/python/sequence.py does the same.
 */

/** Ticks of all symbols that are held while replays are asked for; beyond that a symbol's oldest held one goes. */
const MAX_HELD = 20_000;

/** Joins in a row at gateways of an earlier epoch before that is believed to be where the feed is: its clock was set back. */
const BEHIND_AT_MOST = 3;

/** The gateway has not reached the epoch that this client has seen elsewhere; in a moment it will have. */
export class GatewayBehind extends Error {}

/** Where each symbol's sequence stands; kept across sessions. */
export class SequenceTracker {
  #epoch = 0;
  #symbols = new Map();
  #maxHeld;
  #held = 0;
  #joinsBehind = 0;

  constructor(maxHeld = MAX_HELD) {
    this.#maxHeld = maxHeld;
  }

  /** The epoch that is followed; 0 while none is known. */
  get epoch() {
    return this.#epoch;
  }

  /** Begin anew what was under way, at a gateway of this epoch (0: it knows none yet); may throw a GatewayBehind. */
  beginSession(epoch) {
    for (const symbol of this.#symbols.values()) {
      this.#letGo(symbol);
      symbol.heard = symbol.reachedHere = false;
    }
    if (epoch > 0 && epoch < this.#epoch) {
      this.#joinsBehind += 1;
      if (this.#joinsBehind < BEHIND_AT_MOST) {
        throw new GatewayBehind(`the gateway is at epoch ${epoch}, and ${this.#epoch} has begun`);
      }
      this.#joinsBehind = 0;
      return this.#beginEpoch(epoch);
    }
    this.#joinsBehind = 0;
    return this.enterEpoch(epoch);
  }

  /** Take note of the feed's epoch; one that is not later than what was seen changes nothing. */
  enterEpoch(epoch) {
    return epoch > this.#epoch ? this.#beginEpoch(epoch) : [];
  }

  /** Take note that ticks come at another rate from here on, of the same gateway: lower numbers are no other epoch. */
  changeStreams() {
    for (const symbol of this.#symbols.values()) {
      symbol.confirmed ||= symbol.reachedHere;
    }
  }

  /** Ask for what came while the client was away, of a symbol from which nothing has come in this session. */
  resume(name) {
    const symbol = this.#symbols.get(name);
    return symbol === undefined || symbol.heard || symbol.ask !== null ? [] : [this.#ask(symbol)];
  }

  /** Take a tick as it comes, the retained one included. */
  observe(tick) {
    const symbol = this.#symbol(tick.symbol);
    symbol.heard = true;
    const { seq } = tick;
    if (symbol.ask !== null) {
      this.#hold(symbol, tick);
      return [];
    }
    if (symbol.last === null || before(tick) === symbol.last) {
      return [this.#deliver(symbol, tick)];
    }
    if (seq === symbol.last || (seq < symbol.last && symbol.confirmed)) {
      return [];
    }
    const steps = [];
    if (seq < symbol.last && symbol.reachedHere) {
      // Another epoch, which the answer will name where it has not been announced yet.
      steps.push(...this.#restart(symbol, this.#epoch));
      symbol.endTold = true;
    }
    this.#hold(symbol, tick);
    steps.push(this.#ask(symbol));
    return steps;
  }

  /** Take the answer of `market.replay`. */
  answered(ask, answer) {
    const symbol = this.#symbols.get(ask.symbol);
    if (symbol.ask !== ask) {
      return []; // of an earlier session or epoch
    }
    if (answer.epoch > this.#epoch) {
      const steps = this.#beginEpoch(answer.epoch);
      return symbol.ask === ask ? [...steps, this.#ask(symbol)] : steps;
    }
    if (ask.epoch !== this.#epoch) {
      return [this.#ask(symbol)];
    }
    if (answer.epoch < this.#epoch) {
      // What has come is of the epoch before, whose end was told.
      this.#letGo(symbol);
      return [];
    }
    symbol.ask = null;
    const most = lastMerged(symbol.held);
    const steps = this.#replayed(symbol, answer, most);
    const progress = symbol.last > ask.after_seq;
    if (answer.more && progress && symbol.last < most) {
      return [...steps, this.#ask(symbol)];
    }
    steps.push(...this.#join(symbol, "gone", progress));
    symbol.confirmed = true;
    return steps;
  }

  /** Take note that the gateway has not got as far as this client: what comes next it has seen. */
  ahead(ask) {
    const symbol = this.#symbols.get(ask.symbol);
    if (symbol.ask !== ask) {
      return [];
    }
    symbol.ask = null;
    const steps = this.#join(symbol, "gone", !symbol.confirmed);
    symbol.confirmed = true;
    return steps;
  }

  /** Go on without an answer. */
  failed(ask) {
    const symbol = this.#symbols.get(ask.symbol);
    if (symbol.ask !== ask) {
      return [];
    }
    symbol.ask = null;
    return this.#join(symbol, "unanswered", false);
  }

  #symbol(name) {
    let symbol = this.#symbols.get(name);
    if (symbol === undefined) {
      symbol = {
        name,
        last: null, // the number reached; 0 at the beginning of an epoch, null before the first tick
        ask: null, // what is waited for
        held: [],
        overflowed: false,
        heard: false, // whether a tick has come in this session
        reachedHere: false, // whether `last` came from this session's gateway: within an epoch its numbers never fall
        endTold: false, // whether the end of the epoch has been told before its successor's name
        confirmed: false, // whether the gateway has just said that its epoch is ours: lower numbers are old ones then
        missed: 0,
      };
      this.#symbols.set(name, symbol);
    }
    return symbol;
  }

  #beginEpoch(epoch) {
    const ended = this.#epoch;
    this.#epoch = epoch;
    const steps = [];
    if (ended === 0) {
      return steps; // whatever has come was of this one
    }
    for (const symbol of this.#symbols.values()) {
      const wasWaiting = symbol.ask !== null;
      steps.push(...this.#restart(symbol, ended));
      if (wasWaiting) {
        steps.push(this.#ask(symbol));
      }
    }
    return steps;
  }

  /** Begin a symbol's sequence anew; return the end of the one before, unless that has been told. */
  #restart(symbol, ended) {
    const { name, last, endTold } = symbol;
    const gap = { kind: "gap", symbol: name, epoch: ended, from_seq: last + 1, to_seq: null, because: "epoch" };
    this.#letGo(symbol);
    symbol.last = symbol.missed = 0;
    symbol.reachedHere = symbol.endTold = false;
    return endTold ? [] : [gap];
  }

  #replayed(symbol, answer, most) {
    const steps = [];
    // What the answer says is missing is what is between its ticks, and behind the last.
    for (const tick of answer.events) {
      if (tick.seq > most) {
        break;
      }
      if (tick.seq > symbol.last) {
        steps.push(...this.#gap(symbol, tick.seq - 1, "gone"), this.#deliver(symbol, tick));
      }
    }
    steps.push(...this.#gap(symbol, Math.min(answer.to_seq, most), "gone"));
    return steps;
  }

  /** Hand on what was held, as far as it follows. */
  #join(symbol, because, mayAsk) {
    const steps = [];
    let taken = 0;
    for (const tick of symbol.held) {
      if (tick.seq > symbol.last && before(tick) !== symbol.last) {
        if (mayAsk && !symbol.overflowed) {
          steps.push(this.#ask(symbol));
          break;
        }
        // A tick that stands for some that were handed on, and others, would repeat those.
        const torn = before(tick) < symbol.last;
        steps.push(...this.#gap(symbol, torn ? tick.seq : before(tick), symbol.overflowed ? "overflow" : because));
      }
      taken += 1;
      if (tick.seq > symbol.last) {
        steps.push(this.#deliver(symbol, tick));
      }
    }
    symbol.held.splice(0, taken);
    this.#held -= taken;
    if (symbol.ask === null) {
      symbol.overflowed = false;
    }
    return steps;
  }

  #ask(symbol) {
    symbol.ask = { kind: "ask", symbol: symbol.name, epoch: this.#epoch, after_seq: symbol.last };
    return symbol.ask;
  }

  #hold(symbol, tick) {
    symbol.held.push(tick);
    this.#held += 1;
    if (this.#held > this.#maxHeld) {
      symbol.held.shift();
      this.#held -= 1;
      symbol.overflowed = true;
    }
  }

  #letGo(symbol) {
    this.#held -= symbol.held.length;
    symbol.held = [];
    symbol.ask = null;
    symbol.overflowed = symbol.confirmed = false;
  }

  /** Pass over what is missing up to a number; of what has been passed nothing is missing. */
  #gap(symbol, to_seq, because) {
    const from_seq = symbol.last + 1;
    if (to_seq < from_seq) {
      return [];
    }
    symbol.last = to_seq;
    symbol.endTold = false;
    symbol.missed += to_seq - from_seq + 1;
    return [{ kind: "gap", symbol: symbol.name, epoch: this.#epoch, from_seq, to_seq, because }];
  }

  #deliver(symbol, tick) {
    const missed = symbol.missed + (tick.dropped ?? 0);
    symbol.last = tick.seq;
    symbol.missed = 0;
    symbol.reachedHere = true;
    symbol.confirmed = symbol.endTold = false;
    return { kind: "tick", tick, missed };
  }
}

/**
 * Return how far a replay is taken: to the held tick that is the furthest, if it is a merged one. The one that came last may be
 * an older one, which a rate that has just been chosen begins with.
 *
 * Behind it come ticks that begin where it ends, as those at a rate do. What were replayed beyond would tear the next one, so
 * that it were asked for, and tear the one behind it, and so for ever.
 */
function lastMerged(held) {
  let furthest = null;
  for (const tick of held) {
    if (furthest === null || tick.seq >= furthest.seq) {
      furthest = tick;
    }
  }
  return furthest?.merged > 1 ? furthest.seq : Infinity;
}

/**
 * Return the number of the tick that one follows on.
 *
 * Not by `first_seq`: some of the numbers between it and `seq` may be dropped ones.
 */
function before(tick) {
  return tick.seq - (tick.merged ?? 1) - (tick.dropped ?? 0);
}
