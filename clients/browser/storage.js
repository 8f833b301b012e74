/**
 * What the pages keep in the browser. Where it lets them keep nothing (a policy, blocked cookies), what they put there lasts
 * for as long as the page does.
 */

class PageStorage {
  #kept = new Map();

  getItem(key) {
    return this.#kept.get(key) ?? null;
  }

  setItem(key, value) {
    this.#kept.set(key, String(value));
  }

  removeItem(key) {
    this.#kept.delete(key);
  }
}

/** Return `owner`'s storage of a name, "localStorage" or "sessionStorage", or one that lasts as long as the page. */
export function storageOf(name, owner = globalThis) {
  try {
    // Merely to ask for it throws where it is blocked.
    owner[name].getItem("");
    return owner[name];
  } catch {
    return new PageStorage();
  }
}

const storages = new Map();

function only(name) {
  if (!storages.has(name)) {
    storages.set(name, storageOf(name));
  }
  return storages.get(name);
}

/** What all pages of this origin have in common, from visit to visit. */
export const lasting = () => only("localStorage");

/** What a tab has for itself, also when it is loaded again. */
export const ofTab = () => only("sessionStorage");
