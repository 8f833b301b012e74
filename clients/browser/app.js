/** The page at `/`: wires token, connection, table and the figures above it. */
import { ConnectionState } from "./market-connection.js";
import { MarketWatch, summary } from "./market-watch.js";
import { formatCount } from "./format.js";
import { TickerTable } from "./ticker-table.js";
import { claimsOf, keepToken, takeToken } from "./token.js";

const RATE_INTERVAL_MS = 1_000;
const COUNTDOWN_INTERVAL_MS = 250;

const element = (id) => document.getElementById(id);
const connectionLine = element("connection");
const interruption = element("interruption");
const tokenInput = element("token");
const tokenProblem = element("token-problem");
const filterInput = element("filter");

const table = new TickerTable(element("ticker"), (visible) => {
  element("nothing-matches").hidden = visible > 0 || table.symbolCount === 0;
});

let watch = null;
let token = null;
let retryAt_ms = null;
let ticksInInterval = 0;
let missedTotal = 0;

function setText(id, text) {
  const target = element(id);
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

/** `tone` colours the line: good, waiting or bad. */
function showConnection(tone, text) {
  connectionLine.dataset.tone = tone;
  connectionLine.textContent = text;
}

function askForToken(problem = null) {
  watch?.close();
  watch = null;
  keepToken(null, sessionStorage);
  showConnection(problem === null ? "waiting" : "bad", problem === null ? "No token" : "Token refused");
  document.body.classList.add("tokenless");
  tokenProblem.hidden = problem === null;
  tokenProblem.textContent = problem ?? "";
  tokenInput.value = "";
  tokenInput.focus();
}

function connect(givenToken) {
  watch?.close();
  token = givenToken;
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  try {
    const handlers = { onTick, onBook, onStatus, onStaleSymbols, onSymbols, onRefusedSymbols, onState };
    watch = new MarketWatch({ autobahn: globalThis.autobahn, url, token, ...handlers });
  } catch (error) {
    askForToken(error.message);
    return;
  }
  keepToken(token, sessionStorage);
  document.body.classList.remove("tokenless");
  interruption.hidden = true;
  watch.open();
}

function onTick(tick, missed) {
  ticksInInterval += tick.merged ?? 1;
  missedTotal += missed;
  table.takeTick(tick, missed);
}

function onBook(book) {
  table.takeBook(book);
}

function onStatus({ state, stale }) {
  const feedState = element("feed-state");
  feedState.dataset.tone = state === "live" ? "good" : "waiting";
  feedState.textContent = stale > 0 ? `${state} (${formatCount(stale)})` : state.replaceAll("_", " ");
}

function onStaleSymbols(symbols) {
  element("feed-state").title = symbols.length > 0 ? `Silent: ${summary(symbols)}` : "";
  table.markStale(symbols);
}

function onSymbols(symbols) {
  table.setSymbols(symbols);
  setText("symbol-count", formatCount(symbols.length));
}

function onRefusedSymbols(symbols) {
  element("symbol-count").title = `Without those that this token has no right to: ${summary(symbols)}`;
}

function onState({ state, reason, retryAt_ms: nextAttempt_ms }) {
  retryAt_ms = nextAttempt_ms;
  switch (state) {
    case ConnectionState.LIVE:
      showConnection("good", "Live");
      interruption.hidden = true;
      table.setFrozen(false);
      break;
    case ConnectionState.CONNECTING:
      showConnection("waiting", "Connecting…");
      break;
    case ConnectionState.WAITING:
      showConnection("bad", "Disconnected");
      setText("interruption-reason", `No connection: ${reason}.`);
      setText("feed-state", "–");
      interruption.hidden = false;
      table.setFrozen(true);
      break;
    case ConnectionState.REFUSED:
      askForToken(explainRefusal(reason));
      break;
  }
  paintCountdown();
}

function explainRefusal(reason) {
  const { exp } = claimsOf(token);
  const expired = typeof exp === "number" && exp * 1_000 < Date.now();
  const because = expired ? ` It expired on ${new Date(exp * 1_000).toLocaleString()}.` : "";
  return `Access refused: ${reason}.${because} Trying again would not help; please use another token.`;
}

function paintCountdown() {
  if (interruption.hidden) {
    return;
  }
  const remaining_s = retryAt_ms === null ? 0 : Math.ceil((retryAt_ms - Date.now()) / 1_000);
  setText("countdown", remaining_s > 0 ? `Reconnecting in ${remaining_s} s.` : "Reconnecting…");
}

function paintFigures() {
  setText("tick-rate", formatCount((ticksInInterval * 1_000) / RATE_INTERVAL_MS));
  setText("missed-total", formatCount(missedTotal));
  ticksInInterval = 0;
}

element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  connect(tokenInput.value.trim());
});
element("change-token").addEventListener("click", () => askForToken());
element("retry-now").addEventListener("click", () => watch?.retryNow());
filterInput.addEventListener("input", () => table.setFilter(filterInput.value));
window.addEventListener("online", () => watch?.retryNow());
window.addEventListener("hashchange", start);
setInterval(paintCountdown, COUNTDOWN_INTERVAL_MS);
setInterval(paintFigures, RATE_INTERVAL_MS);

function start() {
  const kept = takeToken(location, history, sessionStorage);
  if (globalThis.autobahn === undefined) {
    showConnection("bad", "autobahn-js is missing on the gateway: run `make` there");
  } else if (kept === null) {
    askForToken();
  } else {
    connect(kept);
  }
}

start();
