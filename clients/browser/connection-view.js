/**
 * Says how connection and feed stand: the line in the bar, the banner when prices stand still, and what a screen reader says
 * of it. Only a change of state is said aloud, never a tick or a second of a countdown.
 */
import { formatDelay, formatTime } from "./format.js";
import { ConnectionState } from "./market-connection.js";

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
  #state = null;
  #retryAt_ms = null;
  #feed = null;
  #wasLive = false;
  #frozen = null;
  #said = "";

  /** `onFrozen` is told whether prices stand still, when that changes. */
  constructor(onFrozen) {
    this.#onFrozen = onFrozen;
  }

  /** Whether there is a connection, and a feed that is heard. */
  get flowing() {
    return this.#state === ConnectionState.LIVE && this.#feed !== null && FEED_IS[this.#feed.state] === undefined;
  }

  /** Say that there is no connection, and none is tried: `tone` is "waiting" or "bad". */
  rest(tone, text) {
    this.#state = this.#feed = null;
    this.#wasLive = false;
    this.#showLine(tone, text);
    this.#say(text);
  }

  /** Take what MarketConnection's `onState` says. */
  take({ state, reason, uri, retryAt_ms }) {
    this.#state = state;
    this.#retryAt_ms = retryAt_ms;
    if (state === ConnectionState.LIVE) {
      this.#wasLive = true;
      this.#showLine("good", "Live");
    } else if (state === ConnectionState.CONNECTING) {
      this.#showLine("waiting", this.#wasLive ? "Reconnecting…" : "Connecting…");
    } else if (state === ConnectionState.WAITING) {
      this.#feed = null;
      this.#wasLive = true;
      this.#showLine("bad", "Disconnected");
      setText("interruption-reason", `No connection: ${CLOSED_BECAUSE[uri] ?? reason}.`);
    }
    this.#showFeed();
    this.#showBanner();
  }

  /** Take the feed's status. */
  takeFeed(status) {
    this.#feed = status;
    this.#showFeed();
    this.#showBanner();
  }

  /** Say what changes with time alone; `quiet_ms` is how long nothing has come, null before anything has. */
  tick(quiet_ms) {
    const { hidden } = element("interruption");
    if (!hidden && this.#state !== ConnectionState.LIVE) {
      const remaining_s = this.#retryAt_ms === null ? 0 : Math.ceil((this.#retryAt_ms - Date.now()) / 1_000);
      setText("countdown", remaining_s > 0 ? `Reconnecting in ${remaining_s} s.` : "Reconnecting…");
    }
    const quiet = this.flowing && quiet_ms !== null && quiet_ms > QUIET_MS;
    element("notice").hidden = !quiet;
    if (quiet) {
      setText("notice", `Nothing has come for ${formatDelay(Math.floor(quiet_ms / 1_000) * 1_000)}, though connection and feed are up.`);
    }
  }

  #showLine(tone, text) {
    const line = element("connection");
    line.dataset.tone = tone;
    line.textContent = text;
  }

  #showFeed() {
    const feedState = element("feed-state");
    if (this.#feed === null) {
      feedState.textContent = "–";
      delete feedState.dataset.tone;
      return;
    }
    const { state, stale } = this.#feed;
    feedState.dataset.tone = state === "live" ? "good" : "waiting";
    feedState.textContent = state.replaceAll("_", " ") + (stale > 0 ? ` (${stale} silent)` : "");
  }

  #showBanner() {
    const lost = this.#wasLive && this.#state !== ConnectionState.LIVE;
    const feedIs = this.#state === ConnectionState.LIVE && this.#feed !== null ? FEED_IS[this.#feed.state] : undefined;
    if (feedIs !== undefined) {
      const { since } = this.#feed;
      setText("interruption-reason", typeof since === "number" ? `${feedIs} since ${formatTime(since)}.` : `${feedIs}.`);
      setText("countdown", "");
    }
    const frozen = lost || feedIs !== undefined;
    element("interruption").hidden = !frozen;
    element("retry-now").hidden = this.#state !== ConnectionState.WAITING;
    if (frozen !== this.#frozen) {
      this.#frozen = frozen;
      this.#onFrozen(frozen);
    }
    const reason = element("interruption-reason").textContent;
    this.#say(frozen ? `${element("connection").textContent}. ${reason} Prices stand still.` : element("connection").textContent);
    this.tick(null);
  }

  #say(text) {
    if (text !== this.#said) {
      this.#said = text;
      setText("announcer", text);
    }
  }
}
