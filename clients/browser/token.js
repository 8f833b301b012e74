/**
 * Where the page's token comes from and where it is kept: the URL's fragment, then the tab's session storage.
 * A fragment is never sent to a server, and it leaves the address bar as soon as it is read.
 */

const STORAGE_KEY = "crosstick.token";

/**
 * Return the tab's token, or null: from `#token=…` (which is removed from the address bar), else as kept before.
 *
 * Pages that need different tokens keep them under different keys.
 */
export function takeToken(location, history, storage, key = STORAGE_KEY) {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    storage.setItem(key, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return storage.getItem(key);
}

/** Whether an address names a token: other fragments, such as that of a link within a page, are none of a token's business. */
export function namesToken(location) {
  return Boolean(new URLSearchParams(location.hash.slice(1)).get("token"));
}

/** Keep a token for reloads of this tab; null forgets it. */
export function keepToken(token, storage, key = STORAGE_KEY) {
  if (token === null) {
    storage.removeItem(key);
  } else {
    storage.setItem(key, token);
  }
}

/**
 * Return the claims of a JWT as an object, unverified: verifying is the gateway's business.
 *
 * Throws an Error that can be shown when the text is no JWT or names no subject.
 */
export function claimsOf(token) {
  let claims;
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    claims = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new Error("This is not a token: three parts separated by dots were expected.", { cause });
  }
  if (typeof claims?.sub !== "string" || claims.sub === "") {
    throw new Error("This token names no subject (sub).");
  }
  return claims;
}
