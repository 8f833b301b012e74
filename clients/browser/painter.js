/** One animation frame for all that is to be painted: whoever has something new asks, and is called once, in the next frame. */
export class Painter {
  #parts = new Set();
  #requested = false;

  /** Have `paint` called in the next frame; asking again before that changes nothing. */
  ask(paint) {
    this.#parts.add(paint);
    if (!this.#requested) {
      this.#requested = true;
      requestAnimationFrame(() => {
        this.#requested = false;
        const parts = this.#parts;
        this.#parts = new Set();
        parts.forEach((part) => part());
      });
    }
  }
}
