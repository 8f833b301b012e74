/** The pure modules of clients/browser, by node's own test runner; tests/clients/test_modules.py runs this file. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NumberColumn, decimalsOf, formatAge } from "../../clients/browser/format.js";
import { retryDelay_ms } from "../../clients/browser/backoff.js";
import { summary } from "../../clients/browser/market-watch.js";
import { claimsOf, takeToken } from "../../clients/browser/token.js";

test("decimals are counted also in scientific notation", () => {
  assert.deepEqual([5, 62520.15, 0.3528, 1e-8, 1.5e-7, 1e21].map(decimalsOf), [0, 2, 4, 8, 8, 0]);
});

test("a column keeps the decimals it once needed", () => {
  const column = new NumberColumn();
  assert.deepEqual([62520.1, 62520.15, 62520].map((price) => column.format(price)), ["62,520.1", "62,520.15", "62,520.00"]);
});

test("ages are one short figure", () => {
  const ages = [999, 1_000, 99_000, 100_000, 5_999_000, 6_000_000, 172_800_000].map(formatAge);
  assert.deepEqual(ages, ["now", "1 s", "99 s", "1 min", "99 min", "1 h", "2 d"]);
});

test("delays between attempts are spread from nothing to a ceiling that doubles up to 30 s", () => {
  const ceilings = [0, 1, 2, 3, 4, 5, 6, 5_000].map((attempt) => retryDelay_ms(attempt, () => 1));
  assert.deepEqual(ceilings, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  assert.equal(retryDelay_ms(5, () => 0), 0);
});

test("a token's claims are read as UTF-8", () => {
  const payload = Buffer.from('{"sub":"Zoë"}').toString("base64url");
  assert.equal(claimsOf(`x.${payload}.y`).sub, "Zoë");
});

test("what is no token is refused without being quoted", () => {
  for (const text of ["", "abc", "a.b.c", "e30.e30.x"]) {
    assert.throws(() => claimsOf(text), (error) => /token/.test(error.message) && !(text && error.message.includes(text)));
  }
});

test("the token of the address bar goes before the one kept, and leaves the address bar", () => {
  const storage = new Map([["crosstick.token", "kept"]]);
  storage.getItem = (key) => storage.get(key) ?? null;
  storage.setItem = (key, value) => storage.set(key, value);
  const addresses = [];
  const history = { replaceState: (state, title, address) => addresses.push(address) };
  assert.equal(takeToken({ hash: "", pathname: "/", search: "" }, history, storage), "kept");
  assert.equal(takeToken({ hash: "#token=given", pathname: "/", search: "?a" }, history, storage), "given");
  assert.deepEqual(addresses, ["/?a"]);
  assert.equal(takeToken({ hash: "", pathname: "/", search: "" }, history, storage), "given");
});

test("a long list is summed up", () => {
  assert.equal(summary(["A", "B"]), "A, B");
  assert.equal(summary(["A", "B", "C", "D", "E"]), "A, B, C and 2 more");
});
