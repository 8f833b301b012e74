/** What a MarketWatch hands on, with a fake autobahn-js and a clock of its own. Run by tests/clients/test_modules.py. */
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { MarketWatch } from "../../clients/browser/market-watch.js";
import { TOKEN, autobahn, forget, made, refusedTopics, settled } from "./fake-autobahn.mjs";

const LIVE = { epoch: 1, state: "live", stale: 0, stale_symbols: [] };

let told; // by the handlers, one line each

function watch(more = {}) {
  const watched = new MarketWatch({
    autobahn,
    url: "ws://gateway/ws",
    token: TOKEN,
    symbols: ["BTCUSDT"],
    onTick: ({ seq }, missed) => told.push(`tick ${seq}, missed ${missed}`),
    onGap: ({ symbol, epoch, from_seq, to_seq, because }) => told.push(`gap ${symbol} ${epoch} ${from_seq}-${to_seq} ${because}`),
    onReplay: ({ symbol, epoch, after_seq, to_seq, ticks }) => told.push(`replay ${symbol} ${epoch} ${after_seq}-${to_seq} ${ticks}`),
    onBook: ({ bid }) => told.push(`bid ${bid}`),
    onDay: ({ volume }) => told.push(`volume ${volume}`),
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

const replays = (session) => session.calls.filter(({ procedure }) => procedure === "market.replay").map(({ args }) => args);

/** Answer the oldest replay with the ticks of these numbers. */
const replay = (session, seqs, more = {}) =>
  session.answer("market.replay", {
    epoch: 1,
    to_seq: seqs.at(-1),
    events: seqs.map((seq) => ({ symbol: "BTCUSDT", seq })),
    missing: [],
    more: false,
    ...more,
  });

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
  assert.deepEqual(replays(old), []);
  await replay(current, [499, 500]);
  assert.deepEqual(told, [
    "replay BTCUSDT 1 10-500 2",
    "gap BTCUSDT 1 11-498 gone",
    "tick 499, missed 488",
    "tick 500, missed 0",
    "tick 501, missed 0",
  ]);
});

test("after a reconnect what was missed is asked for, and joined with what comes meanwhile", async () => {
  watch();
  const first = await join();
  await tick(first, 10);
  made[0].drop("lost");
  mock.timers.tick(1_000);
  const second = await join();
  assert.deepEqual(replays(second), [["BTCUSDT", 1, 10]]); // where nothing comes, too
  await tick(second, 13);
  told = [];
  await replay(second, [11, 12]);
  assert.deepEqual(told, ["replay BTCUSDT 1 10-12 2", "tick 11, missed 0", "tick 12, missed 0", "tick 13, missed 0"]);
});

test("a hole in the middle of a session is asked for too", async () => {
  watch();
  const session = await join();
  await tick(session, 1);
  await tick(session, 4);
  await replay(session, [2, 3, 4]);
  assert.deepEqual(told.slice(1), ["tick 1, missed 0", "replay BTCUSDT 1 1-4 3", "tick 2, missed 0", "tick 3, missed 0", "tick 4, missed 0"]);
});

test("a gateway that is behind, and one that does not answer, hold nothing up", async () => {
  watch();
  const first = await join();
  await tick(first, 10);
  made[0].drop("lost");
  mock.timers.tick(1_000);
  const second = await join();
  second.calls.find(({ procedure }) => procedure === "market.replay").reject({ error: "wamp.error.invalid_argument" });
  await settled();
  second.calls.splice(0);
  told = [];
  await tick(second, 9);
  await tick(second, 10);
  await tick(second, 11);
  await tick(second, 13);
  mock.timers.tick(15_000); // both the replay and the probe
  await settled();
  assert.deepEqual(told, ["tick 11, missed 0", "gap BTCUSDT 1 12-12 unanswered", "tick 13, missed 1"]);
});

test("a replay that the gateway has no time for is asked for again, and at most five times", async () => {
  watch();
  const session = await join();
  await tick(session, 1);
  await tick(session, 3);
  for (let asked = 0; asked < 5; asked += 1) {
    mock.timers.tick(0);
    const calls = session.calls.filter(({ procedure }) => procedure === "market.replay");
    assert.equal(calls.length, asked + 1);
    calls.at(-1).reject({ error: "crosstick.error.limit_exceeded" });
    await settled();
    for (let passed_ms = 0; passed_ms < 500 + 1_000 * 2 ** asked; passed_ms += 500) {
      mock.timers.tick(500);
      await settled();
      session.calls.filter(({ procedure }) => procedure === "market.status").forEach(({ resolve }) => resolve(LIVE));
      await settled();
    }
  }
  assert.deepEqual(told.slice(1), ["tick 1, missed 0", "gap BTCUSDT 1 2-2 unanswered", "tick 3, missed 1"]);
});

test("another epoch is told as a gap without an end, and begins with its first tick", async () => {
  watch();
  const session = await join();
  await tick(session, 10);
  told = [];
  await session.publish("market.status", { epoch: 2, state: "live", stale: 0 });
  await tick(session, 1);
  assert.deepEqual(told, ["gap BTCUSDT 1 11-null epoch", "live", "tick 1, missed 0"]);
});

test("many replays are asked for a few at a time", async () => {
  const symbols = Array.from({ length: 90 }, (_, number) => `S${number}`);
  watch({ symbols });
  const first = await join();
  for (const symbol of symbols) {
    await first.publish(`market.${symbol}`, { symbol, seq: 1 });
  }
  made[0].drop("lost");
  mock.timers.tick(1_000);
  const second = await join();
  let answered = 0;
  const most = { epoch: 1, to_seq: 1, events: [], missing: [], more: false };
  while (replays(second).length > 0) {
    assert.ok(replays(second).length <= 2);
    answered += 1;
    await second.answer("market.replay", most);
  }
  assert.equal(answered, 80);
  mock.timers.tick(70);
  await settled();
  assert.equal(replays(second).length, 1);
});

test("a gateway of an earlier epoch is left for another", async () => {
  const states = [];
  watch({ onState: ({ state, reason }) => states.push(reason ?? state) });
  const first = await join({ ...LIVE, epoch: 5 });
  await tick(first, 1);
  made[0].drop("lost");
  mock.timers.tick(1_000);
  await join({ ...LIVE, epoch: 4 });
  assert.equal(states.at(-1), "the gateway is at epoch 4, and 5 has begun");
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
  assert.deepEqual([...current.handlers.keys()], ["market.status", "market.BTCUSDT", "market.BTCUSDT.book", "market.BTCUSDT.day"]);
  assert.deepEqual(listed, [["BTCUSDT"]]);
});

test("best prices and the day's figures are handed on as they come, and not subscribed to where nobody wants them", async () => {
  watch();
  const session = await join();
  told = [];
  await session.publish("market.BTCUSDT.book", { symbol: "BTCUSDT", bid: 1 });
  await session.publish("market.BTCUSDT.day", { symbol: "BTCUSDT", volume: 7 });
  assert.deepEqual(told, ["bid 1", "volume 7"]);
  watch({ onBook: null, onDay: null });
  const without = await join();
  assert.deepEqual([...without.handlers.keys()], ["market.status", "market.BTCUSDT"]);
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

test("statistics of the day are handed on where somebody wants them, and may be refused alone", async () => {
  refusedTopics.push("market.ETHUSDT.day");
  watch({ symbols: ["BTCUSDT", "ETHUSDT"], onDay: ({ last }) => told.push(`last ${last}`) });
  const session = await join();
  await session.publish("market.BTCUSDT.day", { symbol: "BTCUSDT", last: 3 });
  await session.publish("market.ETHUSDT", { symbol: "ETHUSDT", seq: 1 });
  assert.deepEqual(told, ["live", "last 3", "tick 1, missed 0"]);
});

test("a change of the rate ends the ticks of the one before, and joins on what they brought", async () => {
  const watched = watch();
  const session = await join();
  await tick(session, 10);
  watched.setRate("every_1s");
  await settled();
  assert.deepEqual([...session.handlers.keys()].sort(), ["market.BTCUSDT.book", "market.BTCUSDT.day", "market.BTCUSDT.every_1s", "market.status"]);
  const merged = (seq, count) => session.publish("market.BTCUSDT.every_1s", { symbol: "BTCUSDT", seq, merged: count });
  told = [];
  await merged(8, 5); // the newest that there was
  await merged(13, 5);
  await replay(session, [11, 12, 13, 14, 15]);
  await merged(18, 5);
  assert.deepEqual(told, [
    "replay BTCUSDT 1 10-15 5",
    ...["tick 11, missed 0", "tick 12, missed 0", "tick 13, missed 0", "tick 18, missed 0"],
  ]);
  assert.deepEqual(session.calls, []);
});

test("a rate that is changed while a replay is under way makes no gap of what the gateway has", async () => {
  const watched = watch();
  const session = await join();
  await tick(session, 12);
  await tick(session, 20);
  watched.setRate("every_1s");
  await settled();
  await session.publish("market.BTCUSDT.every_1s", { symbol: "BTCUSDT", seq: 15, merged: 5 }); // the newest that there was
  told = [];
  await replay(session, [13, 14, 15, 16, 17, 18, 19, 20, 21]);
  assert.deepEqual(told.slice(1), [13, 14, 15, 16, 17, 18, 19, 20, 21].map((seq) => `tick ${seq}, missed 0`));
  assert.deepEqual(session.calls, []);
});

test("a rate that is changed while ticks are being subscribed to leaves none of the rate before", async () => {
  const watched = watch();
  await made.at(-1).join();
  const { session } = made.at(-1);
  const subscribe = session.subscribe.bind(session);
  let grant;
  const granted = new Promise((resolve) => (grant = resolve));
  session.subscribe = async (topic, ...rest) => {
    await (topic === "market.BTCUSDT" ? granted : null);
    return subscribe(topic, ...rest);
  };
  await session.answer("market.status", LIVE);
  watched.setRate("every_1s");
  await settled();
  grant();
  await settled();
  assert.deepEqual([...session.handlers.keys()].filter((topic) => /^market\.BTCUSDT($|\.every)/.test(topic)), ["market.BTCUSDT.every_1s"]);
});

test("after a reconnect ticks come at the rate chosen, and nothing is asked for before the first", async () => {
  watch({ rate: "every_1s" });
  const first = await join();
  await first.publish("market.BTCUSDT.every_1s", { symbol: "BTCUSDT", seq: 10, merged: 2 });
  made[0].drop("lost");
  mock.timers.tick(1_000);
  const second = await join();
  assert.deepEqual(replays(second), []);
  await second.publish("market.BTCUSDT.every_1s", { symbol: "BTCUSDT", seq: 14, merged: 2 });
  assert.deepEqual(replays(second), [["BTCUSDT", 1, 10]]);
  await replay(second, [11, 12, 13, 14, 15]);
  await second.publish("market.BTCUSDT.every_1s", { symbol: "BTCUSDT", seq: 17, merged: 3 });
  assert.deepEqual(told.slice(-5), [11, 12, 13, 14, 17].map((seq) => `tick ${seq}, missed 0`));
});

test("where there is no such rate every trade comes, and that is told", async () => {
  refusedTopics.push("market.BTCUSDT.every_7s");
  watch({ rate: "every_7s", onRefusedRate: (rate) => told.push(`no ${rate}`), onSymbols: (symbols) => told.push(symbols.join()) });
  const session = await join();
  await tick(session, 1);
  assert.deepEqual(told, ["live", "no every_7s", "BTCUSDT", "tick 1, missed 0"]);
});

test("a rate that there is not is asked for once, however many symbols there are", async () => {
  refusedTopics.push("market..every_7s", "market.A.every_7s", "market.B.every_7s");
  const asked = [];
  watch({ symbols: null, patterns: true, rate: "every_7s", onRefusedRate: (rate) => told.push(`no ${rate}`) });
  await made.at(-1).join();
  const { session } = made.at(-1);
  const subscribe = session.subscribe.bind(session);
  session.subscribe = (topic, ...rest) => (asked.push(topic), subscribe(topic, ...rest));
  await session.answer("market.status", LIVE);
  await session.answer("market.symbols", ["A", "B"]);
  assert.deepEqual(told, ["live", "no every_7s"]);
  assert.deepEqual(asked.filter((topic) => topic.endsWith("every_7s")), ["market..every_7s", "market.A.every_7s"]);
  assert.ok(session.handlers.has("market."));
});

test("a token for all symbols subscribes by one pattern per family, and passes over what is no tick", async () => {
  watch({ symbols: null, patterns: true, onDay: () => {} });
  const session = await join();
  await session.answer("market.symbols", ["BTCUSDT", "ETHUSDT"]);
  assert.deepEqual([...session.handlers.keys()], ["market.status", "market.", "market..book", "market..day"]);
  told = [];
  await session.publish("market.", { ...LIVE, state: "stale" });
  await session.publish("market.", { symbol: "ETHUSDT", seq: 1 });
  assert.deepEqual(told, ["tick 1, missed 0"]);
});

test("where patterns are refused each symbol is subscribed to", async () => {
  refusedTopics.push("market.", "market..book", "market..day");
  watch({ symbols: null, patterns: true });
  const session = await join();
  await session.answer("market.symbols", ["BTCUSDT"]);
  assert.deepEqual([...session.handlers.keys()], ["market.status", "market.BTCUSDT", "market.BTCUSDT.book", "market.BTCUSDT.day"]);
});

test("the history of a symbol comes page by page, up to where the page has enough or the line is cut", async () => {
  const watched = watch();
  const pages = [];
  const take = ({ events }) => pages.push(events.map(({ seq }) => seq)) > 0;
  await assert.rejects(watched.history("BTCUSDT", 0, 5, take), /there is no connection/);
  const session = await join();
  const history = watched.history("BTCUSDT", 0, 5, take);
  await settled();
  await replay(session, [2, 3], { more: true });
  assert.deepEqual(replays(session), [["BTCUSDT", 1, 3]]);
  await replay(session, [4, 5, 6], { more: true });
  await history;
  assert.deepEqual(pages, [[2, 3], [4, 5, 6]]);
  const cut = assert.rejects(watched.history("BTCUSDT", 0, 5, take), /the connection was lost/);
  made[0].drop("lost");
  mock.timers.tick(1_000);
  await join();
  await cut;
});
