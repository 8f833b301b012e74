/** What the parts of the operators' page do with the document. All text goes in as text. */

export const element = (id) => document.getElementById(id);

/** Change an element's text, and touch nothing where it is the same. */
export function setText(target, text) {
  const shown = String(text);
  if (target.textContent !== shown) {
    target.textContent = shown;
  }
}

/** Return a new element; `properties` are the element's own (`className`, `title`, …), `data` its data-… attributes. */
export function make(tag, properties = {}, ...children) {
  const { data = {}, ...own } = properties;
  const made = Object.assign(document.createElement(tag), own);
  Object.assign(made.dataset, data);
  made.append(...children);
  return made;
}

/** Make a list of dt and dd of `[name, text, tone?, title?]`; those whose names are there already are kept. */
export function showPairs(list, pairs) {
  const names = pairs.map(([name]) => name);
  if ([...list.children].map((pair) => pair.firstChild.textContent).join("\n") !== names.join("\n")) {
    list.replaceChildren(...names.map((name) => make("div", {}, make("dt", { textContent: name }), make("dd"))));
  }
  pairs.forEach(([, text, tone = "", title = ""], index) => {
    const value = list.children[index].lastChild;
    setText(value, text);
    value.title = title;
    value.dataset.tone = tone;
  });
}

/** Show or take away the text of a problem in its place. */
export function showProblem(place, text) {
  place.hidden = text === null;
  setText(place, text ?? "");
}

/**
 * Let a dialog's form be answered: `act` is awaited, and what it throws is shown in the dialog, which stays open.
 *
 * Returns a function that opens the dialog.
 */
export function wireDialog(dialog, form, problemPlace, act, describe) {
  let openings = 0;
  form.querySelector("[data-cancel]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.inert) {
      return;
    }
    showProblem(problemPlace, null);
    form.inert = true;
    const opening = openings;
    let problem = null;
    try {
      await act();
    } catch (error) {
      problem = describe(error);
    }
    // Esc closes it before there is an answer; it may be open again then, for something else.
    if (opening !== openings) {
      return;
    }
    form.inert = false;
    if (problem === null) {
      dialog.close();
    } else {
      showProblem(problemPlace, problem);
    }
  });
  return () => {
    openings += 1;
    form.inert = false;
    showProblem(problemPlace, null);
    dialog.showModal();
  };
}
