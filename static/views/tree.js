/** JSON as a tree, and what differs within two of them. */
import { areAlike, isNode, partsOf } from "../difference.js";
import { textOf } from "../values.js";
import { counted, html } from "./html.js";

/** Levels that are open from the beginning. */
const OPEN_MAX = 2;

const leafText = (value) => (typeof value === "string" ? JSON.stringify(value) : textOf(value) ?? "null");

function Leaf({ value }) {
  return html`<span class=${`tree-${value === null ? "null" : typeof value}`}>${leafText(value)}</span>`;
}

/** All of a value. @param {{value: any, depth?: number}} props */
export function Tree({ value, depth = 0 }) {
  if (!isNode(value)) return html`<${Leaf} value=${value} />`;
  const entries = Object.entries(value);
  const is_list = Array.isArray(value);
  if (!entries.length) return html`<span class="tree-empty">${is_list ? "[]" : "{}"}</span>`;
  const list = html`<ul class="tree">${entries.map(([name, one]) => html`<li key=${name}><b>${name}</b> <${Tree} value=${one} depth=${depth + 1} /></li>`)}</ul>`;
  if (depth === 0) return list;
  return html`<details open=${depth <= OPEN_MAX}><summary>${is_list ? `${entries.length} in a list` : `${entries.length} in an object`}</summary>${list}</details>`;
}

/** What differs of two values that are alike; what is the same is counted. @param {{before: object, after: object}} props */
export function Difference({ before, after }) {
  const parts = partsOf(before, after);
  const others = parts.filter(({ op }) => op !== "same");
  const same = parts.length - others.length;
  return html`<ul class="tree">${others.map((part) => html`<li key=${part.name} data-differs=${part.op}><b>${part.name}</b> <${Part} ...${part} /></li>`)}
    ${same > 0 && html`<li class="tree-same">${counted(same, "value")} as before</li>`}</ul>`;
}

function Part({ op, before, after }) {
  if (op === "update" && areAlike(before, after)) return html`<${Difference} before=${before} after=${after} />`;
  const was = html`<del><span class="sr-only">before: </span><${Tree} value=${before} depth=${1} /></del>`;
  const is = html`<ins><span class="sr-only">now: </span><${Tree} value=${after} depth=${1} /></ins>`;
  if (op === "insert") return is;
  if (op === "delete") return was;
  return html`${was}<span aria-hidden="true"> → </span>${is}`;
}
