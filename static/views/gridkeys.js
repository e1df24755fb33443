/** What the keys do in the grid, and what is pasted into it. */
import { orderText } from "../order.js";
import { kindOf, textOf } from "../values.js";
import { sorted } from "./head.js";
import { say } from "./toast.js";
import { removeChosen, undo } from "./writing.js";

/** @param {KeyboardEvent} pressed @param {object} props Of the grid. @param {object} self The grid. */
export function onKey(pressed, props, self) {
  const { shown, columns, leads, onOpen, onOrder, terms } = props;
  if (!pressed.target.matches("table")) return;
  const { key, ctrlKey, metaKey, altKey, shiftKey } = pressed;
  const { pages } = shown;
  const is_control = ctrlKey || metaKey;
  const at = Math.max(0, columns.findIndex(({ name }) => name === shown.active.value?.name));
  const index = Math.max(0, shown.activeIndex());
  const entry = shown.activeEntry();
  const go = (to, column = at) => {
    const { name } = columns[Math.max(0, Math.min(columns.length - 1, column))];
    shown.go(to, name);
    self.view.reveal(Math.max(0, Math.min(pages.total - 1, to)));
    showColumn(self, columns, name);
    if (shiftKey && !is_control && to !== index && shown.may("delete")) for (const one of [index, to]) pages.rows[one - pages.start] && shown.choose(pages.rows[one - pages.start].key, true);
  };
  const moves = {
    ArrowDown: () => go(index + 1),
    ArrowUp: () => go(index - 1),
    ArrowRight: () => go(index, at + 1),
    ArrowLeft: () => go(index, at - 1),
    PageDown: () => go(index + self.view.page),
    PageUp: () => go(index - self.view.page),
    Home: () => go(is_control ? 0 : index, is_control ? at : 0),
    End: () => go(is_control ? pages.total - 1 : index, is_control ? at : columns.length - 1),
    Enter: () => entry && onOpen(entry),
    F2: () => edit(shown, entry, columns[at]),
    " ": () => entry && shown.choose(entry.key),
    Delete: () => shown.may("delete") && removeChosen(shown),
    Escape: () => shown.unchoose(),
  };
  if (is_control && key === "c" && entry && !String(getSelection())) return copy(pressed, textOf(shown.rowOf(entry)[columns[at].name]) ?? "");
  if (is_control && key === "z" && shown.edits.can_undo) return take(pressed, () => undo(shown));
  if (altKey && key === "Enter") return take(pressed, () => {
    const lead = entry && leads.get(columns[at].name)?.(shown.rowOf(entry));
    if (lead) location.hash = lead.href;
  });
  if (altKey && key === "s") return take(pressed, () => onOrder(orderText(sorted(terms, columns[at], shiftKey))));
  if (key in moves && !altKey) return take(pressed, moves[key]);
  const is_typed = key.length === 1 && !is_control && !altKey && !"/?".includes(key);
  if (is_typed && entry && shown.mayEdit(columns[at])) take(pressed, () => edit(shown, entry, columns[at], key));
}

function take(pressed, action) {
  pressed.preventDefault();
  action();
}

async function copy(pressed, text) {
  pressed.preventDefault();
  await navigator.clipboard?.writeText(text).catch(() => say("The browser does not let this page copy."));
}

/** Begins to edit a cell; what is too large for one, in the sheet. */
function edit(shown, entry, column, text) {
  if (!entry || !shown.mayEdit(column)) return;
  const typed = ["boolean", "enum"].includes(kindOf(column)) ? undefined : text;
  shown.editing.value = { key: entry.key, name: column.name, text: typed };
}

/** Scrolls sideways as little as shows the column. */
function showColumn(self, columns, name) {
  const element = self.root.current;
  const at = columns.findIndex((column) => column.name === name);
  const left = self.offsets[at];
  const right = left + self.widths.of(name);
  const covered = columns.reduce((px, column, i) => (self.lefts[i] === undefined ? px : Math.max(px, self.lefts[i] + self.widths.of(column.name))), self.lead_px);
  if (self.lefts[at] !== undefined) return;
  if (left < element.scrollLeft + covered) element.scrollLeft = left - covered;
  else if (right > element.scrollLeft + element.clientWidth) element.scrollLeft = right - element.clientWidth;
}

/** Rows of a spreadsheet become a preview. */
export function onPaste(pasted, { shown, columns, onPasteRows }) {
  if (!pasted.target.matches("table") && pasted.target !== document.body) return;
  const text = pasted.clipboardData?.getData("text/plain") ?? "";
  if (!text.trim() || !shown.may("insert")) return;
  pasted.preventDefault();
  onPasteRows(text, columns);
}

