/** What a MarketWatch hands on, with a fake autobahn-js and a clock of its own. Run by tests/clients/test_modules.py. */
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { MarketWatch } from "../../clients/browser/market-watch.js";
import { TOKEN, autobahn, forget, made, settled } from "./fake-autobahn.mjs";

const LIVE = { epoch: 1, state: "live", stale: 0, stale_symbols: [] };

let told; // by the handlers, one line each

function watch(more = {}) {
  const watched = new MarketWatch({
    autobahn,
    url: "ws://gateway/ws",
    token: TOKEN,
    symbols: ["BTCUSDT"],
    onTick: ({ seq }, missed) => told.push(`tick ${seq}, missed ${missed}`),
    onBook: ({ bid }) => told.push(`bid ${bid}`),
    onStatus: ({ state }) => told.push(state),
    onState: () => {},
    ...more,
  });
  watched.open();
  return watched;
}

/** Join with the newest connection, and answer all that MarketWatch asks at a join; return the session. */
async function join(status = LIVE) {
  const connection = made.at(-1);
  await connection.join();
  await connection.session.answer("market.status", status);
  return connection.session;
}

const tick = (session, seq) => session.publish("market.BTCUSDT", { symbol: "BTCUSDT", seq });

beforeEach(() => {
  forget();
  told = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

test("events of a session that was given up reach nobody, however late they come", async () => {
  watch();
  const old = await join();
  await tick(old, 10);
  mock.timers.tick(15_000);
  mock.timers.tick(15_000); // the probe was not answered
  await tick(old, 11);
  mock.timers.tick(1_000);
  const current = await join();
  told = [];
  await tick(current, 500);
  await tick(old, 12);
  await old.publish("market.BTCUSDT.book", { symbol: "BTCUSDT", bid: 1 });
  await old.publish("market.status", { ...LIVE, epoch: 0, state: "feed_lost" });
  await old.answer("market.status", { ...LIVE, epoch: 0, state: "feed_lost" });
  await tick(current, 501);
  assert.deepEqual(told, ["tick 500, missed 489", "tick 501, missed 0"]);
});

test("after close() nothing is handed on", async () => {
  const closed = watch();
  const session = await join();
  await tick(session, 1);
  closed.close();
  await tick(session, 2);
  assert.deepEqual(told, ["live", "tick 1, missed 0"]);
});

test("answers that come after their session was given up take no subscription from the next", async () => {
  const listed = [];
  watch({ symbols: null, onSymbols: (symbols) => listed.push(symbols) });
  const old = await join();
  mock.timers.tick(15_000); // market.symbols was not answered
  mock.timers.tick(1_000);
  const current = await join();
  await old.answer("market.symbols", ["BTCUSDT"]);
  await current.answer("market.symbols", ["BTCUSDT"]);
  assert.deepEqual([...old.handlers.keys()], ["market.status"]);
  assert.deepEqual([...current.handlers.keys()], ["market.status", "market.BTCUSDT", "market.BTCUSDT.book"]);
  assert.deepEqual(listed, [["BTCUSDT"]]);
});

test("silent symbols are counted by the topic, and their names asked for", async () => {
  const silent = [];
  watch({ onStaleSymbols: (symbols) => silent.push(symbols) });
  const session = await join({ ...LIVE, state: "stale", stale: 1, stale_symbols: ["BTCUSDT"] });
  await session.publish("market.status", { epoch: 1, state: "live", stale: 0 });
  await session.publish("market.status", { epoch: 1, state: "stale", stale: 2 });
  await session.answer("market.status", { ...LIVE, state: "stale", stale: 2, stale_symbols: ["BTCUSDT", "ETHUSDT"] });
  assert.deepEqual(silent, [["BTCUSDT"], [], ["BTCUSDT", "ETHUSDT"]]);
  assert.deepEqual(session.calls, []);
});

test("names of silent symbols are not asked for where nobody wants them", async () => {
  watch();
  const session = await join();
  await session.publish("market.status", { epoch: 1, state: "stale", stale: 2 });
  await settled();
  assert.deepEqual(session.calls, []);
  assert.deepEqual(told, ["live", "stale"]);
});
