/** What is wrong, by name, and what was lately. */
import { element, make, setText } from "./dom.js";
import { formatMoment, formatSpan, words } from "./units.js";

/** Return what stands under "Lately": what is over. What is stands above it already. */
export const over = (recent) => recent.filter(({ until_ms }) => until_ms !== null);

/** Return a text with names in backticks as `[text, isName]`, one part after the other, none of them empty. */
export function partsOf(text) {
  return text
    .split("`")
    .map((part, index) => [part, index % 2 === 1])
    .filter(([part]) => part !== "");
}

export function showFaults({ active, recent, unanswered }, severalWorkers) {
  const now_ms = Date.now();
  setText(element("fault-count"), active.length === 0 ? "none active" : `${active.length} active`);
  const list = element("active-faults");
  fill(list, active, (fault) => `${fault.worker} ${fault.fault}`, activeFault);
  active.forEach((fault, index) => {
    const [head, , detail] = list.children[index].children;
    setText(head.lastChild, `for ${formatSpan(Math.max(0, now_ms - fault.since_ms))}${severalWorkers ? `, ${fault.worker}` : ""}`);
    setText(detail, fault.detail);
    detail.hidden = fault.detail === "";
  });
  const past = over(recent);
  const rows = element("recent-faults");
  fill(rows, past, (fault) => `${fault.worker} ${fault.fault} ${fault.since_ms}`, recentFault);
  past.forEach((fault, index) => {
    const [when, what, detail] = rows.rows[index].cells;
    setText(when, formatMoment(fault.until_ms, now_ms));
    when.title = `since ${formatMoment(fault.since_ms, now_ms)}`;
    const times = fault.count > 1 ? ` ×${fault.count}` : "";
    setText(what, words(fault.fault) + times);
    what.title = fault.help;
    setText(detail, (severalWorkers ? `${fault.worker}: ` : "") + (fault.detail || fault.help));
  });
  element("recent-heading").hidden = past.length === 0;
  element("no-faults").hidden = active.length > 0 || past.length > 0 || unanswered.length > 0;
  if (unanswered.length > 0) {
    setText(element("fault-count"), `${element("fault-count").textContent}; not known of ${unanswered.join(", ")}`);
  }
}

/** Let a list have one child for each entry, in their order, and keep those that are there. */
function fill(list, entries, keyOf, makeOne) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const wanted = entries.map((entry) => {
    const key = keyOf(entry);
    const child = known.get(key) ?? makeOne(entry);
    child.dataset.key = key;
    return child;
  });
  if (wanted.length !== list.children.length || wanted.some((child, index) => child !== list.children[index])) {
    list.replaceChildren(...wanted);
  }
}

function activeFault(fault) {
  const item = make(
    "li",
    {},
    make("p", { className: "fault-head" }, make("strong", { textContent: words(fault.fault) }), make("span", { className: "aside" })),
    make("p", { textContent: fault.help }),
    make("p", { className: "fault-detail" }),
  );
  if (fault.remedy) {
    const remedy = partsOf(fault.remedy).map(([text, isName]) => (isName ? make("code", { textContent: text }) : text));
    item.append(make("p", { className: "fault-remedy" }, ...remedy));
  }
  return item;
}

/** With its roles: on a phone the style sheet lays it out as no table, and browsers would take it for none. */
function recentFault() {
  return make(
    "tr",
    { role: "row" },
    make("td", { className: "when", role: "cell" }),
    make("th", { scope: "row", role: "rowheader" }),
    make("td", { role: "cell" }),
  );
}
