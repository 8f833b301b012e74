/** Does with the browser's SequenceTracker what the Python one was asked to do, and prints what it says; see test_sequence.py. */
import { readFileSync } from "node:fs";
import { SequenceTracker } from "../../clients/browser/sequence.js";

function run({ maxHeld, calls }) {
  const tracker = new SequenceTracker(maxHeld);
  const asks = [];
  return calls.map(([method, ask, ...rest]) => {
    let steps;
    try {
      steps = tracker[method](...(ask === null ? [] : [asks[ask]]), ...rest);
    } catch (error) {
      return error.constructor.name;
    }
    asks.push(...steps.filter(({ kind }) => kind === "ask"));
    return steps;
  });
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(run)));
