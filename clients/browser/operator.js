/** The operators' page at `/operator.html`: wires token, connection, what is asked every two seconds, and the parts that show it. */
import { Announcer } from "./announcer.js";
import { ConnectionState, MarketConnection, describeError } from "./market-connection.js";
import { element, setText, showProblem } from "./operator/dom.js";
import { wireDrain } from "./operator/drain.js";
import { showFaults } from "./operator/faults.js";
import { showFeed } from "./operator/feed.js";
import { showHealth } from "./operator/health.js";
import { wireSessionDialogs } from "./operator/session-dialog.js";
import { SessionTable } from "./operator/sessions.js";
import { operatorStanding } from "./operator/standing.js";
import { wireSymbols } from "./operator/symbols.js";
import { ofTab } from "./storage.js";
import { wireThemeButton } from "./theme.js";
import { claimsOf, keepToken, namesToken, takeToken } from "./token.js";

const REFRESH_MS = 2_000;
const ANSWER_TIMEOUT_MS = 15_000;
const COUNTDOWN_INTERVAL_MS = 250;
const TOKEN_KEY = "crosstick.operator-token";

let connection = null;
let token = null;
let retryAt_ms = null;
let refreshTimer = null;
let status = null;
/** One of `ConnectionState`, null while none is tried; whether it was live before, and all that was asked last was answered. */
let line = null;
let wasLive = false;
let answered = true;
const announcer = new Announcer();
/** The session whose answers are awaited, and whether something else is wanted meanwhile. */
let askedSession = null;
let isAskedAgain = false;

const options = { call, describe: describeError, onDone: tellOutcome };
const dialogs = wireSessionDialogs(options);
const openDrain = wireDrain(options);
const openSymbols = wireSymbols(options);
const table = new SessionTable({ onChange: refresh, onOpen: dialogs.open, onClose: dialogs.askToClose });

/** Call a procedure of the gateway's operators' API. What is not answered, as when the connection is lost, fails after a while. */
async function call(procedure, kwargs = {}) {
  const session = connection?.session ?? null;
  if (session === null) {
    throw new Error("there is no connection to the gateway");
  }
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the gateway has not answered ${procedure}`)), ANSWER_TIMEOUT_MS);
  });
  try {
    return await Promise.race([session.call(procedure, [], kwargs), late]);
  } finally {
    clearTimeout(timer);
  }
}

function tellOutcome(text) {
  setText(element("outcome"), text);
  void refresh();
}

// Connection

function showConnection(tone, text, kind = text) {
  element("connection").dataset.tone = tone;
  setText(element("connection"), text);
  const said = announcer.next(kind, text, performance.now());
  if (said !== null) {
    setText(element("announcer"), said);
  }
}

function showStanding() {
  if (line !== null) {
    const refreshes = element("follow").checked;
    const { kind, tone, text } = operatorStanding({ line, wasLive, refreshes, answered, feed: status?.feed ?? null });
    showConnection(tone, text, kind);
  }
}

function askForToken(problem = null) {
  connection?.close();
  connection = null;
  clearTimeout(refreshTimer);
  line = status = null;
  wasLive = false;
  keepToken(null, ofTab(), TOKEN_KEY);
  showConnection(problem === null ? "waiting" : "bad", problem === null ? "No token" : "Token refused");
  document.body.classList.add("tokenless");
  showProblem(element("token-problem"), problem);
  element("token").value = "";
  element("token").focus();
}

function connect(givenToken) {
  connection?.close();
  token = givenToken;
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  try {
    connection = new MarketConnection({
      autobahn: globalThis.autobahn,
      url,
      token,
      realm: "ops",
      probe: "node.status",
      onJoin: async (session) => takeStatus(await session.call("node.status")),
      onState,
    });
  } catch (error) {
    askForToken(error.message);
    return;
  }
  keepToken(token, ofTab(), TOKEN_KEY);
  document.body.classList.remove("tokenless");
  element("interruption").hidden = true;
  connection.open();
}

function onState({ state, reason, retryAt_ms: nextAttempt_ms }) {
  if (state === ConnectionState.CLOSED) {
    return; // by this page itself, which says what comes next
  }
  retryAt_ms = nextAttempt_ms;
  line = state;
  switch (state) {
    case ConnectionState.LIVE:
      wasLive = answered = true;
      element("interruption").hidden = true;
      document.body.classList.remove("old");
      void refresh();
      break;
    case ConnectionState.WAITING:
      wasLive = true;
      setText(element("interruption-reason"), `No connection: ${reason}.`);
      // What was done was done on that connection; of a drain it is how it ends.
      setText(element("outcome"), "");
      element("interruption").hidden = false;
      document.body.classList.add("old");
      break;
    case ConnectionState.REFUSED:
      askForToken(explainRefusal(reason));
      break;
  }
  showStanding();
  paintCountdown();
}

function explainRefusal(reason) {
  const { exp, role, realm } = claimsOf(token);
  if (typeof exp === "number" && exp * 1_000 < Date.now()) {
    return `Access refused: ${reason}. It expired on ${new Date(exp * 1_000).toLocaleString()}.`;
  }
  const other = role !== "operator" || realm !== "ops" ? ` It is one of role ${role} for realm ${realm}; this page needs role operator and realm ops.` : "";
  return `Access refused: ${reason}.${other}`;
}

function paintCountdown() {
  if (!element("interruption").hidden) {
    const remaining_s = retryAt_ms === null ? 0 : Math.ceil((retryAt_ms - Date.now()) / 1_000);
    setText(element("countdown"), remaining_s > 0 ? `Reconnecting in ${remaining_s} s.` : "Reconnecting…");
  }
}

// What is asked again and again

/** Ask everything anew, and from then on every two seconds. What is wanted while answers are awaited is asked after them. */
async function refresh() {
  clearTimeout(refreshTimer);
  const session = connection?.session ?? null;
  if (session === null) {
    return;
  }
  if (session === askedSession) {
    isAskedAgain = true;
    return;
  }
  askedSession = session;
  isAskedAgain = false;
  const question = table.question;
  const problems = [];
  const ask = async (procedure, kwargs, take) => {
    try {
      const answer = await call(procedure, kwargs);
      if (session === connection?.session) {
        take(answer);
      }
    } catch (error) {
      problems.push({ procedure, error });
    }
  };
  let faults = null;
  await Promise.all([
    ask("node.status", {}, takeStatus),
    ask("node.faults", {}, (answer) => (faults = answer)),
    ask("node.sessions", question, (answer) => table.asks(question) && table.show(answer, isSeveral())),
  ]);
  if (session !== connection?.session) {
    return;
  }
  askedSession = null;
  try {
    showAnswers(faults, problems);
  } finally {
    // Whatever cannot be shown, what comes after it may be: a page that stands still looks like a node where nothing happens.
    if (isAskedAgain) {
      void refresh();
    } else {
      refreshTimer = setTimeout(refreshUnlessHidden, REFRESH_MS);
    }
  }
}

function showAnswers(faults, problems) {
  if (faults !== null) {
    showFaults(faults, isSeveral());
  }
  if (status !== null) {
    showHealth(status, faults?.active ?? []);
  }
  showCallProblems(problems);
  answered = problems.length === 0;
  showStanding();
  if (answered) {
    setText(element("refreshed"), `As of ${new Date().toLocaleTimeString("en-GB")}`);
  }
}

function refreshUnlessHidden() {
  if (document.hidden || !element("follow").checked) {
    refreshTimer = setTimeout(refreshUnlessHidden, REFRESH_MS);
  } else {
    void refresh();
  }
}

function isSeveral() {
  return status !== null && status.workers.length + status.unanswered.length > 1;
}

function takeStatus(answer) {
  status = answer;
  showFeed(status.feed);
}

function showCallProblems([first]) {
  element("call-problem").hidden = first === undefined;
  if (first !== undefined) {
    setText(element("call-problem-what"), `${first.procedure} failed:`);
    setText(element("call-problem-code"), first.error?.error ?? "");
    setText(element("call-problem-text"), first.error?.error ? (first.error.args ?? []).join(" ") : describeError(first.error));
  }
}

element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  connect(element("token").value.trim());
});
element("follow").addEventListener("change", showStanding);
element("change-token").addEventListener("click", () => askForToken());
element("retry-now").addEventListener("click", () => connection?.retryNow());
element("call-problem-seen").addEventListener("click", () => showCallProblems([]));
element("drain").addEventListener("click", () => status !== null && openDrain(status.node));
element("edit-symbols").addEventListener("click", () => openSymbols());
window.addEventListener("online", () => connection?.retryNow());
window.addEventListener("hashchange", () => namesToken(location) && start());
document.addEventListener("visibilitychange", () => !document.hidden && void refresh());
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea, dialog") !== null;
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  if (event.key === "/") {
    event.preventDefault();
    element("search").focus();
  } else if (event.key === "t") {
    element("theme").click();
  }
});
wireThemeButton(element("theme"));
setInterval(() => {
  showStanding();
  paintCountdown();
}, COUNTDOWN_INTERVAL_MS);

function start() {
  const kept = takeToken(location, history, ofTab(), TOKEN_KEY);
  if (globalThis.autobahn === undefined) {
    showConnection("bad", "autobahn-js is missing on the gateway: run `make` there");
  } else if (kept === null) {
    askForToken();
  } else {
    connect(kept);
  }
}

start();
