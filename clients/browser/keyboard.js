/** The page's keys. What is typed into a field, or with a modifier, is nobody's business here. */

/** `actions` maps what `KeyboardEvent.key` says to what is to be done; `escape` is done wherever the focus is. */
export function listenToKeys(actions, escape) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]") !== null) {
      return;
    }
    if (event.key === "Escape") {
      escape();
      return;
    }
    const typing = event.target.closest("input:not([type=radio]), textarea, select") !== null;
    const action = typing ? undefined : actions[event.key];
    if (action !== undefined) {
      event.preventDefault();
      action();
    }
  });
}

/** Choose the next radio button of a group, after the last one the first, and tell its listeners. */
export function chooseNext(fieldset) {
  const choices = [...fieldset.querySelectorAll("input")];
  const next = choices[(choices.findIndex(({ checked }) => checked) + 1) % choices.length];
  next.checked = true;
  next.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Choose the radio button of a group that has this value, if any; nobody is told. */
export function choose(fieldset, value) {
  for (const choice of fieldset.querySelectorAll("input")) {
    choice.checked = choice.value === value;
  }
}
