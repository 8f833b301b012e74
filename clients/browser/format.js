/** Numbers and times as text. Pure. */

const MAX_DECIMALS = 12;

const formatters = Array.from(
  { length: MAX_DECIMALS + 1 },
  (_, decimals) => new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }),
);

/** Return how many decimals a number needs: 62520.15 → 2, 3e-7 → 7. */
export function decimalsOf(value) {
  const [mantissa, exponent = "0"] = String(value).split("e");
  const fraction = mantissa.split(".")[1] ?? "";
  return Math.min(MAX_DECIMALS, Math.max(0, fraction.length - Number(exponent)));
}

/**
 * Formats the numbers of one column of one symbol with as many decimals as the longest so far.
 *
 * JSON.parse turns 0.35280000 into 0.3528, and with that the exchange's precision is lost; but a price that moves soon
 * shows all the decimals that mean anything, and from then on the column stands still.
 */
export class NumberColumn {
  #decimals = 0;

  /** How many decimals the longest so far had. */
  get decimals() {
    return this.#decimals;
  }

  /** Take note of a number that is not to be shown now. */
  learn(value) {
    this.#decimals = Math.max(this.#decimals, decimalsOf(value));
  }

  format(value) {
    this.learn(value);
    return this.rounded(value);
  }

  /** Return a figure that was calculated: with the decimals that there are, from which it teaches nothing. */
  rounded(value) {
    return formatters[this.#decimals].format(value);
  }
}

/** Formats figures of any size in four digits: 950, 12.3 K, 1.234 B. */
const compact = new Intl.NumberFormat("en-US", { notation: "compact", minimumSignificantDigits: 4, maximumSignificantDigits: 4 });

/** Return a large figure in short, such as "12.34M". */
export function formatCompact(value) {
  return compact.format(value);
}

/**
 * Return a share as a percentage with its sign and two decimals, from 1,000 % on without: 0.0123 → "+1.23 %"; what rounds to
 * nothing has no sign.
 */
export function formatChange(share) {
  const hundredths = Math.round(share * 10_000);
  const sign = hundredths > 0 ? "+" : hundredths < 0 ? "−" : "";
  const percent = Math.abs(hundredths) / 100;
  return `${sign}${formatters[percent < 1_000 ? 2 : 0].format(percent)} %`;
}

/** Return a delay in ms as one short figure: "0.4 ms", "12 ms", "1.2 s", from 100 s on as an age. */
export function formatDelay(delay_ms) {
  if (delay_ms < 9.95) return `${formatters[1].format(delay_ms)} ms`;
  if (delay_ms < 999.5) return `${Math.round(delay_ms)} ms`;
  if (delay_ms < 99_950) return `${formatters[1].format(delay_ms / 1_000)} s`;
  return formatAge(delay_ms);
}

const clockTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Return the time of day of ms since 1970, in the browser's time zone: "14:03:09". */
export function formatTime(time_ms) {
  return clockTime.format(time_ms);
}

/** Return a duration as one short figure: "now", "12 s", "3 min", "2 h", "5 d". */
export function formatAge(age_ms) {
  const age_s = Math.floor(age_ms / 1_000);
  if (age_s < 1) return "now";
  if (age_s < 100) return `${age_s} s`;
  if (age_s < 6_000) return `${Math.floor(age_s / 60)} min`;
  if (age_s < 172_800) return `${Math.floor(age_s / 3_600)} h`;
  return `${Math.floor(age_s / 86_400)} d`;
}

/** Clocks are wrong by less, most of them: what is dated further ahead is not of now, as in a replay that runs fast. */
const MOST_AHEAD_MS = 5_000;

/** Whether something is dated so far ahead that its age says nothing. */
export function isAhead(age_ms) {
  return age_ms < -MOST_AHEAD_MS;
}

/** Return a whole number with thousands separators. */
export function formatCount(count) {
  return formatters[0].format(count);
}

/** Return a count, with a "+" where there may be more, nobody knows how many: "12+"; from 100,000 on in short: "123.5K". */
export function formatLeast(count, more) {
  const text = count < 100_000 ? formatCount(count) : formatCompact(count);
  return more ? `${text}+` : text;
}
