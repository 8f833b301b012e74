/** Bytes, times and names as text. Pure. */
import { formatCount } from "../format.js";

/** Return bytes as one short figure: "0", "512 B", "64 kB", "1.2 MB". */
export function formatBytes(bytes) {
  if (bytes === 0) return "0";
  if (bytes < 1_000) return `${bytes} B`;
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (bytes >= size) {
      const figure = bytes / size;
      return `${figure < 10 ? figure.toFixed(1) : Math.round(figure)} ${unit}`;
    }
  }
  return "–";
}

/** Return a length of time as its two greatest units: "950 ms", "12 s", "4 min 5 s", "3 h 20 min", "2 d 4 h". */
export function formatSpan(span_ms) {
  if (span_ms < 1_000) return `${Math.round(span_ms)} ms`;
  const s = Math.floor(span_ms / 1_000);
  if (s < 60) return `${s} s`;
  if (s < 3_600) return two(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return two(Math.floor(s / 3_600), "h", Math.floor((s % 3_600) / 60), "min");
  return two(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3_600), "h");
}

function two(great, greatUnit, small, smallUnit) {
  return small === 0 ? `${great} ${greatUnit}` : `${great} ${greatUnit} ${small} ${smallUnit}`;
}

/** Return a moment as the time of its day, with the day before where that is not today. */
export function formatMoment(unix_ms, now_ms = Date.now()) {
  const moment = new Date(unix_ms);
  const time = moment.toLocaleTimeString("en-GB");
  return moment.toDateString() === new Date(now_ms).toDateString() ? time : `${moment.toLocaleDateString("en-CA")} ${time}`;
}

/** Return a name of the API as words: "feed_took_over" → "Feed took over". */
export function words(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Return a limit's value as text; null is no limit. */
export function formatLimit(value) {
  return value === null ? "no limit" : typeof value === "number" ? formatCount(value) : String(value);
}
