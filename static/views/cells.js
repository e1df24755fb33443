/** How one value looks: in a cell of the grid, and in the sheet. */
import { zone } from "../zone.js";
import { kindOf, isNumber, shownText, textOf } from "../values.js";
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

const OPEN_MAX = 2;

/** JSON as a tree, with what differs from another value marked. @param {{value: any, before?: any, depth?: number}} props */
export function Tree({ value, before, depth = 0 }) {
  if (value === null || typeof value !== "object" || !("constructor" in value) || ![Object, Array].includes(value.constructor)) {
    const is_other = before !== undefined && textOf(before) !== textOf(value);
    return html`<span class=${`tree-${value === null ? "null" : typeof value}`} data-differs=${is_other}>${is_other && html`<del>${JSON.stringify(before)}</del> `}${typeof value === "string" ? JSON.stringify(value) : textOf(value) ?? "null"}</span>`;
  }
  const is_list = Array.isArray(value);
  const entries = Object.entries(value);
  if (!entries.length) return html`<span class="tree-empty">${is_list ? "[]" : "{}"}</span>`;
  const was = before && typeof before === "object" ? before : undefined;
  const list = html`<ul class="tree">${entries.map(([name, one]) => html`<li key=${name}><b>${name}</b> <${Tree} value=${one} before=${was?.[name]} depth=${depth + 1} /></li>`)}</ul>`;
  if (depth === 0) return list;
  return html`<details open=${depth <= OPEN_MAX}><summary>${is_list ? `${entries.length} in a list` : `${entries.length} in an object`}</summary>${list}</details>`;
}
