/** The pure parts of the operators' page. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { over, partsOf } from "../../clients/browser/operator/faults.js";
import { verdict } from "../../clients/browser/operator/health.js";
import { readSymbols } from "../../clients/browser/operator/symbols.js";
import { formatBytes, formatMoment, formatSpan, words } from "../../clients/browser/operator/units.js";

test("bytes have one short figure", () => {
  const texts = [0, 512, 999, 1_000, 9_949, 64_000, 1_250_000, 163_000_000, 2_500_000_000].map(formatBytes);
  assert.deepEqual(texts, ["0", "512 B", "999 B", "1.0 kB", "9.9 kB", "64 kB", "1.3 MB", "163 MB", "2.5 GB"]);
});

test("a length of time has its two greatest units", () => {
  const texts = [0, 950, 12_000, 245_000, 240_000, 12_000_000, 187_200_000].map(formatSpan);
  assert.deepEqual(texts, ["0 ms", "950 ms", "12 s", "4 min 5 s", "4 min", "3 h 20 min", "2 d 4 h"]);
});

test("a moment of another day says which", () => {
  const noon = new Date(2026, 10, 26, 12, 0, 5).getTime();
  assert.equal(formatMoment(noon, noon + 1_000), "12:00:05");
  assert.equal(formatMoment(noon, noon + 86_400_000), "2026-11-26 12:00:05");
});

test("names of the API become words", () => {
  assert.equal(words("feed_took_over"), "Feed took over");
});

test("symbols are read once each, in capital letters, and what is none is said", () => {
  assert.deepEqual(readSymbols(" btcusdt, ETHUSDT\nbtcusdt "), ["BTCUSDT", "ETHUSDT"]);
  assert.deepEqual(readSymbols(""), []);
  assert.throws(() => readSymbols("BTC-USDT"), /BTC-USDT is no symbol/);
});

const worker = (name, { ready = true, because = [], degraded = [] } = {}) => ({ worker: name, ready, because, degraded });
const status = (workers, { unanswered = [], draining = false } = {}) => ({
  workers,
  unanswered,
  draining,
  ready: unanswered.length === 0 && workers.every(({ ready }) => ready),
});

test("the verdict is the worst that is known, with every reason", () => {
  assert.deepEqual(verdict(status([worker("a")]), []), { word: "Ready", tone: "good", why: [] });
  assert.equal(verdict(status([worker("a")]), ["feed_lost"]).word, "Degraded");
  assert.deepEqual(verdict(status([worker("a", { degraded: ["bus: away"] })]), []).why, ["bus: away"]);
  const silent = verdict(status([worker("a", { degraded: ["bus: away"] })], { unanswered: ["b"] }), []);
  assert.deepEqual(silent, { word: "Not ready", tone: "bad", why: ["b does not answer", "a: bus: away"] });
  const draining = status([worker("a", { ready: false, because: ["draining"] })], { draining: true });
  assert.equal(verdict(draining, []).word, "Draining");
});

test("what is stands once, and not among what was", () => {
  const [is, was] = [{ fault: "feed_lost", until_ms: null }, { fault: "feed_took_over", until_ms: 0 }];
  assert.deepEqual(over([is, was]), [was]);
});

test("names of machines are told from words", () => {
  assert.deepEqual(partsOf("`because` of `/readyz` says"), [["because", true], [" of ", false], ["/readyz", true], [" says", false]]);
});
