/**
 * How things stand, for somebody who looks up from elsewhere: whether what is shown is the market as it is, and if not, why.
 * Pure: the line to the gateway and the feed behind it go in, one short text comes out, as `crosstick watch` has it in a terminal.
 */
import { formatCount, formatDelay, isAhead } from "./format.js";
import { ConnectionState } from "./market-connection.js";

/** States of the feed in which what comes is current. */
const FEED_IS_LIVE = new Set(["live", "stale"]);

/** Trades that are painted so long after the exchange made them are late. */
const LATE_MS = 3_000;

/** Return the feed's state as words: "feed_lost" → "lost". */
export function feedWords(state) {
  return String(state).replace(/^feed_/, "").replaceAll("_", " ");
}

/** Whether what comes from a feed is current; of one of which nothing is known it is not. */
export function feedIsLive(feed) {
  return feed !== null && FEED_IS_LIVE.has(feed.state);
}

/**
 * Return `{kind, tone, text, frozen}`: `kind` is one of few words, by which two standings are the same however their texts
 * differ; `tone` is "good", "waiting" or "bad"; `frozen` tells that prices stand still which were seen to move.
 *
 * @param known.line     one of `ConnectionState`
 * @param known.wasLive  whether it was live before
 * @param known.feed     what `market.status` said last, null while nothing is known
 * @param known.silent   how many of the symbols shown the exchange is silent about
 * @param known.listed   how many are shown
 * @param known.quiet    whether nothing at all has come for long
 * @param known.age_ms   how old trades are that are painted now, null where none are, or nobody knows; negative ahead of now
 */
export function standingOf({ line, wasLive, feed, silent, listed, quiet, age_ms }) {
  if (line === ConnectionState.CONNECTING) {
    const text = wasLive ? "Reconnecting…" : "Connecting…";
    return { kind: wasLive ? "disconnected" : "connecting", tone: "waiting", text, frozen: wasLive };
  }
  if (line !== ConnectionState.LIVE) {
    return { kind: "disconnected", tone: "bad", text: "Disconnected", frozen: true };
  }
  if (!feedIsLive(feed)) {
    const state = feed === null ? "unknown" : feedWords(feed.state);
    return { kind: state === "lost" ? "feed lost" : "feed not live", tone: "bad", text: `Not live: feed ${state}`, frozen: true };
  }
  if (quiet) {
    return { kind: "quiet", tone: "waiting", text: "Live, but nothing comes", frozen: false };
  }
  if (age_ms !== null && age_ms > LATE_MS) {
    return { kind: "late", tone: "waiting", text: `Live, but ${formatDelay(age_ms)} late`, frozen: false };
  }
  if (age_ms !== null && isAhead(age_ms)) {
    return { kind: "ahead", tone: "waiting", text: `Live, but dated ${formatDelay(-age_ms)} ahead`, frozen: false };
  }
  if (silent > 0) {
    const text = silent < listed ? `Live, ${formatCount(silent)} of ${formatCount(listed)} silent` : "Live, but all silent";
    return { kind: "silent", tone: "waiting", text, frozen: false };
  }
  return { kind: "live", tone: "good", text: "Live", frozen: false };
}
