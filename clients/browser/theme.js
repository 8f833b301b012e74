/**
 * The colour scheme of the gateway's pages: light, dark, or as the system has it. Kept in the browser for all of them.
 *
 * Load it in the head with `blocking="render"`, so that nothing is painted in the other scheme first.
 */
import { lasting } from "./storage.js";

const STORAGE_KEY = "crosstick.theme";

export const THEMES = Object.freeze(["auto", "light", "dark"]);

/** Return the theme that was chosen last, "auto" if none. */
export function chosenTheme(storage = lasting()) {
  const kept = storage.getItem(STORAGE_KEY);
  return THEMES.includes(kept) ? kept : "auto";
}

/** Show the page in a theme, one of `THEMES`, and keep the choice. Fires `themechange` at the document. */
export function chooseTheme(theme, storage = lasting()) {
  storage.setItem(STORAGE_KEY, theme);
  show(theme);
}

/** Return whether the page is dark, whoever chose so. */
export function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
}

/** Let a button go through the themes, and say which one there is. */
export function wireThemeButton(button) {
  const label = () => {
    const theme = chosenTheme();
    button.textContent = { auto: "◐", light: "☀", dark: "☾" }[theme];
    button.title = `Theme: ${theme} (t)`;
    button.setAttribute("aria-label", `Theme: ${theme}`);
  };
  button.addEventListener("click", () => chooseTheme(THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length]));
  document.addEventListener("themechange", label);
  label();
}

function show(theme) {
  if (theme === "auto") {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = theme;
  }
  document.dispatchEvent(new Event("themechange"));
}

if (globalThis.document !== undefined) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(chosenTheme()));
  // Another tab's choice.
  addEventListener("storage", (event) => event.key === STORAGE_KEY && show(chosenTheme()));
  show(chosenTheme());
}
