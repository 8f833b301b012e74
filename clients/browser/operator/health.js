/** How the node stands: the strip at the top, and its workers. */
import { formatCount } from "../format.js";
import { element, make, setText } from "./dom.js";
import { formatBytes, formatSpan } from "./units.js";

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const sessionsOf = (worker) => sum(Object.values(worker.sessions));
const connectionsOf = (worker) => sum(Object.values(worker.connections));

/** Return the one word for the node, its tone, and why, line by line; `faults` are the names of those that are. */
export function verdict(status, faults) {
  const several = status.workers.length + status.unanswered.length > 1;
  const lines = status.workers.flatMap(({ worker, because, degraded }) =>
    [...because, ...degraded].map((line) => (several ? `${worker}: ${line}` : line)),
  );
  const why = [...status.unanswered.map((worker) => `${worker} does not answer`), ...lines];
  if (status.draining) return { word: "Draining", tone: "waiting", why };
  if (!status.ready) return { word: "Not ready", tone: "bad", why };
  if (why.length > 0 || faults.length > 0) return { word: "Degraded", tone: "waiting", why };
  return { word: "Ready", tone: "good", why };
}

export function showHealth(status, faults) {
  const { word, tone, why } = verdict(status, faults);
  element("health").dataset.tone = tone;
  setText(element("health-state"), word);
  setText(element("node-name"), status.node);
  const { workers, unanswered } = status;
  setText(element("worker-count"), unanswered.length ? `${workers.length} of ${workers.length + unanswered.length}` : workers.length);
  setText(element("session-count"), formatCount(sum(workers.map(sessionsOf))));
  setText(element("connection-count"), formatCount(sum(workers.map(connectionsOf))));
  setText(element("memory"), memory(workers.map(({ memory_bytes }) => memory_bytes)));
  setText(element("loop-lag"), lag(Math.max(...workers.map(({ loop_lag_ms }) => loop_lag_ms ?? NaN))));
  setText(element("uptime"), formatSpan(Math.min(...workers.map(({ uptime_s }) => uptime_s)) * 1_000));
  setText(element("version"), status.version);
  element("version").title = `Crossbar ${status.crossbar}, Autobahn ${status.autobahn}, Python ${status.python}`;
  const list = element("health-why");
  list.hidden = why.length === 0;
  if ([...list.children].map((item) => item.textContent).join("\n") !== why.join("\n")) {
    list.replaceChildren(...why.map((line) => make("li", { textContent: line })));
  }
  showWorkers(workers, unanswered);
}

function memory(sizes) {
  return sizes.every((size) => size === null) ? "–" : formatBytes(sum(sizes.map((size) => size ?? 0)));
}

function lag(lag_ms) {
  return Number.isNaN(lag_ms) ? "–" : formatSpan(lag_ms);
}

function showWorkers(workers, unanswered) {
  const rows = workers.map((worker) => [
    worker.worker,
    worker.draining ? "draining" : worker.ready ? (worker.degraded.length ? "degraded" : "ready") : "not ready",
    String(worker.pid),
    formatCount(sessionsOf(worker)),
    formatCount(connectionsOf(worker)),
    memory([worker.memory_bytes]),
    lag(worker.loop_lag_ms ?? NaN),
    formatSpan(worker.uptime_s * 1_000),
  ]);
  rows.push(...unanswered.map((worker) => [worker, "does not answer", "–", "–", "–", "–", "–", "–"]));
  const body = element("worker-rows");
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => {
    const row =
      body.rows[index] ??
      body.appendChild(
        make("tr", {}, make("th", { scope: "row" }), ...cells.slice(1).map((_, at) => make("td", { className: at ? "number" : "" }))),
      );
    cells.forEach((text, at) => setText(row.cells[at], text));
    row.cells[1].dataset.tone = { ready: "good", "not ready": "bad", "does not answer": "bad" }[cells[1]] ?? "waiting";
  });
}
