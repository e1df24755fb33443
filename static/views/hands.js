/**
 * What hands do to the board: the keys, the drag, the dialogs, and what is said when something was not saved. Loaded
 * when a pointer or the focus comes near: a user who only looks does without.
 */
import { effect, signal } from "@preact/signals-core";
import { sentenceOf } from "../api.js";
import { Writes } from "../writes.js";
import { startDrag } from "./drag.js";
import { DEEDS, html, lazy, STATUSES, style } from "./html.js";
import { say } from "./toast.js";

/** Changes are read aloud in sums: one sentence for each would never end on a busy table. */
const ANNOUNCE_EVERY_MS = 5_000;

const Editor = lazy(() => import("./editor.js"), "static/views/editor.css");

export class Hands {
  /** What the dialog is about, or null. */
  task = signal(null);
  #board;
  #items;
  /** The key of a card that is to have the focus when it is drawn. */
  #wanted = null;
  /** Where each card was last to go: of several steps the last one counts. */
  #wishes = new Map();
  #stop;

  /** @param {object} board The component, with `active`, `over`, `column` and `windows`. */
  constructor(board) {
    this.#board = board;
    this.#items = board.items;
    this.#items.writes ??= new Writes(this.#items);
    this.#stop = announce(this.#items);
    // Without it nothing is missing but colours.
    style("static/views/hands.css")?.catch(() => {});
    board.setState({});
  }

  close() {
    this.#stop();
  }

  add(status) {
    this.task.value = { kind: "new", status };
  }

  dialog(typed) {
    const task = this.task.value;
    return task && html`<${Editor} key=${task.kind + task.key} task=${task} items=${this.#items} filtered=${typed !== ""} onClose=${(key) => this.#close(key)} />`;
  }

  #close(key) {
    this.task.value = null;
    if (key && this.#items.rows.get(key)) this.focus(key);
  }

  focus(key) {
    this.#board.active.value = key;
    this.#wanted = key;
    this.#board.setState({});
  }

  /** The board was drawn: the card that was waited for may be there. */
  drawn() {
    const entry = this.#items.rows.get(this.#wanted);
    if (!entry) return;
    const element = this.#board.root.current.querySelector(`[data-key="${CSS.escape(this.#wanted)}"] .card-main`);
    if (!element) return;
    this.#board.windows[entry.group].reveal(this.#items.rows.indexOf(entry));
    element.focus({ preventScroll: true });
    this.#wanted = null;
  }

  /** The card that had the focus is not there any more. */
  lost(key, status, index) {
    queueMicrotask(() => {
      // It may have another place already: a key moved it to a card far away.
      if (document.activeElement !== document.body || document.querySelector("dialog[open]")) return;
      const list = this.#items.rows.list(status);
      const next = this.#items.rows.get(key) ?? list[Math.min(index, list.length - 1)];
      if (next) this.focus(next.key);
      else this.#board.root.current?.querySelector(`[data-status="${status}"] .column-add`)?.focus();
    });
  }

  async move(key, status) {
    const seen = this.#items.rows.get(key)?.row;
    if (!seen || seen.status === status || seen.version === 0) return;
    this.#wishes.set(key, status);
    try {
      await this.#items.writes.patch(key, { status });
    } catch (problem) {
      // Changes of one row wait for each other, and fall together.
      if (problem.is_told) return;
      problem.is_told = true;
      const wish = this.#wishes.get(key);
      const look = () => (this.task.value = { kind: "conflict", key, seen, patch: { status: wish } });
      // A dialog that is open keeps what was typed there.
      if (problem.status === 412 && this.task.value) say(`“${seen.name}” was not moved: another user changed it first.`, { label: "Look", action: look });
      else if (problem.status === 412) look();
      else if (problem.status === 404) say(`“${seen.name}” was deleted by another user.`);
      else say(sentenceOf(problem), { label: "Try again", action: () => this.move(key, wish) });
    }
  }

  click({ target }) {
    const card = target.closest(".card");
    const to = target.closest(".card-move")?.dataset.to;
    if (to) this.move(card.dataset.key, to);
    else if (target.closest(".card-main") && this.#items.rows.get(card.dataset.key)) {
      this.#board.active.value = card.dataset.key;
      this.task.value = { kind: "edit", key: card.dataset.key };
    }
  }

  press(pressed) {
    const key = pressed.target.closest(".card")?.dataset.key;
    if (key && !pressed.target.closest(".card-move")) startDrag(pressed, { onOver: (status) => (this.#board.over.value = status), onDrop: (status) => this.move(key, status) });
  }

  shortcut(pressed) {
    const { key, ctrlKey, metaKey, altKey } = pressed;
    if (ctrlKey || metaKey || altKey || document.activeElement?.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
    if (key === "/") this.#board.root.current.querySelector("[type=search]").focus();
    else if (key === "n") this.add("open");
    else return;
    pressed.preventDefault();
  }

  key(pressed) {
    const key = pressed.target.closest(".card")?.dataset.key;
    const entry = key && this.#items.rows.get(key);
    if (!entry || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
    const list = this.#items.rows.list(entry.group);
    const index = this.#items.rows.indexOf(entry);
    const { page } = this.#board.windows[entry.group];
    const places = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: Math.min(index + page, list.length - 1),
      PageUp: Math.max(index - page, 0),
      Home: 0,
      End: list.length - 1,
    };
    const by = { ArrowLeft: -1, ArrowRight: 1 }[pressed.key];
    if (pressed.key in places) {
      const next = list[places[pressed.key]];
      if (next) this.focus(next.key);
    } else if (by && pressed.shiftKey) this.#step(entry, by);
    else if (by) this.#beside(entry, index, by);
    else if (pressed.key === "Delete" || pressed.key === "Backspace") this.task.value = { kind: "delete", key };
    else return;
    pressed.preventDefault();
  }

  #step({ key, group }, by) {
    const status = STATUSES[STATUSES.indexOf(group) + by];
    if (!status) return;
    this.move(key, status);
    // A user who moved it with the keyboard goes on with it there.
    this.#board.column.value = status;
    this.focus(key);
  }

  #beside({ group }, index, by) {
    for (let at = STATUSES.indexOf(group) + by; STATUSES[at]; at += by) {
      const list = this.#items.rows.list(STATUSES[at]);
      if (list.length === 0) continue;
      this.#board.column.value = STATUSES[at];
      this.focus(list[Math.min(index, list.length - 1)].key);
      return;
    }
  }
}

/** Says what others change to those who hear the page. */
function announce({ latest }) {
  const region = Object.assign(document.createElement("p"), { className: "sr-only", ariaLive: "polite" });
  document.querySelector("main").append(region);
  let count = 0;
  let timer = 0;
  const tell = () => {
    const { name, op } = latest.peek();
    region.textContent = count === 1 ? `${name} was ${DEEDS[op]}.` : `${count} changes by others.`;
    count = timer = 0;
  };
  const stop = effect(() => {
    // A user who comes back to the board has heard of it.
    if (!latest.value || Date.now() - latest.value.at > ANNOUNCE_EVERY_MS) return;
    count += 1;
    timer ||= setTimeout(tell, ANNOUNCE_EVERY_MS);
  });
  return () => {
    stop();
    clearTimeout(timer);
    region.remove();
  };
}
