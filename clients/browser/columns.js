/** The table's columns: what they are sorted by, and in which direction first. */

/** `value` gives what a symbol is sorted by: text or a number, null where there is none. */
export const COLUMNS = Object.freeze([
  { key: "symbol", value: (state) => state.symbol, first: "ascending" },
  { key: "price", value: (state) => state.price, first: "descending" },
  { key: "change", value: (state) => state.change, first: "descending" },
  { key: "day-volume", value: (state) => state.dayVolume, first: "descending" },
  { key: "bid", value: (state) => state.bid, first: "descending" },
  { key: "ask", value: (state) => state.ask, first: "descending" },
  { key: "age", value: (state) => (state.ts === null ? null : -state.ts), first: "ascending" },
  { key: "missed", value: (state) => state.missed, first: "descending" },
]);

/** The order in which the gateway lists the symbols. */
export const UNSORTED = Object.freeze({ key: null, direction: "none" });

/** Return the order that a click on a column's head chooses: its first direction, the other one, and none. */
export function nextOrder(order, key) {
  const { first } = COLUMNS.find((column) => column.key === key);
  if (order.key !== key) {
    return { key, direction: first };
  }
  return order.direction === first ? { key, direction: first === "ascending" ? "descending" : "ascending" } : UNSORTED;
}

/** Return symbols' states in an order; those without a value come last, and equal ones stay in the order given. */
export function sorted(states, { key, direction }) {
  const column = COLUMNS.find((each) => each.key === key);
  if (column === undefined) {
    return [...states];
  }
  const sign = direction === "ascending" ? 1 : -1;
  const valued = states.map((state) => [column.value(state), state]);
  valued.sort(([one], [other]) => {
    if (one === null || other === null) {
      return (one === null) - (other === null);
    }
    return one === other ? 0 : one < other ? -sign : sign;
  });
  return valued.map(([, state]) => state);
}

/** Return whether a symbol contains one of the space-separated words of a filter; an empty one lets all pass. */
export function passes(symbol, filter) {
  const words = filter.toUpperCase().split(/\s+/).filter(Boolean);
  return words.length === 0 || words.some((word) => symbol.toUpperCase().includes(word));
}
