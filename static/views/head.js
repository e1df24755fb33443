/** The head of the grid: the order by a click, several columns with Shift, widths by the edge of each head. */
import { orderText } from "../order.js";
import { isNumber } from "../values.js";
import { html } from "./html.js";
import { startMove } from "./movecolumn.js";

const STEP_PX = 16;

/** The order after a click on a column: up, down, and that of the key again. */
export function sorted(terms, column, is_more) {
  const at = terms.findIndex((term) => term.column.name === column.name);
  const one = { column, is_descending: false, nulls_first: false };
  const down = { column, is_descending: true, nulls_first: true };
  const next = at < 0 ? one : terms[at].is_descending ? null : down;
  if (!is_more) return next ? [next] : [];
  if (at < 0) return [...terms, one];
  return next ? terms.map((term, i) => (i === at ? next : term)) : terms.filter((_, i) => i !== at);
}

/** @param {{columns: object[], lefts: (number | undefined)[], terms: object[], widths: import("./widths.js").Widths, has_choice: boolean, onOrder: (order: string) => void, onMove: (names: string[]) => void}} props */
export function Head({ columns, lefts, terms, key_names, widths, has_choice, onOrder, onMove }) {
  const names = columns.map(({ name }) => name);
  return html`<thead>
    <tr aria-rowindex="1">
      ${has_choice && html`<th class="choice frozen" style=${{ left: "0" }} scope="col"><span class="sr-only">Chosen</span></th>`}
      ${columns.map((column, at) => {
        const { name, type } = column;
        const place = terms.findIndex((term) => term.column.name === name);
        const term = terms[place];
        const by_key = !terms.length && name === key_names[0];
        return html`<th key=${name} scope="col" aria-colindex=${at + 1} class=${`${isNumber(column) ? "number" : ""} ${lefts[at] === undefined ? "" : "frozen"}`} style=${{ left: lefts[at] === undefined ? undefined : `${lefts[at]}px` }}
          aria-sort=${place === 0 || by_key ? (term?.is_descending ? "descending" : "ascending") : undefined}>
          <button type="button" title=${`${name}: ${type}. Shift sorts by several.`} onPointerDown=${(pressed) => startMove(pressed, { names, fixed: key_names.length, at, onMove })} onClick=${({ shiftKey }) => onOrder(orderText(sorted(terms, column, shiftKey)))}>
            ${name}<i aria-hidden="true">${term ? (term.is_descending ? "↓" : "↑") : by_key ? "↑" : ""}${terms.length > 1 && term ? place + 1 : ""}</i>
          </button>
          <span class="edge" role="separator" tabindex="0" aria-orientation="vertical" aria-label=${`Width of ${name}`} aria-valuenow=${widths.of(name)} aria-valuemin="48" aria-valuemax="1200"
            onDblClick=${() => widths.reset(name)} onPointerDown=${(pressed) => drag(pressed, widths, name)}
            onKeyDown=${(pressed) => {
              const step = { ArrowLeft: -STEP_PX, ArrowRight: STEP_PX }[pressed.key];
              if (!step) return;
              pressed.preventDefault();
              widths.draw(name, widths.of(name) + step);
              widths.keep();
            }}></span>
        </th>`;
      })}
    </tr>
  </thead>`;
}

function drag(pressed, widths, name) {
  pressed.preventDefault();
  const { target, pointerId, clientX } = pressed;
  const from_px = widths.of(name);
  target.setPointerCapture(pointerId);
  target.onpointermove = (moved) => widths.draw(name, from_px + moved.clientX - clientX);
  target.onpointerup = target.onpointercancel = () => {
    target.onpointermove = null;
    widths.keep();
  };
}
