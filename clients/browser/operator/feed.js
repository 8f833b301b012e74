/** The feed that this node's gateway hears. */
import { formatCount } from "../format.js";
import { element, setText, showPairs } from "./dom.js";
import { formatMoment, formatSpan, words } from "./units.js";

const TONES = { live: "good", stale: "waiting", subscribing: "waiting", connecting: "bad", feed_lost: "bad" };

/** `feed` is what `market.status` answers; null before the gateway is up. */
export function showFeed(feed) {
  const state = element("feed-state");
  if (feed === null) {
    setText(state, "not known");
    state.dataset.tone = "bad";
    return;
  }
  setText(state, words(feed.state ?? "feed_lost"));
  state.dataset.tone = TONES[feed.state] ?? "bad";
  const exchange = feed.exchange ?? {};
  const known = (value) => (value === undefined || value === null ? "–" : formatCount(value));
  showPairs(element("feed-facts"), [
    ["Feed", feed.feed ?? "–"],
    ["Role", feed.role ?? "–", feed.role === "leading" ? "" : "bad"],
    ["Since", feed.since ? `${formatMoment(feed.since)} (${formatSpan(Math.max(0, Date.now() - feed.since))})` : "–"],
    ["Epoch", feed.epoch ? String(feed.epoch) : "–", "", feed.epoch ? new Date(feed.epoch).toISOString() : ""],
    ["Symbols", known(feed.symbols)],
    ["Silent", known(feed.stale), feed.stale > 0 ? "waiting" : "", (feed.stale_symbols ?? []).join(", ")],
    ["Exchange", exchange.url ?? "–"],
    ["Connections", known(exchange.connections), exchange.connections === 0 ? "bad" : ""],
    ["Reconnects", known(exchange.reconnects)],
    ["Rotations", known(exchange.rotations), "", "Connections that were relieved before the exchange ended them"],
    ["Paused", exchange.paused ? "yes" : "no", exchange.paused ? "waiting" : "", "Whether the exchange is not read, since the gateway is too slow"],
    ["Last error", exchange.last_error || "none"],
    [
      "Trades no feed got",
      known(feed.counters?.missed_trades),
      feed.counters?.missed_trades > 0 ? "waiting" : "",
      "Since this feed began: made by the exchange, and in nobody's sequence; clients do not count them as missed",
    ],
    ["Batches missed here", known(feed.missed_batches), feed.missed_batches > 0 ? "waiting" : ""],
  ]);
  showPairs(
    element("feed-counters"),
    Object.entries(feed.counters ?? {})
      .filter(([, value]) => typeof value === "number")
      .map(([name, value]) => [words(name), formatCount(value)]),
  );
}
