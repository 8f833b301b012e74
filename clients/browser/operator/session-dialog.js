/** All that is known of one session, and what can be done to it. */
import { formatCount } from "../format.js";
import { element, make, setText, showPairs, showProblem, wireDialog } from "./dom.js";
import { formatBytes, formatLimit, formatMoment, formatSpan, words } from "./units.js";

const REFRESH_MS = 2_000;

/** Limits that say how much the ones before them may be exceeded at once, or are times. */
const SECONDS = new Set(["message_timeout", "stall_timeout"]);
const BYTES = new Set(["max_message_bytes", "queue_bytes"]);

/**
 * Wire the dialogs of sessions.
 *
 * @param options.call      (procedure, kwargs) => a promise of the answer
 * @param options.describe  (error) => text
 * @param options.onDone    (text) => …: told what was done
 *
 * Returns `{open, askToClose}`, each `(row) => …`.
 */
export function wireSessionDialogs({ call, describe, onDone }) {
  const dialog = element("session-dialog");
  let shown = null;
  let timer = null;

  const openClose = wireDialog(
    element("close-dialog"),
    element("close-form"),
    element("close-problem"),
    async () => {
      const { session } = shown;
      const { authid, worker } = await call("node.close", { session, reason: element("close-reason").value.trim() || null });
      onDone(`Session ${session} of ${authid} on ${worker} is being closed.`);
      dialog.close();
    },
    describe,
  );
  const openRevoke = wireDialog(
    element("revoke-dialog"),
    element("revoke-form"),
    element("revoke-problem"),
    async () => {
      const { authid, jti, exp } = shown;
      const byToken = new FormData(element("revoke-form")).get("revoke") === "jti";
      const { closed } = await call("auth.revoke", byToken ? { jti, exp } : { sub: authid });
      const what = byToken ? `That token of ${authid} is revoked` : `All tokens of ${authid} are revoked`;
      onDone(`${what}; sessions closed on this worker: ${formatCount(closed)}.`);
      dialog.close();
    },
    describe,
  );

  function askToClose(session) {
    shown = session;
    setText(element("close-text"), `Session ${session.session} of ${session.authid}, from ${session.address}, on ${session.worker}.`);
    element("close-reason").value = "";
    openClose();
  }

  function askToRevoke() {
    const [bySub, byJti] = element("revoke-form").elements.revoke;
    setText(element("revoke-sub"), `All tokens of ${shown.authid} that were issued until now`);
    byJti.disabled = !shown.jti;
    setText(element("revoke-jti"), shown.jti ? `This session's token alone, ${shown.jti}` : "This session's token has no name (jti)");
    bySub.checked = true;
    openRevoke();
  }

  async function refresh() {
    const { session } = shown;
    try {
      const details = await call("node.session", { session });
      if (dialog.open && shown.session === session) {
        shown = details;
        element("session-revoke").disabled = false;
        showProblem(element("session-problem"), null);
        showDetails(details);
      }
    } catch (error) {
      if (dialog.open && shown.session === session) {
        showProblem(element("session-problem"), describe(error));
      }
    }
    if (dialog.open && shown.session === session) {
      timer = setTimeout(refresh, REFRESH_MS);
    }
  }

  dialog.addEventListener("close", () => clearTimeout(timer));
  element("session-close").addEventListener("click", () => askToClose(shown));
  element("session-revoke").addEventListener("click", askToRevoke);

  function open(session) {
    shown = session;
    setText(element("session-title"), `Session ${session.session}`);
    element("session-detail").replaceChildren();
    // Until the token's name is known.
    element("session-revoke").disabled = true;
    showProblem(element("session-problem"), null);
    dialog.showModal();
    void refresh();
  }

  return { open, askToClose };
}

function showDetails(details) {
  const place = element("session-detail");
  if (place.children.length === 0) {
    const part = (heading, list) => make("section", {}, make("h3", { textContent: heading }), list);
    place.append(
      part("Session", make("dl", { className: "pairs" })),
      part("Queue", make("dl", { className: "pairs" })),
      part("Limits in force", make("dl", { className: "pairs" })),
      part("Subscriptions", make("ul", { className: "uris" })),
    );
  }
  const [session, queue, limits, subscriptions] = [...place.children].map((each) => each.lastChild);
  showPairs(session, sessionPairs(details));
  showPairs(queue, queuePairs(details));
  showPairs(limits, limitPairs(details));
  showUris(subscriptions, details);
}

function sessionPairs(details) {
  const now_ms = details.now * 1_000;
  const registered = details.registered.map(({ uri }) => uri).join(", ");
  return [
    ["Authid", details.authid],
    ["Role", details.role],
    ["Tier", details.tier ?? "–"],
    ["Realm", details.realm],
    ["Worker", details.worker],
    ["Address", details.address],
    ["Listener", details.listener ?? "–"],
    ["Transport", details.transport],
    ["Joined", `${formatMoment(details.joined_at * 1_000)} (${formatSpan(Math.max(0, now_ms - details.joined_at * 1_000))} ago)`],
    ["Token ends", `${formatMoment(details.exp * 1_000)} (in ${formatSpan(Math.max(0, details.exp * 1_000 - now_ms))})`],
    ["Closed at", formatMoment(details.ends_at * 1_000), "", "When the token's end and the realm's expiry_grace have passed"],
    ["Token (jti)", details.jti ?? "–"],
    ["Grants symbols", details.symbols === null ? "all" : details.symbols.join(", ") || "none"],
    ["Grants services", details.services.join(", ") || "none"],
    ["Procedures", registered || "none"],
    ["State", details.is_closing ? "being closed" : "open", details.is_closing ? "waiting" : ""],
  ];
}

function queuePairs({ queue }) {
  if (queue === undefined) {
    return [["Waiting", "–"]];
  }
  return [
    ["Waiting", `${formatBytes(queue.bytes)} of ${formatBytes(queue.max_bytes)}, ${formatCount(queue.entries)} events`],
    ["Blocked", queue.blocked_ms > 0 ? `for ${formatSpan(queue.blocked_ms)}` : "no", queue.blocked_ms > 0 ? "waiting" : ""],
    ["Stall timeout", formatSpan(queue.stall_timeout_ms)],
    ["Times blocked", formatCount(queue.times_blocked)],
  ];
}

function limitPairs({ limits, refused, queue }) {
  const inForce = { ...limits, queue_bytes: queue?.max_bytes ?? null, stall_timeout: queue === undefined ? null : queue.stall_timeout_ms / 1_000 };
  return Object.entries(inForce).map(([name, value]) => {
    const text = value === null ? "no limit" : BYTES.has(name) ? formatBytes(value) : SECONDS.has(name) ? `${value} s` : formatLimit(value);
    const times = refused[name] ?? 0;
    return [words(name), times > 0 ? `${text}, refused ${formatCount(times)} times` : text, times > 0 ? "waiting" : "", name];
  });
}

function showUris(list, { subscribed, subscriptions }) {
  const texts = subscribed.map(({ uri, match }) => (match === "exact" ? uri : `${uri === "" ? "(everything)" : uri} (${match})`));
  if (subscriptions > texts.length) {
    texts.push(`… and ${formatCount(subscriptions - texts.length)} more`);
  }
  if (texts.length === 0) {
    texts.push("none");
  }
  if ([...list.children].map((item) => item.textContent).join("\n") !== texts.join("\n")) {
    list.replaceChildren(...texts.map((textContent) => make("li", { textContent })));
  }
}
