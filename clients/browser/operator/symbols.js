/** The editor of the feed's symbols: what is to be added and removed is put together first, and applied at once. */
import { formatCount } from "../format.js";
import { element, make, setText, showProblem, wireDialog } from "./dom.js";
import { formatMoment } from "./units.js";

const SYMBOL = /^[A-Z0-9]{1,20}$/;

/** The gateway takes no more in one question. */
const MAX_ASKED = 100;

/** Return the symbols that a text names, in capital letters and once each. Throws an Error for what cannot be one. */
export function readSymbols(text) {
  const names = text.toUpperCase().split(/[\s,]+/).filter(Boolean);
  const wrong = names.find((name) => !SYMBOL.test(name));
  if (wrong !== undefined) {
    throw new Error(`${wrong} is no symbol: up to 20 letters and digits`);
  }
  return [...new Set(names)];
}

/** Return a function that opens the editor; the options are those of `wireSessionDialogs`. */
export function wireSymbols({ call, describe, onDone }) {
  /** What is followed; null until the gateway has said so: what would be applied then is what was typed in alone. */
  let current = null;
  /** The choice that was shown: another operator's later one is not to be undone unseen. */
  let version = 0;
  let removed = new Set();
  /** How many sessions follow each symbol that has been asked for. */
  const followers = new Map();

  const change = () => {
    const added = readSymbols(element("symbols-add").value).filter((symbol) => !current.includes(symbol));
    return { added, wanted: [...current.filter((symbol) => !removed.has(symbol)), ...added] };
  };

  const open = wireDialog(
    element("symbols-dialog"),
    element("symbols-form"),
    element("symbols-problem"),
    async () => {
      if (current === null) {
        throw new Error("the feed's symbols are not known");
      }
      const { added, wanted } = change();
      await call("feed.set_symbols", { symbols: wanted, if_version: version });
      onDone(`The feed's symbols are set: ${formatCount(added.length)} added, ${formatCount(removed.size)} removed.`);
    },
    describe,
  );

  function paint() {
    const apply = element("symbols-apply");
    if (current === null) {
      apply.disabled = true;
      return;
    }
    try {
      const { added, wanted } = change();
      const losing = [...removed].map((symbol) => followers.get(symbol)).filter((number) => number > 0);
      const parts = [];
      if (added.length > 0) parts.push(`${added.join(", ")} will be added.`);
      if (removed.size > 0) parts.push(`${[...removed].join(", ")} will be removed.`);
      if (losing.length > 0) parts.push(`What is removed has up to ${formatCount(Math.max(...losing))} followers each: they get nothing more of it.`);
      setText(element("symbols-change"), parts.join(" ") || "Nothing changes yet. Choose a symbol to remove it.");
      apply.disabled = parts.length === 0 || wanted.length === 0;
      showProblem(element("symbols-problem"), wanted.length === 0 ? "A feed needs a symbol." : null);
    } catch (error) {
      apply.disabled = true;
      // What stood there before is not what is typed now, and nothing of it would be applied.
      setText(element("symbols-change"), "");
      showProblem(element("symbols-problem"), error.message);
    }
    const found = element("symbols-find").value.trim().toUpperCase();
    for (const chip of element("symbols-list").children) {
      const { symbol } = chip.dataset;
      chip.hidden = !symbol.includes(found);
      chip.classList.toggle("removed", removed.has(symbol));
      chip.firstChild.setAttribute("aria-pressed", removed.has(symbol));
    }
  }

  async function toggle(symbol) {
    if (!removed.delete(symbol)) {
      removed.add(symbol);
      paint();
      const asked = [...removed].filter((each) => !followers.has(each)).slice(0, MAX_ASKED);
      if (asked.length > 0) {
        try {
          const answer = await call("node.followers", { symbols: asked });
          for (const [name, number] of Object.entries(answer.followers)) {
            followers.set(name, number);
          }
        } catch (error) {
          showProblem(element("symbols-problem"), `Who follows it is not known: ${describe(error)}`);
          return;
        }
      }
    }
    paint();
  }

  element("symbols-reset").addEventListener("click", async () => {
    try {
      await call("feed.reset_symbols", { if_version: version });
      onDone("The feed's symbols are the environment's again.");
      element("symbols-dialog").close();
    } catch (error) {
      showProblem(element("symbols-problem"), describe(error));
    }
  });
  element("symbols-add").addEventListener("input", paint);
  element("symbols-find").addEventListener("input", paint);

  return async () => {
    current = null;
    removed = new Set();
    followers.clear();
    element("symbols-add").value = element("symbols-find").value = "";
    element("symbols-list").replaceChildren();
    setText(element("symbols-source"), "Asking…");
    setText(element("symbols-change"), "");
    element("symbols-apply").disabled = element("symbols-reset").hidden = true;
    open();
    try {
      const answer = await call("feed.symbols");
      ({ symbols: current, version } = answer);
      setText(element("symbols-source"), sourceOf(answer));
      element("symbols-reset").hidden = answer.source === "environment";
      element("symbols-list").replaceChildren(...[...current].sort().map((symbol) => makeChip(symbol, toggle)));
      paint();
    } catch (error) {
      setText(element("symbols-source"), "");
      showProblem(element("symbols-problem"), `The feed's symbols are not known: ${describe(error)}`);
    }
  };
}

/** Return where the symbols come from, and which of them the feed does not have. */
export function sourceOf({ symbols, source, by, at, rejected, awaited }) {
  const chosen = source === "environment" ? "as the feed's environment has them" : `as ${by} has set them, ${formatMoment(at)}`;
  const refused = Object.entries(rejected).map(([symbol, reason]) => ` ${symbol} cannot be had: ${reason}.`);
  const waited = awaited.length > 0 ? ` Nothing has come yet of ${awaited.join(", ")}.` : "";
  return `${formatCount(symbols.length)} symbols, ${chosen}.${refused.join("")}${waited}`;
}

function makeChip(symbol, toggle) {
  const button = make("button", { type: "button", textContent: symbol, title: "Remove, or keep after all" });
  button.addEventListener("click", () => void toggle(symbol));
  return make("li", { data: { symbol } }, button);
}
