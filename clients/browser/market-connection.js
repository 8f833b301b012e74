/**
 * One WAMP session to the gateway, kept up: joins with a ticket, reconnects for ever, gives up only when the ticket is
 * refused. Runs in browsers and in node.js; knows nothing of the page or of topics.
 *
 *   CONNECTING ──set up──► LIVE
 *     │  ▲                  │ lost
 *     │  └──timer── WAITING ◄┤ (also from CONNECTING: lost, or not set up in time)
 *     └──ticket refused──► REFUSED        close() from anywhere ──► CLOSED
 *        (or ended, and there is no other: from LIVE)
 *
 * autobahn-js can reconnect by itself, but its delays crowd around a mean. After a gateway restart every client would
 * come back in the same moment, so each attempt here is a new `autobahn.Connection` after a fully jittered delay.
 */
import { retryDelay_ms } from "./backoff.js";
import { claimsOf } from "./token.js";

export const ConnectionState = Object.freeze({
  CONNECTING: "connecting",
  LIVE: "live",
  WAITING: "waiting",
  REFUSED: "refused",
  CLOSED: "closed",
});

/** Raised (also by `onJoin`) when the gateway says no and asking again would not help. */
export class AccessRefused extends Error {}

/** The gateway's one answer to a ticket it does not accept, and Crossbar's own before it or without the gateway's authenticator. */
const REFUSALS = new Set([
  "crosstick.error.authentication_failed",
  "wamp.error.authentication_failed",
  "wamp.error.no_auth_method",
  "wamp.error.no_such_realm",
  "wamp.error.no_such_role",
]);

/** Why the gateway closes a session whose token is no longer good: the same token would not open another. */
const TOKEN_ENDED = new Set(["crosstick.close.token_expired", "crosstick.close.token_revoked"]);

/** Why a gateway that is about to end closes its sessions: others are up, so there is no reason to wait. */
const DRAINING = "crosstick.close.draining";

/** A token is renewed so long before it ends, or in the last fifth of its time where that is shorter. */
const RENEW_AHEAD_MS = 60_000;

/** What a timer of the platform can wait at most; a later renewal is waited for in parts. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Crossbar's answer to a call, subscription or publication that the token's rights do not cover. */
export const NOT_AUTHORIZED = "wamp.error.not_authorized";

/** What autobahn-js tells of a connection that ended without a word from the gateway. */
const CLOSE_KINDS = {
  unreachable: "the gateway cannot be reached",
  lost: "the line was cut",
  closed: "the gateway closed the line",
  unsupported: "this platform has no WebSocket",
};

/** A session must be set up, and an idle one must answer a call, within this time; else it is taken for lost. */
const ANSWER_TIMEOUT_MS = 15_000;

/** Return how long to wait before a token is renewed in ms, at least a second. */
export function renewalDelay_ms(token, now_ms) {
  const { exp } = claimsOf(token);
  const left_ms = typeof exp === "number" ? exp * 1_000 - now_ms : RENEW_AHEAD_MS;
  return Math.max(1_000, left_ms - Math.min(RENEW_AHEAD_MS, left_ms / 5));
}

/** Return one readable line for whatever autobahn-js or this module throws. */
export function describeError(error) {
  if (error?.error) {
    return [error.error, ...(error.args ?? [])].join(": ");
  }
  return error instanceof Error ? error.message : String(error);
}

export class MarketConnection {
  #autobahn;
  #urls;
  #turn;
  #realm;
  #probe;
  #onProbed;
  #token;
  #provideToken;
  #onJoin;
  #onState;
  #state = null;
  #connection = null;
  #session = null;
  #retryTimer = null;
  #answerTimer = null;
  #renewalTimer = null;
  #failedAttempts = 0;

  /**
   * @param options.autobahn  the autobahn-js module
   * @param options.url       the gateway's WAMP endpoint, e.g. "ws://127.0.0.1:8080/ws"; of several gateways an array: they
   *                          are tried in turn, from a random one on
   * @param options.token     JWT used as WAMP ticket; its `sub` is the authid. Or a function that returns one, or a promise
   *                          of one: it is asked before each join, and for the next token before one ends, by which the
   *                          session goes on. When it throws an AccessRefused, that is the end
   * @param options.onJoin    async (session, fail) => …: subscribe here. Called after *every* join, since subscriptions
   *                          end with their session. The connection is LIVE once it returns. If it throws, or calls
   *                          `fail(error)` later, the session is left and retried, but not after an AccessRefused
   *                          or an error of the gateway that is NOT_AUTHORIZED
   * @param options.probe     a procedure without arguments that is called now and then to see whether the line holds
   * @param options.onProbed  (answer) => …: what it has answered
   * @param options.onState   ({state, reason, uri, retryAt_ms}) => …: `reason` is text or null, `uri` the gateway's for it where it
   *                          gave one, `retryAt_ms` as Date.now()
   *
   * Throws an Error that can be shown when `url` or `token` cannot be right.
   */
  constructor({ autobahn, url, token, onJoin, onState, realm = "market", probe = "market.status", onProbed = () => {} }) {
    this.#autobahn = autobahn;
    this.#urls = (Array.isArray(url) ? url : [url]).map((one) => new URL(one).href);
    if (this.#urls.length === 0) {
      throw new Error("there must be a URL, there was none");
    }
    this.#turn = Math.floor(Math.random() * this.#urls.length);
    this.#realm = realm;
    this.#probe = probe;
    this.#onProbed = onProbed;
    this.#provideToken = typeof token === "function" ? token : null;
    if (this.#provideToken === null) {
      claimsOf(token);
      this.#token = token;
    }
    this.#onJoin = onJoin;
    this.#onState = onState;
  }

  /**
   * The joined session, or null. A session that was given up may go on receiving until the gateway has answered its
   * GOODBYE: whoever subscribes compares, and ignores the events of any session but this.
   */
  get session() {
    return this.#session;
  }

  open() {
    this.#connect();
  }

  /** Skip what is left of a delay, for example when the network has come back. Does nothing in other states. */
  retryNow() {
    if (this.#state === ConnectionState.WAITING) {
      this.#connect();
    }
  }

  /** Leave for good. */
  close() {
    this.#drop();
    this.#enter(ConnectionState.CLOSED);
  }

  #enter(state, { reason = null, uri = null, retryAt_ms = null } = {}) {
    this.#state = state;
    this.#onState({ state, reason, uri, retryAt_ms });
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.#enter(ConnectionState.CONNECTING);
    if (this.#provideToken === null) {
      this.#connectWith(this.#token);
      return;
    }
    const waiting = {}; // in the place of a connection, so that it can be dropped like one
    this.#connection = waiting;
    this.#answerTimer = setTimeout(() => this.#lost("there is no token to join with: none came in time"), ANSWER_TIMEOUT_MS);
    this.#nextToken().then(
      (token) => {
        if (waiting === this.#connection) {
          clearTimeout(this.#answerTimer);
          this.#connectWith(token);
        }
      },
      (error) => {
        if (waiting !== this.#connection) {
          return; // dropped earlier
        }
        if (error instanceof AccessRefused) {
          this.#refused(describeError(error));
        } else {
          this.#lost(`there is no token to join with: ${describeError(error)}`);
        }
      },
    );
  }

  async #nextToken() {
    const token = await this.#provideToken();
    claimsOf(token);
    return token;
  }

  #connectWith(token) {
    this.#token = token;
    const connection = new this.#autobahn.Connection({
      url: this.#urls[this.#turn],
      realm: this.#realm,
      authmethods: ["ticket"],
      authid: claimsOf(token).sub,
      // The gateway counts who comes back.
      authextra: { attempt: this.#failedAttempts },
      onchallenge: () => token,
      serializers: [new this.#autobahn.serializer.JSONSerializer()],
      max_retries: 0,
      use_es6_promises: true,
    });
    this.#connection = connection;
    connection.onopen = (session) => this.#joined(connection, session);
    connection.onclose = (kind, details) => {
      this.#closed(connection, details.reason, details.message || details.reason || CLOSE_KINDS[kind]);
      return true; // no retry by autobahn-js
    };
    this.#answerTimer = setTimeout(() => this.#lost("the gateway did not answer in time"), ANSWER_TIMEOUT_MS);
    connection.open();
  }

  async #joined(connection, session) {
    if (connection !== this.#connection) {
      return; // dropped before it joined
    }
    this.#session = session;
    const fail = (error) => {
      if (connection !== this.#connection) {
        return; // dropped earlier
      }
      if (error instanceof AccessRefused || error?.error === NOT_AUTHORIZED) {
        this.#refused(describeError(error));
      } else {
        this.#lost(describeError(error));
      }
    };
    try {
      await this.#onJoin(session, fail);
    } catch (error) {
      fail(error);
      return;
    }
    if (connection === this.#connection) {
      clearTimeout(this.#answerTimer);
      this.#failedAttempts = 0;
      this.#enter(ConnectionState.LIVE);
      this.#probeLater(connection, session);
      if (this.#provideToken !== null) {
        this.#renewLater(connection, session, renewalDelay_ms(this.#token, Date.now()));
      }
    }
  }

  /** Go on with another token before this one ends; what fails is tried again until the gateway ends the session. */
  #renewLater(connection, session, delay_ms, failedAttempts = 0) {
    const part_ms = Math.min(delay_ms, LONGEST_TIMER_MS);
    this.#renewalTimer = setTimeout(async () => {
      if (delay_ms > part_ms) {
        this.#renewLater(connection, session, delay_ms - part_ms, failedAttempts);
        return;
      }
      try {
        const token = await this.#nextToken();
        if (connection === this.#connection) {
          await session.call("auth.renew", [token]);
          this.#token = token;
        }
        if (connection === this.#connection) {
          this.#renewLater(connection, session, renewalDelay_ms(token, Date.now()));
        }
      } catch (error) {
        if (connection !== this.#connection) {
          return; // dropped meanwhile
        }
        if (error instanceof AccessRefused) {
          this.#refused(describeError(error));
        } else {
          this.#renewLater(connection, session, 1_000 + retryDelay_ms(failedAttempts), failedAttempts + 1);
        }
      }
    }, part_ms);
  }

  /** A network that vanishes silently closes no socket, and a browser cannot ping: so ask something now and then. */
  #probeLater(connection, session) {
    this.#answerTimer = setTimeout(() => {
      this.#answerTimer = setTimeout(() => this.#lost("the gateway no longer answers"), ANSWER_TIMEOUT_MS);
      const answered = () => {
        if (connection === this.#connection) {
          clearTimeout(this.#answerTimer);
          this.#probeLater(connection, session);
        }
      };
      // An error is an answer too.
      session.call(this.#probe).then((answer) => {
        answered();
        if (connection === this.#connection) {
          this.#onProbed(answer);
        }
      }, answered);
    }, ANSWER_TIMEOUT_MS);
  }

  #closed(connection, reasonUri, reason) {
    if (connection !== this.#connection) {
      return; // dropped earlier
    }
    this.#connection = null; // it has ended: autobahn-js would say GOODBYE once more, on a line that is closed
    if (REFUSALS.has(reasonUri)) {
      this.#refused("the gateway refused the ticket");
    } else if (TOKEN_ENDED.has(reasonUri) && this.#provideToken === null) {
      this.#refused(reason);
    } else if (reasonUri === DRAINING) {
      // All its clients go at once; not in the same moment, but there is nothing to wait for.
      this.#lost(reason, reasonUri, retryDelay_ms(0));
    } else {
      this.#lost(reason, reasonUri);
    }
  }

  #refused(reason) {
    this.#drop();
    this.#enter(ConnectionState.REFUSED, { reason });
  }

  #lost(reason, uri = null, delay_ms = retryDelay_ms(this.#failedAttempts)) {
    this.#drop();
    this.#failedAttempts += 1;
    this.#turn = (this.#turn + 1) % this.#urls.length;
    this.#retryTimer = setTimeout(() => this.#connect(), delay_ms);
    this.#enter(ConnectionState.WAITING, { reason, uri, retryAt_ms: Date.now() + delay_ms });
  }

  /** Part with the current connection, if any; whatever it still reports is ignored from here on. */
  #drop() {
    clearTimeout(this.#answerTimer);
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#renewalTimer);
    const connection = this.#connection;
    this.#connection = null;
    this.#session = null;
    if (connection?.isConnected) {
      connection.close();
    }
  }
}
