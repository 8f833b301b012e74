/** How the page itself stands: whether what it shows is the node as it is, and whether that hears a live feed. Pure. */
import { ConnectionState } from "../market-connection.js";
import { feedIsLive, feedWords } from "../standing.js";

/**
 * Return `{kind, tone, text}`; `kind` is one of few words, by which two standings are the same.
 *
 * @param known.line       one of `ConnectionState`
 * @param known.wasLive    whether it was live before
 * @param known.refreshes  whether the page asks again and again
 * @param known.answered   whether all that it asked last was answered
 * @param known.feed       what `market.status` answers on the node, null where it has no gateway yet
 */
export function operatorStanding({ line, wasLive, refreshes, answered, feed }) {
  if (line === ConnectionState.CONNECTING) {
    return { kind: wasLive ? "disconnected" : "connecting", tone: "waiting", text: wasLive ? "Reconnecting…" : "Connecting…" };
  }
  if (line !== ConnectionState.LIVE) {
    return { kind: "disconnected", tone: "bad", text: "Disconnected" };
  }
  if (!answered) {
    return { kind: "unanswered", tone: "bad", text: "Connected, not answered" };
  }
  if (!refreshes) {
    return { kind: "paused", tone: "waiting", text: "Connected, not refreshed" };
  }
  if (!feedIsLive(feed)) {
    const state = feed === null ? "unknown" : feedWords(feed.state ?? "feed_lost");
    return { kind: state === "lost" ? "feed lost" : "feed not live", tone: "bad", text: `Live, feed ${state}` };
  }
  return { kind: "live", tone: "good", text: "Live" };
}
