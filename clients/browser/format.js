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

  format(value) {
    this.#decimals = Math.max(this.#decimals, decimalsOf(value));
    return formatters[this.#decimals].format(value);
  }
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

/** Return a whole number with thousands separators. */
export function formatCount(count) {
  return formatters[0].format(count);
}
