import { after } from "./clock.mjs";

/** What has come and nothing has asked for yet, in order. */
export class Queue {
  #items = [];
  #waiting = [];

  get length() {
    return this.#items.length;
  }

  put(item) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }

  /** The next one, or undefined if none comes in time. */
  next(time_ms) {
    if (this.#items.length) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => {
      const stop = after(time_ms, () => {
        this.#waiting = this.#waiting.filter((each) => each !== take);
        resolve(undefined);
      });
      const take = (item) => {
        stop();
        resolve(item);
      };
      this.#waiting.push(take);
    });
  }
}
