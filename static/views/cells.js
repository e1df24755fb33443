/** How one value looks: in a cell of the grid, and in the sheet. */
import { zone } from "../zone.js";
import { kindOf, isNumber, shownText } from "../values.js";
import { html } from "./html.js";

/** A cell shows the beginning of a long value; its title has more. */
const CELL_CHARS = 160;
const TITLE_CHARS = 2_000;
/** Colours of the labels of an enumeration, one after the other. */
const TONES = ["open", "active", "done", "plain", "accent", "bad"];

/** A label or a truth as a chip. */
export function Chip({ value, column }) {
  const at = column.labels ? column.labels.indexOf(value) : value ? 2 : 3;
  return html`<span class="chip" data-tone=${TONES[Math.max(0, at) % TONES.length]}>${String(value)}</span>`;
}

/** What stands in a cell. @param {{value: any, column: import("../values.js").Column}} props */
export function Value({ value, column }) {
  if (value === null || value === undefined) return html`<span class="null">null</span>`;
  const kind = kindOf(column);
  if (kind === "enum" || kind === "boolean") return html`<${Chip} value=${value} column=${column} />`;
  const text = shownText(value, column, zone.value);
  if (text === "") return html`<span class="null">empty</span>`;
  return text.slice(0, CELL_CHARS);
}

export const titleOf = (value, column) => {
  const text = shownText(value, column, zone.peek());
  return text && text.length > 16 ? text.slice(0, TITLE_CHARS) : undefined;
};

export const classOf = (column) => (isNumber(column) ? "number" : ["json", "bytes", "uuid"].includes(kindOf(column)) ? "mono" : "");
