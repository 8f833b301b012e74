/** The dialog that has the node drained, and that asks for the node's name first. */
import { element, setText, wireDialog } from "./dom.js";

/** Return a function that opens the dialog for a node of a name; the options are those of `wireSessionDialogs`. */
export function wireDrain({ call, describe, onDone }) {
  const confirmation = element("drain-confirmation");
  const over = element("drain-over");
  const open = wireDialog(
    element("drain-dialog"),
    element("drain-form"),
    element("drain-problem"),
    async () => {
      const answer = await call("node.drain", over.value === "" ? {} : { over_s: Number(over.value) });
      onDone(`Draining: listening ends in ${answer.notice_s} s, then the clients are sent away over ${answer.over_s} s.`);
    },
    describe,
  );
  const check = () => {
    element("drain-go").disabled = confirmation.value !== element("drain-name").textContent;
  };
  confirmation.addEventListener("input", check);
  return (name) => {
    setText(element("drain-name"), name);
    confirmation.value = over.value = "";
    check();
    open();
  };
}
