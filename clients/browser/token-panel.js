/** The question for a token, in place of all else, and where tokens are kept: the same on each of the gateway's pages. */
import { ofTab } from "./storage.js";
import { claimsOf, keepToken } from "./token.js";

const element = (id) => document.getElementById(id);

export class TokenPanel {
  #problem = element("token-problem");
  #input = element("token");

  /** `onToken` is given what somebody has typed in. */
  constructor(onToken) {
    element("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      onToken(this.#input.value.trim());
    });
  }

  /** Ask for a token, and say what was wrong with the one before, if anything; it is forgotten. */
  ask(problem = null) {
    keepToken(null, ofTab());
    document.body.classList.add("tokenless");
    this.#problem.hidden = problem === null;
    this.#problem.textContent = problem ?? "";
    this.#input.value = "";
    this.#input.focus();
  }

  /** Show the page itself: this token is tried, and kept for reloads. */
  leave(token) {
    keepToken(token, ofTab());
    document.body.classList.remove("tokenless");
  }
}

/** Return what to tell about a token that was refused. */
export function explainRefusal(token, reason) {
  const { exp } = claimsOf(token);
  const expired = typeof exp === "number" && exp * 1_000 < Date.now();
  const because = expired ? ` It expired on ${new Date(exp * 1_000).toLocaleString()}.` : "";
  return `Access refused: ${reason}.${because} Trying again would not help; please use another token.`;
}
