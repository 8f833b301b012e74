/** The page at `/`: wires token, connection, table, chart and the figures above them. */
import { ClockWatch, localTime_ms } from "./clock.js";
import { ConnectionView } from "./connection-view.js";
import { SymbolDetail } from "./detail.js";
import { FeedMisses } from "./feed-misses.js";
import { formatAge, formatCount, formatDelay, formatLeast, isAhead } from "./format.js";
import { choose, chooseNext, listenToKeys } from "./keyboard.js";
import { ConnectionState } from "./market-connection.js";
import { MarketTable } from "./market-table.js";
import { MarketWatch, summary } from "./market-watch.js";
import { Pace } from "./pace.js";
import { Painter } from "./painter.js";
import { readPalette } from "./palette.js";
import { NONE, write } from "./row.js";
import { MarketState } from "./symbol-state.js";
import { wireThemeButton } from "./theme.js";
import { lasting, ofTab } from "./storage.js";
import { claimsOf, namesToken, takeToken } from "./token.js";
import { TokenPanel, explainRefusal } from "./token-panel.js";

const FIGURES_INTERVAL_MS = 1_000;
const COUNTDOWN_INTERVAL_MS = 250;

/** Ages of ticks of which the median is taken, per second. */
const MOST_AGES = 2_000;

/** From here on a difference of clocks is worth a word. */
const CLOCKS_DIFFER_MS = 1_000;

/** A token that ends within this time is worth a word. */
const TOKEN_ENDS_SOON_MS = 300_000;

const RATE_KEY = "crosstick.rate";
const SYMBOL_KEY = "crosstick.symbol";

const element = (id) => document.getElementById(id);

const painter = new Painter();
const market = new MarketState();
const clocks = new ClockWatch();
const pace = new Pace(performance.now());
const feedMisses = new FeedMisses();

/** About the exchange's time: the gateway's clock where it is known. */
const exchangeTime_ms = () => clocks.clock.at(localTime_ms()) ?? localTime_ms();

const table = new MarketTable({
  table: element("ticker"),
  painter,
  exchangeTime_ms,
  onSelect: chooseSymbol,
  onOrder: ({ held }) => {
    element("order-held").hidden = !held;
  },
  onVisible: (visible) => {
    const listed = market.listed.length;
    write(element("symbol-count"), visible === listed ? formatCount(listed) : `${formatCount(visible)} of ${formatCount(listed)}`);
    element("nothing-matches").hidden = visible > 0 || listed === 0;
  },
});
const detail = new SymbolDetail({
  root: element("detail"),
  painter,
  interval_s: Number(element("interval").querySelector(":checked").value),
  history: (...parameters) => watch.history(...parameters),
});
const view = new ConnectionView((frozen) => {
  table.setFrozen(frozen);
  element("detail").classList.toggle("frozen", frozen);
});
const tokenPanel = new TokenPanel(connect);

let watch = null;
let token = null;
let arrived_ms = null; // when anything of the market came last, as performance.now()
let epoch = 0; // of the feed, 0 while none is known
let unpainted = new Set(); // states whose newest tick has not been painted
let ages_ms = [];

function askForToken(problem = null) {
  watch?.close();
  watch = null;
  clocks.stop();
  view.rest(problem === null ? "waiting" : "bad", problem === null ? "No token" : "Token refused");
  tokenPanel.ask(problem);
}

function connect(givenToken) {
  watch?.close();
  view.rest("waiting", "Connecting…");
  token = givenToken;
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  const handlers = { onJoin, onTick, onGap, onBook, onDay, onStatus, onCounters, onStaleSymbols, onSymbols, onRefusedSymbols, onRefusedRate, onState };
  try {
    watch = new MarketWatch({ autobahn: globalThis.autobahn, url, token, rate: chosenRate(), patterns: true, ...handlers });
  } catch (error) {
    askForToken(error.message);
    return;
  }
  tokenPanel.leave(token);
  watch.open();
}

function onJoin(session) {
  clocks.follow(session);
}

function onTick(tick) {
  arrived_ms = performance.now();
  const state = market.takeTick(tick, arrived_ms);
  if (tick.symbol === detail.symbol) {
    detail.takeTick(tick);
  }
  unpainted.add(state);
  table.changed(tick.symbol);
  painter.ask(noteAges);
}

function onGap(gap) {
  market.takeGap(gap);
  if (gap.symbol === detail.symbol) {
    detail.takeGap(gap.to_seq === null ? null : gap.to_seq - gap.from_seq + 1);
  }
  table.changed(gap.symbol);
}

function onBook(book) {
  arrived_ms = performance.now();
  market.takeBook(book);
  table.changed(book.symbol);
  if (book.symbol === detail.symbol) {
    detail.changed();
  }
}

function onDay(day) {
  market.takeDay(day);
  table.changed(day.symbol);
  if (day.symbol === detail.symbol) {
    detail.changed();
  }
}

function onStatus(status) {
  if (epoch > 0 && status.epoch > epoch) {
    element("restarts").textContent = "The feed has begun anew since this page was opened; how many trades were lost then, nobody can say.";
  }
  epoch = Math.max(epoch, status.epoch);
  view.takeFeed(status);
}

function onCounters(status) {
  feedMisses.take(status);
  const lines = feedMisses.feeds.map(
    ({ feed, grown, count }) => `${feed}: ${formatCount(grown)} while this page looked, ${formatCount(count)} since it began.`,
  );
  write(element("feed-misses"), lines.join(" ") || "No feed has been heard yet.");
}

function onStaleSymbols(symbols) {
  view.takeSilent(symbols.length);
  element("feed-state").title = symbols.length > 0 ? `Silent: ${summary(symbols)}` : "";
  market.markSilent(symbols).forEach(({ symbol }) => table.changed(symbol));
}

function onSymbols(symbols) {
  if (symbols.length === 0 && market.listed.length > 0 && !view.flowing) {
    return; // a gateway that has just begun knows none yet; what is shown stands still meanwhile
  }
  market.list(symbols);
  table.setSymbols(market.listed);
  view.takeListed(symbols.length);
  element("no-symbols").hidden = symbols.length > 0;
  const chosen = symbols.includes(detail.symbol) ? detail.symbol : lasting().getItem(SYMBOL_KEY);
  const symbol = symbols.includes(chosen) ? chosen : (symbols[0] ?? null);
  if (detail.symbol !== null && symbol !== null && symbol !== detail.symbol) {
    write(element("unlisted"), `${detail.symbol} is no longer among the symbols here. The chart is that of ${symbol}.`);
  }
  table.markSelected(symbol);
  detail.show(symbol === null ? null : market.of(symbol));
}

function onRefusedSymbols(symbols) {
  element("symbol-count").title = `Without those that this token has no right to: ${summary(symbols)}`;
}

function onRefusedRate() {
  choose(element("rate"), "");
  element("rate").title = "This gateway has no such rate: every trade comes as it is.";
}

function onState(told) {
  if (told.state === ConnectionState.CLOSED) {
    return; // by this page itself, which says what comes next
  }
  if (told.state === ConnectionState.REFUSED) {
    askForToken(explainRefusal(token, told.reason));
    return;
  }
  view.take(told);
  if (told.state === ConnectionState.LIVE) {
    arrived_ms = performance.now();
    detail.connected();
  } else {
    clocks.stop();
  }
}

function chooseSymbol(symbol) {
  write(element("unlisted"), "");
  lasting().setItem(SYMBOL_KEY, symbol);
  detail.show(market.of(symbol));
}

function chosenRate() {
  return element("rate").querySelector(":checked").value || null;
}

/** How old the ticks are that this frame paints. */
function noteAges() {
  const now_ms = clocks.clock.at(localTime_ms());
  if (now_ms !== null) {
    for (const { ts } of unpainted) {
      if (ages_ms.length < MOST_AGES) {
        ages_ms.push(now_ms - ts);
      }
    }
  }
  unpainted.clear();
}

function paintFigures() {
  const { trades, merged, dropped, lost, unheard } = market.totals;
  const { roundTrip_ms } = clocks.clock;
  const flowing = view.flowing;
  const perSecond = pace.look(trades, performance.now());
  const age_ms = ages_ms.sort((one, other) => one - other)[Math.floor(ages_ms.length / 2)];
  write(element("tick-rate"), flowing ? formatCount(perSecond) : NONE);
  write(element("round-trip"), flowing && roundTrip_ms !== null ? formatDelay(roundTrip_ms) : NONE);
  write(element("tick-age"), flowing && age_ms !== undefined && !isAhead(age_ms) ? formatDelay(Math.max(0, age_ms)) : NONE);
  view.takeAge(age_ms ?? null);
  write(element("merged-total"), formatCount(merged));
  write(element("dropped-total"), formatCount(dropped));
  write(element("missed-total"), formatLeast(dropped + lost, market.lostUnknown));
  element("missed-total").classList.toggle("some", dropped + lost > 0 || market.lostUnknown);
  // The feed's count comes now and then; the ticks of the symbols here show theirs at once.
  const feedMissed = Math.max(feedMisses.total ?? 0, unheard);
  write(element("feed-missed-total"), feedMisses.total === null ? NONE : formatLeast(feedMissed, feedMisses.unknown));
  element("feed-missed-total").classList.toggle("some", feedMissed > 0 || feedMisses.unknown);
  ages_ms = [];
  showClocks();
  showTokenEnd();
  const state = market.listed.length > 0 && detail.symbol !== null ? market.of(detail.symbol) : null;
  let title = "Crosstick";
  if (state !== null && state.price !== null) {
    title = `${flowing ? "" : "⏸ "}${state.priceColumn.rounded(state.price)} ${state.symbol} · Crosstick`;
  }
  if (document.title !== title) {
    document.title = title;
  }
}

/** Ages are right by the gateway's clock; whoever compares them with the clock on the wall should know. */
function showClocks() {
  const { offset_ms } = clocks.clock;
  const differs_ms = offset_ms === null ? 0 : localTime_ms() + offset_ms - Date.now();
  element("clock").hidden = Math.abs(differs_ms) < CLOCKS_DIFFER_MS;
  if (!element("clock").hidden) {
    write(element("clock-differs"), `differs by ${formatDelay(Math.abs(differs_ms))}`);
  }
}

function showTokenEnd() {
  const { exp } = watch === null ? {} : claimsOf(token);
  const left_ms = typeof exp === "number" ? exp * 1_000 - exchangeTime_ms() : Infinity;
  element("token-ends").hidden = left_ms > TOKEN_ENDS_SOON_MS;
  if (!element("token-ends").hidden) {
    write(element("token-ends-in"), left_ms >= 1_000 ? `in ${formatAge(left_ms)}` : "now");
  }
}

function showPalette() {
  const palette = readPalette();
  table.setPalette(palette);
  detail.setPalette(palette);
}

/** One sentence says what something is: in the help, as a tooltip, and to a screen reader. */
function wireHelp() {
  for (const explained of document.querySelectorAll("[data-help]")) {
    const id = `help-${explained.dataset.help}`;
    explained.title = element(id).textContent.trim();
    explained.setAttribute("aria-describedby", id);
  }
}

async function loadChart() {
  try {
    const { PriceChart } = await import("./chart.js");
    detail.useChart(PriceChart);
  } catch (error) {
    console.error(error);
    element("detail").querySelector(".chart").textContent = "The chart's library is missing on the gateway: run `make` there.";
  }
}

function start() {
  const kept = takeToken(location, history, ofTab());
  if (globalThis.autobahn === undefined) {
    view.rest("bad", "autobahn-js is missing on the gateway: run `make` there");
  } else if (kept === null) {
    askForToken();
  } else {
    connect(kept);
  }
}

const filter = element("filter");
const theme = element("theme");
const help = element("help");

wireThemeButton(theme);
wireHelp();
choose(element("rate"), lasting().getItem(RATE_KEY) ?? "");
if (element("rate").querySelector(":checked") === null) {
  choose(element("rate"), "");
}
element("change-token").addEventListener("click", () => askForToken());
element("retry-now").addEventListener("click", () => watch?.retryNow());
element("show-help").addEventListener("click", () => help.showModal());
element("newest").addEventListener("click", () => detail.scrollToNow());
element("rate").addEventListener("change", () => {
  lasting().setItem(RATE_KEY, chosenRate() ?? "");
  watch?.setRate(chosenRate());
});
element("interval").addEventListener("change", ({ target }) => detail.setInterval(Number(target.value)));
element("shape").addEventListener("change", ({ target }) => detail.setLine(target.value === "line"));
filter.addEventListener("input", () => table.setFilter(filter.value));
document.addEventListener("themechange", showPalette);
window.addEventListener("online", () => watch?.retryNow());
window.addEventListener("hashchange", () => namesToken(location) && start());
listenToKeys(
  {
    "/": () => filter.focus(),
    j: () => table.moveFocus(1),
    k: () => table.moveFocus(-1),
    ArrowDown: () => table.moveFocus(1),
    ArrowUp: () => table.moveFocus(-1),
    s: () => table.sortByNext(),
    r: () => chooseNext(element("rate")),
    t: () => theme.click(),
    "?": () => help.showModal(),
  },
  () => {
    if (document.activeElement === filter && filter.value !== "") {
      filter.value = "";
      table.setFilter("");
    }
    document.activeElement?.blur();
  },
);
setInterval(() => view.tick(arrived_ms === null ? null : performance.now() - arrived_ms), COUNTDOWN_INTERVAL_MS);
setInterval(paintFigures, FIGURES_INTERVAL_MS);
showPalette();
start();
loadChart();
