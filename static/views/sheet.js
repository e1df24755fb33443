/** One row, whole: its values, to copy and to change, and what happened to it. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { shortName } from "../address.js";
import { FollowedRow } from "../followed.js";
import { editText, insertText, kindOf, shownText, textOf, valueOf } from "../values.js";
import { zone } from "../zone.js";
import { leadsOf } from "../links.js";
import { ChangeList } from "./changes.js";
import { Value } from "./cells.js";
import { Input } from "./editors.js";
import { useSignal } from "./hooks.js";
import { clock, html, live } from "./html.js";
import { Pointers } from "./pointers.js";
import { say } from "./toast.js";
import { Tree } from "./tree.js";
import { removeChosen } from "./writing.js";

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied.`, { tone: "news" });
  } catch {
    say("The browser does not let this page copy.");
  }
}

/** The key of a row out of the address, by the names of its columns; null for what is none. */
export function keyOfText(text, { key }) {
  try {
    const values = JSON.parse(text);
    if (key.length === 1) return { [key[0]]: values };
    return Array.isArray(values) && values.length === key.length ? Object.fromEntries([...key].sort().map((name, at) => [name, values[at]])) : null;
  } catch {
    return null;
  }
}

/** @param {{client: object, shown: import("../shown.js").ShownTable, table: object, tables: object[], text: string, onClose: () => void, onDuplicate: (row: object) => void}} props */
export const Sheet = live(({ client, shown, table, tables, text, onClose, onDuplicate }) => {
  const { edits } = shown;
  const leads = leadsOf(table, tables);
  const followed = useSignal(null);
  const heading = useRef(null);
  useEffect(() => {
    const key = keyOfText(text, table);
    if (!key) return;
    const made = (followed.value = new FollowedRow(client, table.table, key));
    heading.current?.focus();
    return () => made.close();
  }, [client, text]);
  edits.tick.value;
  const row = followed.value?.row.value;
  const is_gone = followed.value?.is_gone.value;
  const entry = row && { key: text, row };
  const named = keyOfText(text, table);
  const title = named ? Object.entries(named).map(([name, value]) => `${name} ${textOf(value)}`).join(", ") : text;
  return html`
    <section class="row-sheet" aria-labelledby="row-title" onKeyDown=${(pressed) => pressed.key === "Escape" && !pressed.defaultPrevented && (pressed.stopPropagation(), onClose())}>
      <header>
        <h2 id="row-title" tabindex="-1" ref=${heading}><span>${shortName(table.table)}</span> ${title}</h2>
        <button type="button" class="quiet small" onClick=${onClose} aria-keyshortcuts="Escape">Close</button>
      </header>
      ${row && html`<div class="sheet-actions">
        <button type="button" class="quiet small" onClick=${() => copy(JSON.stringify(row, null, 2), "The row, as JSON,")}>Copy as JSON</button>
        <button type="button" class="quiet small" onClick=${() => copy(insertText(table, row), "The row, as INSERT,")}>Copy as INSERT</button>
        ${shown.may("insert") && html`<button type="button" class="quiet small" onClick=${() => onDuplicate(row)}>Duplicate</button>`}
        ${shown.may("delete") && !is_gone && html`<button type="button" class="quiet small danger-quiet" onClick=${() => removeChosen(shown, [entry])}>Delete</button>`}
      </div>`}
      <div class="sheet-body" tabindex="0" role="region" aria-label="Values and history">
        ${is_gone && html`<p class="banner" role="alert"><span>This row has been deleted. What is here is what it was.</span></p>`}
        ${row === undefined && named && html`<p class="nothing" aria-busy="true">Loading the row</p>`}
        ${(row === null || !named) && html`<p class="nothing"><strong>There is no such row.</strong> It may have been deleted, or you may not read it.</p>`}
        ${row && html`<dl class="values">${table.columns.map((column) => html`<${Field} key=${column.name} shown=${shown} entry=${entry} column=${column} lead=${leads.get(column.name)?.(row)} may_edit=${shown.mayEdit(column) && !is_gone} />`)}</dl>`}
        ${row && html`<${Pointers} table=${table} row=${row} tables=${tables} />`}
        ${row && html`<${History} followed=${followed.value} columns=${table.columns} />`}
      </div>
    </section>
  `;
});

const Field = live(({ shown, entry, column, lead, may_edit }) => {
  const { name } = column;
  const draft = useSignal(null);
  const wrong = useSignal(null);
  const root = useRef(null);
  const is_open = draft.value !== null;
  // What had the focus goes with the editor.
  useLayoutEffect(() => () => is_open && queueMicrotask(() => document.activeElement === document.body && root.current?.querySelector("[data-change]")?.focus()), [is_open]);
  shown.edits.tick.value;
  const cell = shown.edits.cell(entry.key, name);
  const value = cell && cell.state !== "refused" ? cell.value : entry.row[name];
  const begin = () => {
    const from = cell?.state === "refused" ? cell.value : value;
    draft.value = { text: editText(from, column, zone.peek()), is_null: (from ?? null) === null };
  };
  const save = async () => {
    try {
      const typed = draft.value.is_null ? null : valueOf(draft.value.text, column);
      draft.value = wrong.value = null;
      await shown.edits.update(entry, { [name]: typed });
    } catch ({ message }) {
      wrong.value = message;
    }
  };
  const pressed = (event) => {
    const is_save = event.key === "Enter" && (!event.target.matches("textarea") || event.ctrlKey || event.metaKey) && !event.target.matches("button");
    if (event.key !== "Escape" && !is_save) return;
    event.preventDefault();
    event.stopPropagation();
    if (is_save) save();
    else draft.value = wrong.value = null;
  };
  const id = `value-${name}`;
  return html`<div data-state=${cell?.state} ref=${root}>
    <dt><span id=${id}>${name}</span> <small>${column.type}</small></dt>
    <dd>
      ${draft.value
        ? html`<div class="field-editor" onKeyDown=${pressed} ref=${(element) => element && !element.contains(document.activeElement) && !element.dataset.open && ((element.dataset.open = "1"), element.querySelector("input, select, textarea")?.focus())}>
            <${Input} column=${column} text=${draft.value.text} is_null=${draft.value.is_null} is_large aria-labelledby=${id} aria-invalid=${wrong.value ? "true" : undefined} onText=${(text, is_null) => (draft.value = { text, is_null })} />
            ${wrong.value && html`<p class="field-error" role="alert">${wrong.value}</p>`}
            <p class="field-buttons">
              <button type="button" class="primary small" onClick=${save}>Save</button>
              ${!column.labels && column.type !== "boolean" && html`<button type="button" class="quiet small" aria-pressed=${draft.value.is_null} onClick=${() => (draft.value = { text: "", is_null: !draft.value.is_null })}>null</button>`}
              <button type="button" class="quiet small" onClick=${() => (draft.value = wrong.value = null)}>Cancel</button>
            </p>
          </div>`
        : html`<div class="value"><${Whole} value=${value} column=${column} />${lead && html` <a class="value-lead" href=${lead.href}>${lead.label}</a>`}</div>
            <span class="value-buttons">
              <button type="button" class="quiet small" aria-label=${`Copy ${name}`} onClick=${() => copy(shownText(value, column, zone.peek()) ?? "", name)}>Copy</button>
              ${may_edit && html`<button type="button" class="quiet small" data-change aria-label=${`Change ${name}`} onClick=${begin}>Change</button>`}
            </span>`}
      ${cell?.state === "refused" && html`<p class="field-error" role="alert">Not saved: ${cell.reason} <button type="button" class="quiet small" onClick=${() => shown.edits.dismiss(entry.key, name)}>Dismiss</button></p>`}
    </dd>
  </div>`;
});

/** All of a value. */
function Whole({ value, column }) {
  const kind = kindOf(column);
  if (value === null || value === undefined || ["enum", "boolean"].includes(kind)) return html`<${Value} value=${value} column=${column} />`;
  if (kind === "json" && typeof value === "object") return html`<${Tree} value=${value} />`;
  const text = shownText(value, column, zone.value);
  return text === "" ? html`<span class="null">empty</span>` : html`<span class=${kind === "text" ? "long" : "mono"}>${text}</span>`;
}

const History = live(({ followed, columns }) => {
  followed.tick.value;
  const since = followed.since.value;
  const entries = followed.log.latest;
  return html`<section class="history" aria-labelledby="history">
    <h3 id="history">History</h3>
    <p class="meta-line">${since ? `All changes since ${clock(since)}, as they are in the log. Who made them is not in it.` : "Reading the log"}</p>
    ${entries.length > 0 && html`<${ChangeList} entries=${entries} columns=${columns} label="Changes of this row, newest first" />`}
    ${since && entries.length === 0 && html`<p class="nothing">It has not changed since then. What changes it from now on shows here.</p>`}
  </section>`;
});
