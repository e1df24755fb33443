/**
 * The rows of any table, however many: what is seen is drawn, with the columns of the key standing still, and one cell that the keys are
 * in. What keys and hands do is in gridkeys.js.
 */
import { pathOf } from "../address.js";
import { zone } from "../zone.js";
import { CellEditor } from "./editors.js";
import { classOf, titleOf, Value } from "./cells.js";
import { onKey, onPaste } from "./gridkeys.js";
import { Head } from "./head.js";
import { html, live } from "./html.js";
import { Viewport } from "./viewport.js";
import { Widths } from "./widths.js";

/** As in table.css. */
const ROW_PX = 32;
const HEAD_PX = 32;
const CHOICE_PX = 34;
/** As long as the animation in style.css. */
const FLASH_MS = 2_400;
/** A sentence of the server's, over two lines or three. */
const REFUSAL_PX = 420;
/** On a narrow screen only the first columns of a key stand still. */
const FROZEN_SHARE = 0.5;

/** @param {{shown: import("../shown.js").ShownTable, columns: object[], leads: Map<string, Function>, route: object, typed: string, go: Function, onOrder: Function, onMove: Function, onOpen: Function, onClear: Function}} props */
const draw = (props, self) => {
  const { shown, columns, leads, typed, onOrder, onClear } = props;
  const { pages, edits, table } = shown;
  pages.tick.value;
  edits.tick.value;
  zone.value;
  shown.sought.value;
  const view = (self.view ??= new Viewport(ROW_PX, HEAD_PX, () => self.setState({})));
  const widths = (self.widths ??= new Widths(table.table));
  widths.tick.value;
  widths.measure(columns, pages.rows, leads);
  view.look(pages.total, pages.takeMoved());
  const has_choice = shown.may("update") || shown.may("delete");
  const lead_px = has_choice ? CHOICE_PX : 0;
  const lefts = frozen(columns, table, widths, lead_px, self.root.current?.clientWidth ?? innerWidth);
  const offsets = [];
  columns.reduce((left, { name }) => (offsets.push(left), left + widths.of(name)), lead_px);
  const active = shown.active.value;
  const active_index = shown.activeIndex();
  const drawn = [];
  for (let index = view.first; index < view.last; index += 1) {
    const entry = pages.rows[index - pages.start];
    if (entry) drawn.push([entry, index]);
  }
  const is_drawn = drawn.some(([, index]) => index === active_index);
  const template = `${has_choice ? `${CHOICE_PX}px ` : ""}${columns.map(({ name }) => `${widths.of(name)}px`).join(" ")}`;
  Object.assign(self, { offsets, lefts, lead_px });
  const cell = { ...props, active_index, active_name: active?.name, has_choice, lefts };
  return html`
    <div class="grid" ref=${(element) => ((self.root.current = element), view.attach(element))} onKeyDown=${(pressed) => onKey(pressed, props, self)} onPaste=${(pasted) => onPaste(pasted, props)}>
      <table role="grid" tabindex="0" aria-label="Rows" aria-rowcount=${pages.total + 1} aria-colcount=${columns.length} aria-multiselectable=${has_choice} aria-activedescendant=${is_drawn ? `cell-${active_index}-${columns.findIndex(({ name }) => name === active.name)}` : undefined}
        style=${{ "--columns": template }} onFocus=${({ target, currentTarget }) => target === currentTarget && !shown.active.value && pages.total && shown.go(view.seen[0], columns[0].name)}>
        <${Head} columns=${columns} lefts=${lefts} terms=${props.terms} key_names=${table.key} widths=${widths} has_choice=${has_choice} onOrder=${onOrder} onMove=${props.onMove} />
        <tbody style=${{ height: `${view.height_px}px` }}>
          ${drawn.map(([entry, index]) => html`<${Row} key=${entry.key} entry=${entry} index=${index} top=${view.top(index)} ...${cell} />`)}
        </tbody>
      </table>
      ${shown.editing.value && html`<${CellEditor} shown=${shown} columns=${columns} place=${{ left: (at, width_px) => within(self.root.current, offsets[at], width_px), tops: (index) => HEAD_PX + view.top(index), widths }} onOpen=${props.onOpen} onDone=${() => self.root.current?.querySelector("table").focus()} />`}
      ${is_drawn && html`<${Refusal} shown=${shown} at=${columns.findIndex(({ name }) => name === active.name)} root=${self.root.current} left=${offsets} top=${HEAD_PX + view.top(active_index) + ROW_PX} />`}
      ${pages.known.value && pages.total === 0 && html`<${Nothing} typed=${typed} columns=${table.columns} may_insert=${shown.may("insert")} table=${table} onClear=${onClear} />`}
      ${!pages.known.value && !pages.failure.value && html`<p class="nothing" aria-busy="true">Loading the rows</p>`}
    </div>
  `;
};

export const Grid = live(draw, {
  update: (props, self) => settle(props, self),
  mount: (props, self) => settle(props, self),
});

function settle({ shown }, self) {
  self.view.settle();
  const { value: sought } = shown.sought;
  if (sought) {
    shown.sought.value = null;
    self.view.jump(sought.index);
  }
  const [first, last] = self.view.seen;
  shown.pages.need(first, last);
}

/** Where the columns of the key stand, as far as there is room for more beside them. */
function frozen(columns, table, widths, lead_px, width_px) {
  let left = lead_px;
  return columns.map(({ name }) => {
    if (!table.key.includes(name)) return undefined;
    const at = left;
    left += widths.of(name);
    return left <= width_px * FROZEN_SHARE || at === lead_px ? at : undefined;
  });
}

const flashOf = ({ flash }, name) => {
  if (!flash || Date.now() - flash.at > FLASH_MS || (flash.names && !flash.names.has(name))) return "";
  return flash.count % 2 ? "flash-odd" : "flash-even";
};

function Row({ entry, index, top, shown, columns, leads, lefts, active_index, active_name, has_choice, route, onOpen }) {
  const { edits, table } = shown;
  const is_chosen = shown.selected.value.has(entry.key);
  const row = shown.rowOf(entry);
  return html`<tr aria-rowindex=${index + 2} aria-selected=${has_choice ? is_chosen : undefined} data-key=${entry.key} data-going=${edits.isGoing(entry.key)} class=${index % 2 ? "odd" : ""} style=${{ top: `${top}px` }}>
    ${has_choice && html`<td class="choice frozen" style=${{ left: "0" }}><input type="checkbox" tabindex="-1" aria-label=${`Choose the row ${entry.key}`} checked=${is_chosen} onClick=${() => shown.choose(entry.key)} /></td>`}
    ${columns.map((column, at) => {
      const { name } = column;
      const state = edits.cell(entry.key, name)?.state;
      const left = lefts[at];
      const is_link = table.key[0] === name;
      const lead = leads.get(name)?.(row);
      return html`<td key=${name} id=${`cell-${index}-${at}`} role="gridcell" aria-colindex=${at + 1} data-name=${name} data-state=${state} data-active=${index === active_index && name === active_name}
        class=${`${classOf(column)} ${left === undefined ? "" : "frozen"} ${lead ? "has-lead" : ""} ${flashOf(entry, name)}`} style=${{ left: left === undefined ? undefined : `${left}px` }} title=${titleOf(row[name], column)}
        onClick=${() => shown.go(index, name)} onDblClick=${() => onOpen(entry)}>
        ${is_link ? html`<a tabindex="-1" href=${pathOf({ ...route, row: entry.key })}><${Value} value=${row[name]} column=${column} /></a>` : html`<${Value} value=${row[name]} column=${column} />`}${lead && html`<a class="lead" tabindex="-1" href=${lead.href} title=${`Go to ${lead.label}`} aria-label=${`Go to ${lead.label}`}></a>`}
      </td>`;
    })}
  </tr>`;
}

/** Where something that is so wide has room in what is seen, as near to its cell as can be. */
function within({ scrollLeft, clientWidth }, left_px, width_px) {
  return Math.max(scrollLeft + 2, Math.min(left_px, scrollLeft + clientWidth - width_px - 2));
}

/** Why the value of the active cell was not taken. */
function Refusal({ shown, at, root, left, top }) {
  const entry = shown.activeEntry();
  const { name } = shown.active.value ?? {};
  const cell = entry && shown.edits.cell(entry.key, name);
  if (cell?.state !== "refused") return null;
  return html`<p class="cell-refusal" role="alert" style=${{ left: `${within(root, left[at], REFUSAL_PX)}px`, top: `${top}px`, maxWidth: `${Math.min(REFUSAL_PX, root.clientWidth - 4)}px` }}>
    Not saved: ${cell.reason} <button type="button" class="quiet small" onClick=${() => shown.edits.dismiss(entry.key, name)}>Dismiss</button>
  </p>`;
}

function Nothing({ typed, columns, may_insert, table, onClear }) {
  const searched = columns.filter(({ type }) => /^(text|character|varchar|citext)/.test(type)).map(({ name }) => name);
  const is_search = typed && !/[=<>]/.test(typed);
  return html`<div class="nothing">
    ${typed
      ? html`<p>No row passes this filter.${is_search && searched.length ? ` Looked for “${typed}” in ${searched.join(", ")}.` : ""}</p>
          <button type="button" class="quiet" onClick=${onClear}>Show all rows</button>`
      : html`<p><strong>This table is empty.</strong></p><p>${may_insert ? "Add a row here, or from anywhere else; it appears as soon as it is committed." : `What is written to ${table.table}, from anywhere, appears as soon as it is committed.`}</p>`}
  </div>`;
}
