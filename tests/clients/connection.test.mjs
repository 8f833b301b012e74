/** The life of a MarketConnection, with a fake autobahn-js and a clock of its own. Run by tests/clients/test_modules.py. */
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { AccessRefused, MarketConnection, renewalDelay_ms } from "../../clients/browser/market-connection.js";
import { TOKEN, autobahn, forget, made, settled, tokenWith } from "./fake-autobahn.mjs";

let states;
let onJoin;

function connect(token = TOKEN, url = "ws://gateway/ws") {
  const connection = new MarketConnection({
    autobahn,
    url,
    token,
    onJoin: (session, fail) => onJoin(session, fail),
    onState: ({ state, reason }) => states.push(reason === null ? state : `${state}: ${reason}`),
  });
  connection.open();
  return connection;
}

beforeEach(() => {
  forget();
  states = [];
  onJoin = async () => {};
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

test("a connection joins with the ticket and its subject, and is live when it is set up", async () => {
  let setUp;
  onJoin = () => new Promise((resolve) => (setUp = resolve));
  connect();
  assert.deepEqual([made[0].options.authid, made[0].options.authmethods, made[0].options.onchallenge()], ["alice", ["ticket"], TOKEN]);
  await made[0].join();
  assert.deepEqual(states, ["connecting"]);
  setUp();
  await settled();
  assert.deepEqual(states, ["connecting", "live"]);
});

test("a lost connection is tried again and set up again", async () => {
  let joins = 0;
  onJoin = async () => (joins += 1);
  connect();
  await made[0].join();
  made[0].drop("lost");
  mock.timers.tick(1_000);
  await made[1].join();
  assert.deepEqual(states, ["connecting", "live", "waiting: the line was cut", "connecting", "live"]);
  assert.equal(joins, 2);
});

test("a waiting connection can be told not to wait", () => {
  const connection = connect();
  made[0].drop("unreachable");
  connection.retryNow();
  assert.equal(made.length, 2);
  mock.timers.tick(60_000);
  assert.equal(made.filter(({ isConnected, closeAsked }) => isConnected && !closeAsked).length <= 1, true);
});

test("a refused ticket is the end, whichever way it is refused", () => {
  const reasons = [
    "crosstick.error.authentication_failed",
    ...["authentication_failed", "no_auth_method", "no_such_realm", "no_such_role"].map((error) => `wamp.error.${error}`),
  ];
  for (const reason of reasons) {
    states = [];
    forget();
    connect();
    made[0].drop("closed", { reason, message: "no" });
    mock.timers.tick(3_600_000);
    assert.deepEqual(states, ["connecting", "refused: the gateway refused the ticket"]);
    assert.equal(made.length, 1);
  }
});

test("a session that the gateway closes for reading too slowly is an ordinary loss", async () => {
  for (const cause of ["stalled", "too_many_bytes", "queue_full"]) {
    states = [];
    forget();
    connect();
    await made[0].join();
    made[0].drop("closed", { reason: `crosstick.close.${cause}`, message: "" });
    mock.timers.tick(1_000);
    await made[1].join();
    assert.deepEqual(states, ["connecting", "live", `waiting: crosstick.close.${cause}`, "connecting", "live"]);
  }
});

test("rights that are missing are the end too", async () => {
  for (const error of [new AccessRefused("no right to BTCUSDT"), { error: "wamp.error.not_authorized", args: ["no"] }]) {
    states = [];
    forget();
    onJoin = () => Promise.reject(error);
    connect();
    await made[0].join();
    mock.timers.tick(3_600_000);
    assert.equal(states.at(-1).startsWith("refused: "), true, states);
    assert.equal(made.length, 1);
    assert.equal(made[0].closeAsked, true);
  }
});

test("a set-up that fails is tried again on another session", async () => {
  onJoin = () => Promise.reject({ error: "crosstick.error.not_ready", args: ["no feed yet"] });
  connect();
  await made[0].join();
  assert.deepEqual(states, ["connecting", "waiting: crosstick.error.not_ready: no feed yet"]);
  assert.equal(made[0].closeAsked, true);
  mock.timers.tick(1_000);
  assert.equal(made.length, 2);
});

test("a gateway that does not answer is given up", () => {
  connect();
  mock.timers.tick(15_000);
  assert.deepEqual(states, ["connecting", "waiting: the gateway did not answer in time"]);
  assert.equal(made[0].closeAsked, true);
});

test("a live connection is asked now and then, and given up when it no longer answers", async () => {
  connect();
  await made[0].join();
  mock.timers.tick(15_000);
  assert.equal(made[0].session.calls[0].procedure, "market.status");
  made[0].session.calls[0].resolve({});
  await settled();
  mock.timers.tick(15_000);
  made[0].session.calls[1].reject({ error: "crosstick.error.not_ready" }); // an error is an answer too
  await settled();
  mock.timers.tick(15_000);
  assert.deepEqual(states, ["connecting", "live"]);
  mock.timers.tick(15_000);
  assert.deepEqual(states, ["connecting", "live", "waiting: the gateway no longer answers"]);
});

test("a session that joins after it was given up is not set up", async () => {
  const joined = [];
  onJoin = async (session) => joined.push(session);
  connect();
  mock.timers.tick(15_000);
  await made[0].join();
  assert.deepEqual(joined, []);
  mock.timers.tick(1_000);
  await made[1].join();
  assert.deepEqual(joined, [made[1].session]);
});

test("what a dropped connection still reports is ignored", async () => {
  let failLate;
  onJoin = async (session, fail) => (failLate ??= fail);
  connect();
  await made[0].join();
  made[0].drop("lost");
  mock.timers.tick(1_000);
  await made[1].join();
  failLate(new AccessRefused("too late"));
  made[0].drop("closed", { reason: "crosstick.error.authentication_failed", message: "" });
  await settled();
  assert.equal(states.at(-1), "live");
});

test("a closed connection stays closed", async () => {
  const connection = connect();
  await made[0].join();
  connection.close();
  mock.timers.tick(3_600_000);
  assert.deepEqual(states, ["connecting", "live", "closed"]);
  assert.equal(made.length, 1);
});

test("the end of the only token there is ends the connection", async () => {
  for (const cause of ["token_expired", "token_revoked"]) {
    states = [];
    forget();
    connect();
    await made[0].join();
    made[0].drop("closed", { reason: `crosstick.close.${cause}`, message: "it is over" });
    mock.timers.tick(3_600_000);
    assert.deepEqual(states, ["connecting", "live", "refused: it is over"]);
    assert.equal(made.length, 1);
  }
});

test("with a provider each join has a fresh token, after the end of one too", async () => {
  const tokens = [tokenWith({ jti: "1" }), tokenWith({ jti: "2" })];
  const given = [...tokens];
  connect(async () => given.shift());
  await settled();
  await made[0].join();
  made[0].drop("closed", { reason: "crosstick.close.token_revoked", message: "revoked" });
  mock.timers.tick(1_000);
  await settled();
  assert.deepEqual(made.map(({ options }) => options.onchallenge()), tokens);
  assert.deepEqual(states, ["connecting", "live", "waiting: revoked", "connecting"]);
});

test("a provider is asked for the next token before one ends, and the session goes on with it", async () => {
  const first = tokenWith({ exp: 3_600 });
  const second = tokenWith({ exp: 7_200 });
  const given = [first, second];
  connect(() => given.shift());
  await settled();
  await made[0].join();
  const renewals = () => made[0].session.calls.filter(({ procedure }) => procedure === "auth.renew");
  const untilRenewal_ms = 3_540_000;
  for (let passed_ms = 0; passed_ms < untilRenewal_ms - 15_000; passed_ms += 15_000) {
    mock.timers.tick(15_000);
    await made[0].session.answer("market.status", {});
  }
  assert.equal(renewals().length, 0);
  mock.timers.tick(15_000);
  await settled();
  assert.deepEqual(renewals().map(({ args }) => args), [[second]]);
  assert.deepEqual(states, ["connecting", "live"]);
});

test("a renewal that fails is tried again, and a provider that refuses ends the connection", async () => {
  const outcomes = [() => tokenWith({ exp: 10 }), () => { throw new Error("no network"); }, () => { throw new AccessRefused("signed out"); }];
  connect(() => outcomes.shift()());
  await settled();
  await made[0].join();
  mock.timers.tick(8_000);
  await settled();
  assert.deepEqual(states, ["connecting", "live"]);
  mock.timers.tick(2_000);
  await settled();
  assert.deepEqual(states, ["connecting", "live", "refused: signed out"]);
});

test("a provider that has no token is asked again later, unless it says that there will be none", async () => {
  const outcomes = [() => { throw new Error("no network"); }, () => "nonsense", () => { throw new AccessRefused("signed out"); }];
  connect(() => outcomes.shift()());
  await settled();
  mock.timers.tick(1_000);
  await settled();
  mock.timers.tick(2_000);
  await settled();
  assert.equal(made.length, 0);
  assert.match(states[1], /^waiting: there is no token to join with: no network$/);
  assert.match(states[3], /^waiting: there is no token to join with: This is not a token/);
  assert.equal(states.at(-1), "refused: signed out");
});

test("a connection that is closed while it waits for a token does not come back", async () => {
  let give;
  const connection = connect(() => new Promise((resolve) => (give = resolve)));
  connection.close();
  give(TOKEN);
  await settled();
  mock.timers.tick(60_000);
  assert.equal(made.length, 0);
  assert.deepEqual(states, ["connecting", "closed"]);
});

test("a token is renewed a minute before its end, or in the last fifth of its time", () => {
  assert.equal(renewalDelay_ms(tokenWith({ exp: 3_600 }), 0), 3_540_000);
  assert.equal(renewalDelay_ms(tokenWith({ exp: 100 }), 0), 80_000);
  assert.equal(renewalDelay_ms(tokenWith({ exp: 100 }), 200_000), 1_000);
});

test("the gateway is told the number of the attempt since the last live session", async () => {
  connect();
  made[0].drop("unreachable");
  mock.timers.tick(1_000);
  await made[1].join();
  made[1].drop("lost");
  mock.timers.tick(1_000);
  assert.deepEqual(made.map(({ options }) => options.authextra), [{ attempt: 0 }, { attempt: 1 }, { attempt: 1 }]);
});

test("several gateways are tried in turn from a random one on", () => {
  const urls = ["ws://a/ws", "ws://b/ws", "ws://c/ws"];
  const begun = new Set();
  for (let round = 0; round < 60; round += 1) {
    forget();
    const connection = connect(TOKEN, urls);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      made[attempt].drop("unreachable");
      connection.retryNow();
    }
    const tried = made.map(({ options }) => options.url);
    begun.add(tried[0]);
    assert.deepEqual([...tried.slice(0, 3)].sort(), urls);
    assert.equal(tried[3], tried[0]);
    connection.close();
  }
  assert.equal(begun.size, 3);
  assert.throws(() => connect(TOKEN, []), /there must be a URL/);
  assert.throws(() => connect(TOKEN, ["nonsense"]), /URL/);
});

test("a gateway that ends is followed by another within a second, however many attempts failed before", async () => {
  connect(TOKEN, ["ws://a/ws", "ws://b/ws"]);
  for (let attempt = 0; attempt < 6; attempt += 1) {
    made[attempt].drop("unreachable");
    mock.timers.tick(30_000);
  }
  made[6].drop("closed", { reason: "crosstick.close.draining", message: "" });
  mock.timers.tick(1_000);
  assert.equal(made.length, 8);
  assert.notEqual(made[7].options.url, made[6].options.url);
});
