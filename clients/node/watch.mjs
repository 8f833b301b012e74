/**
 * Print the ticks of some symbols, one JSON object a line; what happens to the connection goes to stderr.
 *
 *     CROSSTICK_TOKEN=$(crosstick token --sub me --role viewer) node clients/node/watch.mjs BTCUSDT ETHUSDT
 *
 * CROSSTICK_URL is the gateway, by default ws://127.0.0.1:8080/ws; or several, with commas between. Exit codes: 0 after
 * SIGINT or SIGTERM, 2 for wrong use and when the gateway refuses the token.
 */
import { ConnectionState, MarketWatch } from "./market-client.mjs";

const GOODBYE_TIMEOUT_MS = 2_000;

const say = (text) => process.stderr.write(`${text}\n`);

const fail = (text) => {
  say(text);
  process.exit(2);
};

const symbols = process.argv.slice(2);
const token = process.env.CROSSTICK_TOKEN;
const url = (process.env.CROSSTICK_URL ?? "ws://127.0.0.1:8080/ws").split(",").map((one) => one.trim());

if (symbols.length === 0) {
  fail("usage: CROSSTICK_TOKEN=… node watch.mjs SYMBOL…");
}
if (!token) {
  fail("CROSSTICK_TOKEN is not set; `crosstick token --sub me --role viewer` prints one");
}

function onState({ state, reason, retryAt_ms }) {
  if (state === ConnectionState.REFUSED) {
    fail(`refused: ${reason}`);
  } else if (state === ConnectionState.WAITING) {
    say(`lost: ${reason}; next attempt in ${((retryAt_ms - Date.now()) / 1_000).toFixed(1)} s`);
  } else {
    say(state);
  }
}

function onTick(tick) {
  process.stdout.write(`${JSON.stringify(tick)}\n`);
}

function onGap({ symbol, epoch, from_seq, to_seq, because }) {
  say(`gap: ${symbol} ${from_seq} to ${to_seq ?? "?"} of epoch ${epoch}: ${because}`);
}

function onReplay({ symbol, after_seq, to_seq, ticks }) {
  say(`replayed: ${ticks} ticks of ${symbol} after ${after_seq} up to ${to_seq}`);
}

function onRefusedSymbols(refused) {
  say(`no right to ${refused.join(", ")}`);
}

let watch;
try {
  watch = new MarketWatch({ url, token, symbols, onTick, onGap, onReplay, onState, onRefusedSymbols });
} catch (error) {
  fail(error.message);
}
watch.open();

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    watch.close();
    // Unreferenced: it only matters when the gateway leaves the goodbye unanswered.
    setTimeout(() => process.exit(0), GOODBYE_TIMEOUT_MS).unref();
  });
}
// A reader that has gone, as in `… | head`, is an ordinary end.
process.stdout.on("error", (error) => process.exit(error.code === "EPIPE" ? 0 : 1));
