/** The rows of any table: as many as there are, drawn as far as they are seen, in the order of one column. */
import { Window } from "./board.js";
import { counted, html, live } from "./html.js";

/** As in tables.css. */
const ROW_PX = 32;
/** A cell shows the beginning of a long value; its title has more. */
const CELL_CHARS = 160;
const TITLE_CHARS = 2_000;

/** A value as text. @returns {string | null} Null is null. */
export function textOf(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The same as text for people: a time without what every row of a column has in common. */
export function shownText(value, type) {
  const text = textOf(value);
  return type?.startsWith("timestamp") && text ? text.replace("T", " ").replace(/(\.\d{3})\d+/, "$1").replace(/\+00:00$/, "") : text;
}

/** How wide a column is, by what is in it. */
function width({ type }) {
  if (/^(boolean|smallint|integer|bigint|real|double)/.test(type)) return "96px";
  if (/^(date|time without|numeric)/.test(type)) return "130px";
  if (type.startsWith("timestamp")) return "196px";
  if (type === "uuid") return "290px";
  return "minmax(150px, 1fr)";
}

export const isNumber = (type) => /^(smallint|integer|bigint|numeric|real|double)/.test(type);

const draw = ({ table, columns, pinned, sort, onSort, typed, onClear }, self) => {
  table.tick.value;
  const missed = table.missed.value?.keys;
  const list = table.rows.list();
  const view = (self.view ??= new Window(ROW_PX, () => self.setState({})));
  view.look(table.rows, list);
  const { column: by, is_descending } = sort.value;
  const sorted = by ?? pinned[0];
  return html`
    <div class="grid" ref=${view.attach} tabindex="0" role="region" aria-label="Rows">
      <table aria-rowcount=${list.length + 1} style=${{ "--columns": columns.map(width).join(" ") }}>
        <thead>
          <tr aria-rowindex="1">
            ${columns.map(({ name, type }) => {
              const is_sorted = name === sorted;
              return html`<th key=${name} scope="col" class=${isNumber(type) ? "number" : ""} aria-sort=${is_sorted ? (is_descending ? "descending" : "ascending") : undefined}>
                <button type="button" title=${type} onClick=${() => onSort(name)}>${name}<i aria-hidden="true">${is_sorted ? (is_descending ? "↓" : "↑") : ""}</i></button>
              </th>`;
            })}
          </tr>
        </thead>
        <tbody style=${{ height: `${view.height_px}px` }}>
          ${list.slice(view.first, view.last).map(
            (entry, at) => html`<tr key=${entry.key} aria-rowindex=${view.first + at + 2} style=${{ top: `${view.top(view.first + at)}px` }} class=${`${table.flash(entry.key)} ${missed?.has(entry.key) ? "card-missed" : ""}`}>
              ${columns.map(({ name, type }) => html`<${Cell} key=${name} value=${entry.row[name]} type=${type} />`)}
            </tr>`,
          )}
        </tbody>
      </table>
      ${table.known.value &&
      list.length === 0 &&
      html`<div class="nothing">
        <p>${typed ? "No row passes this filter." : "This table is empty."}</p>
        ${typed && html`<button type="button" class="quiet" onClick=${onClear}>Show all rows</button>`}
      </div>`}
      ${!table.known.value && !table.failure.value && html`<p class="nothing" aria-busy="true">Loading ${table.loaded.value ? counted(table.loaded.value, "row") : "the rows"}</p>`}
    </div>
  `;
};

/** @param {{table: import("../live.js").LiveTable, columns: object[], pinned: string[], sort: object, onSort: Function}} props `pinned`: the key. */
export const Grid = live(draw, { update: (_, self) => self.view.settle() });

function Cell({ value, type }) {
  const text = textOf(value);
  const name = isNumber(type) ? "number" : "";
  if (text === null) return html`<td class="null ${name}">null</td>`;
  return html`<td class=${name} title=${text.length > 16 ? text.slice(0, TITLE_CHARS) : undefined}>${shownText(value, type).slice(0, CELL_CHARS)}</td>`;
}
