/** How long to wait before something is tried again. */

const FIRST_RETRY_CEILING_MS = 1_000;
const RETRY_CEILING_MS = 30_000;

/** Return the delay before the next attempt in ms: uniform between 0 and a ceiling that doubles up to 30 s. */
export function retryDelay_ms(attempt, random = Math.random) {
  return random() * Math.min(RETRY_CEILING_MS, FIRST_RETRY_CEILING_MS * 2 ** Math.min(attempt, 16));
}
