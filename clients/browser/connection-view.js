/**
 * Says how connection and feed stand: the line in the bar, the banner when prices stand still, and what a screen reader says
 * of it. Only a change of state is said aloud, never a tick or a second of a countdown.
 */
import { Announcer } from "./announcer.js";
import { formatCount, formatDelay, formatTime } from "./format.js";
import { ConnectionState } from "./market-connection.js";
import { feedIsLive, feedWords, standingOf } from "./standing.js";

/** Why the gateway closed the connection, for somebody who watches prices. */
const CLOSED_BECAUSE = {
  "crosstick.close.stalled": "the gateway closed the line, since this page did not read for too long",
  "crosstick.close.queue_full": "the gateway closed the line, since this page read too slowly",
  "crosstick.close.too_many_bytes": "the gateway closed the line, since too much waited for this page",
  "crosstick.close.limit_exceeded": "the gateway closed the line, since this page went past its limits",
  "crosstick.close.not_joined": "the gateway closed the line, since the join took too long",
  "crosstick.close.message_timeout": "the gateway closed the line, since a message was not complete in time",
  "crosstick.close.draining": "the gateway is about to end, and another one is tried",
  "crosstick.error.not_ready": "the gateway is not ready yet",
  "crosstick.error.limit_exceeded": "the gateway has as many sessions as it may",
};

/** What the feed's state means where no prices can be expected. */
const FEED_IS = {
  feed_lost: "The gateway hears no feed",
  connecting: "The feed is connecting to the exchange",
  subscribing: "The feed is subscribing at the exchange",
};

/** Nothing at all for so long from a feed that is live deserves a word. */
const QUIET_MS = 10_000;

const element = (id) => document.getElementById(id);

function setText(id, text) {
  const target = element(id);
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

export class ConnectionView {
  #onFrozen;
  #now_ms;
  #announcer = new Announcer();
  #line = null; // one of ConnectionState; null while none is tried
  #retryAt_ms = null;
  #feed = null;
  #silent = 0;
  #listed = 0;
  #quiet_ms = null;
  #flowingSince_ms = null; // while line and feed are live
  #age_ms = null;
  #wasLive = false;
  #frozen = null;

  /** `onFrozen` is told whether prices stand still, when that changes; `now_ms` tells a time that never goes back. */
  constructor(onFrozen, now_ms = () => performance.now()) {
    this.#onFrozen = onFrozen;
    this.#now_ms = now_ms;
  }

  /** Whether there is a connection, and a feed that is heard and is live. */
  get flowing() {
    return this.#line === ConnectionState.LIVE && feedIsLive(this.#feed);
  }

  /** Say that there is no connection, and none is tried: `tone` is "waiting" or "bad". */
  rest(tone, text) {
    this.#line = this.#feed = this.#quiet_ms = this.#age_ms = null;
    this.#silent = 0;
    this.#wasLive = false;
    this.#showLine(tone, text);
    this.#showFeed();
    element("interruption").hidden = element("notice").hidden = true;
    this.#say(text, text, this.#now_ms());
  }

  /** Take what MarketConnection's `onState` says. */
  take({ state, reason, uri, retryAt_ms }) {
    this.#line = state;
    this.#retryAt_ms = retryAt_ms;
    if (state === ConnectionState.LIVE) {
      this.#wasLive = true;
    } else if (state === ConnectionState.WAITING) {
      this.#feed = null;
      this.#silent = 0;
      this.#wasLive = true;
      setText("interruption-reason", `No connection: ${CLOSED_BECAUSE[uri] ?? reason}.`);
    }
    this.#quiet_ms = this.#age_ms = null;
    this.#show();
  }

  /** Take the feed's status. */
  takeFeed(status) {
    this.#feed = status;
    this.#show();
  }

  /** Take how many of the symbols shown the exchange is silent about. */
  takeSilent(silent) {
    this.#silent = silent;
    this.#show();
  }

  /** Take how old trades are that are painted now, null where there are none. */
  takeAge(age_ms) {
    this.#age_ms = age_ms;
    this.#show();
  }

  /** Take how many symbols are shown. */
  takeListed(listed) {
    this.#listed = listed;
    this.#show();
  }

  /** Say what changes with time alone; `quiet_ms` is how long nothing has come, null before anything has. */
  tick(quiet_ms) {
    this.#quiet_ms = quiet_ms;
    this.#show();
  }

  #show() {
    if (this.#line === null) {
      return;
    }
    const now_ms = this.#now_ms();
    this.#flowingSince_ms = this.flowing ? (this.#flowingSince_ms ?? now_ms) : null;
    // That nothing came while nothing could is told otherwise.
    const quiet_ms = this.flowing && this.#quiet_ms !== null ? Math.min(this.#quiet_ms, now_ms - this.#flowingSince_ms) : 0;
    const quiet = quiet_ms > QUIET_MS;
    const standing = standingOf({
      line: this.#line,
      wasLive: this.#wasLive,
      feed: this.#feed,
      silent: this.#silent,
      listed: this.#listed,
      quiet,
      age_ms: this.#age_ms,
    });
    const { kind, tone, text, frozen } = standing;
    this.#showLine(tone, text);
    this.#showFeed();
    this.#showBanner(frozen);
    element("notice").hidden = !quiet;
    if (quiet) {
      setText("notice", `Nothing has come for ${formatDelay(Math.floor(quiet_ms / 1_000) * 1_000)}, though connection and feed are up.`);
    }
    const reason = this.#line === ConnectionState.LIVE ? feedReason(this.#feed) : element("interruption-reason").textContent;
    this.#say(kind, frozen ? `${text}. ${reason} Prices stand still.` : text, now_ms);
  }

  #showLine(tone, text) {
    element("connection").dataset.tone = tone;
    setText("connection", text);
  }

  #showFeed() {
    const feedState = element("feed-state");
    if (this.#feed === null) {
      delete feedState.dataset.tone;
      setText("feed-state", "–");
      return;
    }
    const { state, stale } = this.#feed;
    feedState.dataset.tone = state === "live" ? "good" : state === "stale" ? "waiting" : "bad";
    setText("feed-state", feedWords(state) + (state === "stale" ? ` (${formatCount(stale)})` : ""));
  }

  #showBanner(frozen) {
    const isLost = this.#line !== ConnectionState.LIVE;
    if (frozen && !isLost) {
      setText("interruption-reason", feedReason(this.#feed) + errorOf(this.#feed));
    }
    if (frozen) {
      const remaining_s = this.#retryAt_ms === null ? 0 : Math.ceil((this.#retryAt_ms - Date.now()) / 1_000);
      setText("countdown", !isLost ? "" : remaining_s > 0 ? `Reconnecting in ${remaining_s} s.` : "Reconnecting…");
    }
    element("interruption").hidden = !frozen;
    element("retry-now").hidden = this.#line !== ConnectionState.WAITING;
    if (frozen !== this.#frozen) {
      this.#frozen = frozen;
      this.#onFrozen(frozen);
    }
  }

  #say(kind, text, now_ms) {
    const said = this.#announcer.next(kind, text, now_ms);
    if (said !== null) {
      setText("announcer", said);
    }
  }
}

/** Return since when no prices can be expected of a feed, and what it does meanwhile. */
function feedReason(feed) {
  if (feed === null) {
    return "The gateway has not said how its feed stands.";
  }
  const { state, since } = feed;
  const from = typeof since === "number" ? ` since ${formatTime(since)}` : "";
  return `${FEED_IS[state] ?? `The feed is ${feedWords(state)}`}${from}.`;
}

/** Return why a feed has no connection to the exchange, as far as it knows: of one that has another state it is an old word. */
function errorOf(feed) {
  return feed?.state === "connecting" && feed.exchange?.last_error ? ` It says: ${feed.exchange.last_error}.` : "";
}
