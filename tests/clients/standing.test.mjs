/** How the pages say how things stand, and what they let a screen reader say. Run by tests/clients/test_modules.py. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Announcer } from "../../clients/browser/announcer.js";
import { FeedMisses } from "../../clients/browser/feed-misses.js";
import { operatorStanding } from "../../clients/browser/operator/standing.js";
import { standingOf } from "../../clients/browser/standing.js";

const known = { line: "live", wasLive: true, feed: { state: "live" }, silent: 0, listed: 121, quiet: false, age_ms: 20 };
const text = (more) => standingOf({ ...known, ...more }).text;

test("only a live line with a live feed behind it is live, and what is silent is said", () => {
  assert.deepEqual(standingOf(known), { kind: "live", tone: "good", text: "Live", frozen: false });
  for (const [state, word] of [["feed_lost", "lost"], ["connecting", "connecting"], ["subscribing", "subscribing"], ["of_tomorrow", "of tomorrow"]]) {
    const { tone, frozen, ...standing } = standingOf({ ...known, feed: { state } });
    assert.deepEqual([standing.text, tone, frozen], [`Not live: feed ${word}`, "bad", true]);
  }
  assert.equal(text({ feed: null }), "Not live: feed unknown");
  assert.equal(text({ feed: { state: "stale" }, silent: 2 }), "Live, 2 of 121 silent");
  assert.equal(text({ feed: { state: "stale" }, silent: 121 }), "Live, but all silent");
  assert.equal(text({ age_ms: 4_480, silent: 2 }), "Live, but 4.5 s late");
  assert.equal(text({ age_ms: -158_000, silent: 2 }), "Live, but dated 2 min ahead");
  // That much clocks may differ.
  assert.equal(text({ age_ms: -4_900 }), "Live");
  assert.equal(text({ age_ms: null }), "Live");
  // Of symbols that are not shown here nobody need know.
  assert.equal(text({ feed: { state: "stale" } }), "Live");
  assert.equal(text({ quiet: true, silent: 2 }), "Live, but nothing comes");
});

test("without a line nothing is live, whatever the feed was", () => {
  assert.deepEqual(["waiting", "connecting"].map((line) => text({ line })), ["Disconnected", "Reconnecting…"]);
  const first = standingOf({ ...known, line: "connecting", wasLive: false, feed: null });
  assert.deepEqual([first.text, first.frozen], ["Connecting…", false]);
  // One attempt after the other is one and the same fault.
  assert.equal(standingOf({ ...known, line: "connecting" }).kind, standingOf({ ...known, line: "waiting" }).kind);
});

test("a change of kind is said once, and not again at each attempt", () => {
  const announcer = new Announcer();
  const said = [];
  const hear = (kind, now_ms) => said.push(announcer.next(kind, `${kind} at ${now_ms}`, now_ms));
  [["live", 0], ["live", 250], ["disconnected", 500], ["disconnected", 9_000], ["live", 12_000]].forEach((each) => hear(...each));
  assert.deepEqual(said, ["live at 0", null, "disconnected at 500", null, "live at 12000"]);
});

test("what comes and goes is held back for a while, and said then if it is still so", () => {
  const announcer = new Announcer();
  assert.equal(announcer.next("feed lost", "lost", 0), "lost");
  assert.equal(announcer.next("live", "live", 1_000), "live");
  assert.equal(announcer.next("feed lost", "lost", 2_000), null);
  assert.equal(announcer.next("live", "live", 3_000), null); // that it was lost again was not said
  assert.equal(announcer.next("feed lost", "lost", 9_000), null);
  assert.equal(announcer.next("feed lost", "lost", 10_000), "lost");
  assert.equal(announcer.next("live", "live", 10_500), "live");
});

test("that symbols fall silent is said now and then, and that they trade again never", () => {
  const announcer = new Announcer();
  announcer.next("live", "live", 0);
  assert.equal(announcer.next("silent", "2 silent", 1_000), "2 silent");
  assert.equal(announcer.next("live", "live", 60_000), null);
  assert.equal(announcer.next("silent", "3 silent", 61_000), null);
  assert.equal(announcer.next("feed lost", "lost", 62_000), "lost");
  assert.equal(announcer.next("live", "live", 90_000), "live");
  assert.equal(announcer.next("silent", "3 silent", 301_000), "3 silent");
});

const status = (feed, missed_trades, since_lead = missed_trades, started = 1) => ({
  feed,
  started,
  counters: { missed_trades },
  since_lead: { missed_trades: since_lead },
});

test("what no feed got is counted from the first word on, feed by feed", () => {
  const misses = new FeedMisses();
  assert.equal(misses.total, null);
  [status("a", 40), status("a", 40), status("a", 43)].forEach((each) => misses.take(each));
  assert.equal(misses.total, 3);
  // Others take over: what one had counted in a lead before, or cut off from the bus, it has not counted in this one.
  [status("b", 0), status("b", 2), status("c", 9, 4), status("a", 50, 1)].forEach((each) => misses.take(each));
  assert.deepEqual([misses.total, misses.unknown], [10, false]);
  assert.deepEqual(misses.feeds, [
    { feed: "a", grown: 4, count: 50 },
    { feed: "c", grown: 4, count: 9 },
    { feed: "b", grown: 2, count: 2 },
  ]);
});

test("an old word of a gateway that is behind adds nothing, and one that was started anew is another feed", () => {
  const misses = new FeedMisses();
  [status("a", 40), status("a", 45), status("a", 42), status("a", 45)].forEach((each) => misses.take(each));
  assert.equal(misses.total, 5);
  [status("b", 3), status("a", 44), status("b", 3), status("b", 4)].forEach((each) => misses.take(each));
  assert.equal(misses.total, 9);
  [status("a", 2, 2, 9_000), status("a", 3, 3, 9_000)].forEach((each) => misses.take(each));
  assert.deepEqual([misses.total, misses.unknown, misses.feeds.length], [12, false, 3]);
});

test("of feeds that say neither when they were started nor since when they lead, what is not known is said to be so", () => {
  const old = (feed, missed_trades) => ({ feed, counters: { missed_trades } });
  const misses = new FeedMisses();
  [old("a", 40), old("a", 41), old("b", 0), old("b", 1)].forEach((each) => misses.take(each));
  assert.deepEqual([misses.total, misses.unknown], [2, false]);
  misses.take(old("c", 9));
  assert.deepEqual([misses.total, misses.unknown], [2, true]);
});

test("a status without what counts tells nothing, and feeds that are remembered are bounded", () => {
  const misses = new FeedMisses();
  [{}, { feed: "a" }, status(null, 3), status("a", -1), status("a", "7"), status("a", 1.5)].forEach((each) => misses.take(each));
  assert.equal(misses.total, null);
  for (let number = 0; number < 100; number += 1) {
    misses.take(status(`feed-${number}`, 0));
  }
  assert.equal(misses.feeds.length, 16);
  assert.equal(misses.feeds[0].feed, "feed-99");
});

test("the operators' page is live where it is answered, refreshes, and the node hears a live feed", () => {
  const all = { line: "live", wasLive: true, refreshes: true, answered: true, feed: { state: "stale" } };
  const words = (more) => operatorStanding({ ...all, ...more }).text;
  assert.equal(words({}), "Live");
  assert.equal(words({ feed: { state: "feed_lost" } }), "Live, feed lost");
  assert.equal(words({ feed: null }), "Live, feed unknown");
  assert.equal(words({ refreshes: false }), "Connected, not refreshed");
  assert.equal(words({ answered: false, refreshes: false }), "Connected, not answered");
  assert.deepEqual(["waiting", "connecting"].map((line) => words({ line })), ["Disconnected", "Reconnecting…"]);
  assert.equal(words({ line: "connecting", wasLive: false }), "Connecting…");
});
