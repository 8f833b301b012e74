/**
 * What a screen reader is to say of how things stand, and when. Pure.
 *
 * - Said is a change of kind, once; not a tick, a second of a countdown, or the next of many attempts.
 * - What comes and goes is not said each time: the same kind not again within its pause, and then only if it is still so.
 * - Symbols that fall silent and trade again, and delays that pass, are everyday life: the end of that is no news.
 */

/** How long after it was said a kind is not said again, ms. */
const PAUSE_MS = 10_000;
const EVERYDAY_PAUSE_MS = 300_000;

const EVERYDAY = new Set(["silent", "quiet", "late", "ahead"]);

export class Announcer {
  #said = null;
  #said_ms = new Map(); // by kind, of which there are few

  /** Return what is to be said, or null. Ask again now and then: what was held back may be due. */
  next(kind, text, now_ms) {
    if (kind === this.#said) {
      return null;
    }
    if (kind === "live" && EVERYDAY.has(this.#said)) {
      this.#said = kind;
      return null;
    }
    // That it is over is said at once: what was said before holds no more.
    const pause_ms = kind === "live" ? 0 : EVERYDAY.has(kind) ? EVERYDAY_PAUSE_MS : PAUSE_MS;
    if (now_ms - (this.#said_ms.get(kind) ?? -Infinity) < pause_ms) {
      return null;
    }
    this.#said = kind;
    this.#said_ms.set(kind, now_ms);
    return text;
  }
}
