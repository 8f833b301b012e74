/** What the page knows and draws, without a document. Run by tests/clients/test_modules.py. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bars, KEPT_S } from "../../clients/browser/bars.js";
import { ClockWatch, GatewayClock } from "../../clients/browser/clock.js";
import { UNSORTED, nextOrder, passes, sorted } from "../../clients/browser/columns.js";
import { formatChange, formatCompact, formatDelay, formatLeast, NumberColumn } from "../../clients/browser/format.js";
import { Pace } from "../../clients/browser/pace.js";
import { POINTS, POINT_MS, Spark } from "../../clients/browser/spark.js";
import { MarketState } from "../../clients/browser/symbol-state.js";
import { storageOf } from "../../clients/browser/storage.js";
import { chosenTheme } from "../../clients/browser/theme.js";

const tick = (ts, price, more = {}) => ({ symbol: "BTCUSDT", ts, price, volume: 1, ...more });

test("changes, sums and delays are short figures that say no more than is known", () => {
  assert.deepEqual([0.0123, -0.5, 0.00001, -0.00001, 12.3456].map(formatChange), ["+1.23 %", "−50.00 %", "0.00 %", "0.00 %", "+1,235 %"]);
  assert.deepEqual([0, 950, 12_345.6, 1_234_567_890].map(formatCompact), ["0.000", "950.0", "12.35K", "1.235B"]);
  assert.deepEqual([0.42, 9.96, 999, 1_234, 120_000].map(formatDelay), ["0.4 ms", "10 ms", "999 ms", "1.2 s", "2 min"]);
});

test("a calculated figure is shown with a column's decimals, and teaches it none", () => {
  const column = new NumberColumn();
  column.learn(62520.15);
  assert.equal(column.rounded(0.1 + 0.2), "0.30");
  assert.equal(column.decimals, 2);
});

test("of several answers the quickest says how far the clocks differ", () => {
  const clock = new GatewayClock();
  assert.deepEqual([clock.offset_ms, clock.roundTrip_ms, clock.at(5)], [null, null, null]);
  clock.take(1_000, 5_099, 1_200); // offset 3999.5, but 100 ms of that may be the way
  clock.take(2_000, 6_009, 2_020);
  clock.take(3_000, 7_300, 3_400);
  assert.deepEqual([clock.offset_ms, clock.roundTrip_ms, clock.at(5)], [3_999.5, 400, 4_004.5]);
  for (let count = 0; count < 8; count += 1) {
    clock.take(10_000, 10_000, 10_001);
  }
  assert.equal(clock.offset_ms, 0); // the quick one of old has gone
});

test("a gateway without a clock leaves the difference unknown, and another session begins anew", async () => {
  const watch = new ClockWatch();
  watch.follow({ call: () => Promise.resolve(Date.now()) });
  await new Promise(setImmediate);
  assert.ok(Math.abs(watch.clock.offset_ms) < 1_000);
  watch.follow({ call: () => Promise.reject({ error: "wamp.error.no_such_procedure" }) });
  await new Promise(setImmediate);
  assert.equal(watch.clock.offset_ms, null);
  watch.stop();
});

test("trades a second are those of the time that has passed, however late the page looks", () => {
  const pace = new Pace(500);
  assert.deepEqual([pace.look(40, 1_500), pace.look(80, 2_500), pace.look(2_480, 62_500)], [40, 40, 40]);
  assert.equal(pace.look(2_480, 62_500), 0);
});

test("a spark line has the last price of each interval of the last two minutes, and is broken where trades are missing", () => {
  const spark = new Spark();
  const at = (point) => 1_000_000 * POINT_MS + point * POINT_MS;
  spark.take(at(0), 1);
  spark.take(at(0) + 1, 2);
  spark.take(at(3), 3, true);
  assert.deepEqual(spark.points(at(4)), [[4, 2, false], [1, 3, true]]);
  spark.take(at(1), 7); // an older one, which was replayed
  assert.deepEqual(spark.points(at(3)), [[3, 2, false], [2, 7, false], [0, 3, true]]);
  spark.take(at(3 + POINTS), 4);
  assert.deepEqual(spark.points(at(0)), [[0, 4, false]]);
  spark.take(at(3), 9); // too old
  spark.take(NaN, 9);
  assert.deepEqual(spark.points(at(0)), [[0, 4, false]]);
  assert.deepEqual(spark.points(at(1_000)), []);
});

test("ticks become bars of an interval, and an interval without a trade stays empty", () => {
  const bars = new Bars(5);
  [tick(100_000, 10), tick(102_000, 12), tick(104_999, 9, { volume: 2 }), tick(110_000, 11)].forEach((each) => bars.take(each));
  assert.deepEqual(bars.list(0, 100), [
    { time: 100, open: 10, high: 12, low: 9, close: 9, volume: 4, trades: 3, missing: 0 },
    { time: 105 },
    { time: 110, open: 11, high: 11, low: 11, close: 11, volume: 1, trades: 1, missing: 0 },
  ]);
  bars.interval_s = 60;
  assert.deepEqual(bars.list(0, 100), [{ time: 60, open: 10, high: 12, low: 9, close: 11, volume: 5, trades: 4, missing: 0 }]);
  assert.deepEqual(bars.newest, bars.at(60));
  assert.equal(bars.at(120), null);
});

test("a merged tick brings its high, low, volume and number, and opens where the bar before closed", () => {
  const bars = new Bars(1);
  bars.take(tick(100_000, 10));
  bars.take(tick(101_900, 12, { merged: 5, high: 15, low: 8, volume: 7 }));
  assert.deepEqual(bars.at(101), { time: 101, open: 10, high: 15, low: 8, close: 12, volume: 7, trades: 5, missing: 0 });
});

test("where trades are missing the bar behind them says so, be their number known or not", () => {
  const bars = new Bars(1);
  bars.take(tick(100_000, 10));
  bars.takeGap(3);
  bars.takeGap(4);
  bars.take(tick(103_000, 20, { merged: 2, high: 30, low: 20 }));
  bars.take(tick(104_000, 20, { dropped: 2 }));
  bars.takeGap(null);
  bars.take(tick(105_000, 20));
  assert.deepEqual([103, 104, 105].map((time) => bars.at(time).missing), [7, 2, null]);
  assert.equal(bars.at(103).open, 20); // not where the price was before the hole
  bars.interval_s = 60;
  assert.equal(bars.newest.missing, null);
});

test("bars say from where on they have changed, also when the exchange's times go back", () => {
  const bars = new Bars(5);
  bars.take(tick(100_000, 10));
  assert.equal(bars.takeChangedFrom(), 100);
  assert.equal(bars.takeChangedFrom(), Infinity);
  bars.take(tick(121_000, 10));
  bars.take(tick(113_000, 11));
  assert.equal(bars.takeChangedFrom(), 110);
  assert.deepEqual(bars.list(0, 100).map(({ time, close }) => [time, close]), [[100, 10], [105, undefined], [110, 11], [115, undefined], [120, 10]]);
  bars.interval_s = 1;
  assert.equal(bars.takeChangedFrom(), -Infinity);
});

test("bars and lists of them are bounded, whatever times the exchange gives", () => {
  const bars = new Bars(1);
  for (let second = 0; second < KEPT_S + 500; second += 1) {
    bars.take(tick(second * 1_000, second));
  }
  assert.equal(bars.list(0, Infinity).length, KEPT_S);
  bars.take(tick(1e15, 1));
  assert.equal(bars.list(0, 1_800).length, 1_800);
});

test("symbols are sorted by what a column shows, those without it last, equal ones as they were", () => {
  const market = new MarketState();
  market.list(["A", "B", "C", "D"]);
  market.takeTick(tick(1, 5, { symbol: "B" }), 0);
  market.takeTick(tick(9, 7, { symbol: "D" }), 0); // which came no later, but happened later
  const by = (key, direction) => sorted(market.listed, { key, direction }).map(({ symbol }) => symbol).join("");
  assert.deepEqual([by("price", "descending"), by("price", "ascending"), by("symbol", "descending"), by(null, "none"), by("age", "ascending")], ["DBAC", "BDAC", "DCBA", "ABCD", "DBAC"]);
});

test("a column's head goes through its directions and then to the gateway's order", () => {
  const orders = [UNSORTED];
  for (let click = 0; click < 3; click += 1) {
    orders.push(nextOrder(orders.at(-1), "price"));
  }
  assert.deepEqual(orders.map(({ key, direction }) => `${key} ${direction}`), ["null none", "price descending", "price ascending", "null none"]);
  assert.deepEqual(nextOrder(orders[1], "symbol"), { key: "symbol", direction: "ascending" });
});

test("a filter lets pass what contains one of its words", () => {
  assert.deepEqual(["BTCUSDT", "ETHUSDT"].map((symbol) => passes(symbol, " btc  sol ")), [true, false]);
  assert.ok(passes("BTCUSDT", " "));
});

test("merged, dropped and lost trades are counted apart, by symbol and in all", () => {
  const market = new MarketState();
  market.takeTick(tick(1, 10, { merged: 4, seq: 4 }), 0);
  market.takeGap({ symbol: "BTCUSDT", from_seq: 5, to_seq: 9 });
  market.takeTick(tick(2, 11, { merged: 2, dropped: 3, seq: 14 }), 0);
  market.takeGap({ symbol: "BTCUSDT", from_seq: 15, to_seq: null });
  assert.deepEqual(market.totals, { trades: 6, merged: 4, dropped: 3, lost: 5, unheard: 0 });
  const { merged, dropped, missed, direction } = market.of("BTCUSDT");
  assert.deepEqual([merged, dropped, missed, direction], [4, 3, 8, "up"]);
});

test("trades that no feed got are known by ids that jump while seq does not, and are nobody's missed ones", () => {
  const market = new MarketState();
  const bars = new Bars(1);
  const take = (more) => {
    market.takeTick(tick(more.id * 1_000, 10, more), 0);
    bars.take(tick(more.id * 1_000, 10, more));
  };
  const gap = (count) => {
    market.takeGap({ symbol: "BTCUSDT", from_seq: 1, to_seq: count });
    bars.takeGap(count);
  };
  take({ id: 100, seq: 1 });
  take({ id: 104, seq: 2 }); // 101 to 103
  gap(2); // what this client alone has missed both count
  take({ id: 107, seq: 5 });
  take({ id: 112, seq: 9, merged: 3, dropped: 1 }); // one of 108 to 112
  take({ id: 7, seq: 10 }); // the exchange numbers afresh
  gap(null); // and so does the feed
  take({ id: 90, seq: 2 });
  const { unheard, missed } = market.of("BTCUSDT");
  assert.deepEqual([unheard, market.totals.unheard, missed], [4, 4, 3]);
  assert.deepEqual([100, 104, 107, 112, 7, 90].map((time) => bars.at(time).missing), [0, 3, 2, 2, 0, null]);
});

test("of trades that were lost with an epoch nobody knows the number, and the counts say that there are more", () => {
  const market = new MarketState();
  market.takeTick(tick(1, 10, { seq: 4 }), 0);
  market.takeGap({ symbol: "BTCUSDT", from_seq: 5, to_seq: 6 });
  assert.deepEqual([market.lostUnknown, market.of("BTCUSDT").lostUnknown], [false, false]);
  market.takeGap({ symbol: "BTCUSDT", from_seq: 7, to_seq: null });
  market.takeGap({ symbol: "BTCUSDT", from_seq: 1, to_seq: 2 });
  assert.deepEqual([market.lostUnknown, market.of("BTCUSDT").lostUnknown, market.of("ETHUSDT").lostUnknown], [true, true, false]);
  const { missed, lostUnknown } = market.of("BTCUSDT");
  const texts = [formatLeast(missed, lostUnknown), formatLeast(1_234, false), formatLeast(123_456, true)];
  assert.deepEqual(texts, ["4+", "1,234", "123.5K+"]);
});

test("without statistics of the day there is no change, and with them it is last over open", () => {
  const market = new MarketState();
  const state = market.of("BTCUSDT");
  assert.deepEqual([state.change, state.dayVolume], [null, null]);
  market.takeDay({ symbol: "BTCUSDT", last: 110, open: 0, high: 1, low: 1, quote_volume: 5 });
  assert.equal(state.change, null);
  market.takeDay({ symbol: "BTCUSDT", last: 110, open: 100, high: 1, low: 1, quote_volume: 5 });
  assert.deepEqual([state.change.toFixed(3), state.dayVolume], ["0.100", 5]);
});

test("a price that stood still is highlighted when it moves, and one that always moves is not", () => {
  const state = new MarketState().of("BTCUSDT");
  state.takeTick(tick(1, 10), 0);
  state.takeTick(tick(1, 11), 5_000);
  assert.equal(state.moved_ms, 5_000);
  state.takeTick(tick(1, 12), 5_100);
  assert.equal(state.moved_ms, 5_000);
});

test("silent symbols are told by what has changed, and symbols no longer listed are let go", () => {
  const market = new MarketState();
  market.list(["A", "B"]);
  assert.deepEqual(market.markSilent(["A"]).map(({ symbol }) => symbol), ["A"]);
  assert.deepEqual(market.markSilent(["B"]).map(({ symbol }) => symbol), ["A", "B"]);
  const [, kept] = market.listed;
  market.list(["B"]);
  assert.deepEqual(market.listed, [kept]);
  assert.notEqual(market.of("A").silent, true);
  // What is told of before it is listed, as at a join, is not forgotten.
  market.markSilent(["B", "C"]);
  market.list(["B", "C", "D"]);
  assert.deepEqual(market.listed.map(({ silent }) => silent), [true, true, false]);
});

test("a theme that there is not is the system's", () => {
  const storage = { getItem: () => "purple" };
  assert.equal(chosenTheme(storage), "auto");
});

test("where the browser lets a page keep nothing, it is kept for as long as the page is open", () => {
  const blocked = {
    get localStorage() {
      throw new Error("SecurityError");
    },
  };
  const storage = storageOf("localStorage", blocked);
  assert.equal(storage.getItem("a"), null);
  storage.setItem("a", 1);
  assert.equal(storage.getItem("a"), "1");
  storage.removeItem("a");
  assert.equal(storage.getItem("a"), null);
  const allowed = { localStorage: { getItem: () => null } };
  assert.equal(storageOf("localStorage", allowed), allowed.localStorage);
});
