/** One table: its rows, one of them as a sheet, and its changes. All of what is looked at is in the address. */
import { useEffect, useRef } from "preact/hooks";
import { shortName, tableOf, titleOf } from "../address.js";
import { keep, kept } from "../kept.js";
import { leadsOf } from "../links.js";
import { orderText, readOrder, withKey } from "../order.js";
import { filterOf, searched } from "../query.js";
import { ShownTable } from "../shown.js";
import { isNumber } from "../values.js";
import { has_zones, is_utc, toggleZone, zone } from "../zone.js";
import { Changes } from "./changes.js";
import { Columns, columnsText, shownColumns } from "./columns.js";
import { AddCondition, Chips } from "./conditions.js";
import { FilterBox } from "./filterbox.js";
import { Grid } from "./grid.js";
import { useSignal } from "./hooks.js";
import { amount, clock, counted, html, lazy, live, style } from "./html.js";
import { NewRow } from "./newrow.js";
import { Sheet } from "./sheet.js";
import { removeChosen, undo } from "./writing.js";

const Conflict = lazy(() => import("./conflict.js"));
const Paste = lazy(() => import("./paste.js"));
const Export = lazy(() => import("./export.js"));
const Keys = lazy(() => import("./keys.js"));

/** Without a key so many rows are shown. */
const KEYLESS_ROWS_MAX = 1_000;
/** Above it a count is about right. */
const EXACT_MAX = 10_000;
const SEEK = /^(smallint|integer|bigint|numeric|real|double|date|timestamp|uuid|text|character)/;

style("static/views/hands.css")?.catch(() => {});

/** @param {{client: object, catalog: import("../catalog.js").Catalog, session: object, route: import("../address.js").Route, shown: object, go: Function}} props */
export default live(({ client, catalog, session, route, shown, go }) => {
  useEffect(() => catalog.watch("tables"), [catalog]);
  const tables = catalog.tables.value;
  const failure = catalog.failure.value;
  const table = tables && tableOf(tables, route.name);
  if (!tables) return html`<p class="nothing" role="status">${failure ? `${failure} Trying again.` : "Loading the table"}</p>`;
  if (!table) return html`<${Gone} name=${route.name} session=${session.value} />`;
  return html`<${View} key=${JSON.stringify([table.table, table.key, table.columns, table.may])} client=${client} table=${table} tables=${tables} has_auth=${session.value !== null} route=${route} place=${shown} go=${go} />`;
});

/** What may be typed here, with a column that is there. */
function hintOf(columns) {
  const number = columns.find((column) => isNumber(column));
  const example = number ? `${number.name}>100` : `${columns[0].name}=value`;
  return searched(columns).length ? `Words, or ${example}` : example;
}

function Gone({ name, session }) {
  return html`<div class="nothing">
    <h1 class="sr-only">${shortName(name)}</h1>
    <p><strong>There is no watched table ${shortName(name)}.</strong></p>
    ${session
      ? html`<p>It is not watched, or your role <code>${session.role}</code> may not read it:</p><pre><code>select plank.allow('${shortName(name)}', '${session.role}');</code></pre>`
      : html`<p>It was dropped, or is not watched any more. From psql it becomes live, and this page shows it at once:</p><pre><code>select plank.watch('${shortName(name)}');</code></pre>`}
    <p><a href="#/">All tables</a></p>
  </div>`;
}

const View = live(({ client, table, tables, has_auth, route, place, go }) => {
  const typed = route.filter;
  const filter = filterOf(typed, table.columns);
  const view = useSignal(null);
  const pane = useSignal("rows");
  const has_changes = useSignal(kept("changes", innerWidth > 1000 || innerHeight > 520));
  const asked = useSignal(null);
  const root = useRef(null);
  useEffect(() => {
    const made = (view.value = new ShownTable(client, table, filter, route.order));
    place.value = made.pages;
    return () => {
      made.close();
      if (place.value === made.pages) place.value = null;
    };
  }, [client]);
  useEffect(() => view.value?.pages.show(filter, route.order), [filter, route.order]);
  const current = view.value;
  const to = (part, is_step) => go({ ...route, ...part }, is_step);
  useEffect(() => {
    const pressed = (event) => shortcut(event, root.current, asked, current, () => to({ row: "new" }, true));
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  });
  if (!current) return null;
  const { pages, edits } = current;
  const columns = shownColumns(table, route.columns);
  const terms = readOrder(route.order, table);
  const leads = leadsOf(table, tables);
  const close = () => {
    asked.value = null;
    to({ row: "" }, false);
    root.current?.querySelector(".grid table")?.focus();
  };
  const open = (entry) => to({ row: entry.key }, true);
  const sheet = route.row === "new" ? asked.value?.like ?? true : route.row;
  const toggleChanges = () => keep("changes", (has_changes.value = !has_changes.value));
  edits.tick.value;
  return html`
    <section class="table-view" ref=${root} aria-label=${table.table}>
      <div class="toolbar">
        <h1><a href="#/" aria-label="All tables">Tables</a> <span aria-hidden="true">/</span> ${titleOf(table.table)}</h1>
        <${FilterBox} table=${pages} columns=${table.columns} value=${typed} onApply=${(text) => to({ filter: text })} label="Filter rows: words, or conditions like total>5" placeholder=${hintOf(table.columns)} />
        <div class="tools">
          <${AddCondition} typed=${typed} columns=${table.columns} entries=${pages.rows} onFilter=${(text) => to({ filter: text })} />
          <${Columns} table=${table} columns=${columns} onColumns=${(text) => to({ columns: text })} />
          <details class="popup" onKeyDown=${escape}><summary>Export</summary><${Export} view=${{ table: table.table, key: table.key, names: columns.map(({ name }) => name), is_all: !route.columns, has_auth, filter, order: orderText(withKey(terms, table)) }} /></details>
          ${current.may("insert") && html`<button type="button" class="primary" aria-keyshortcuts="n" onClick=${() => to({ row: "new" }, true)}>New row</button>`}
        </div>
      </div>
      <${Chips} typed=${typed} columns=${table.columns} onFilter=${(text) => to({ filter: text })} />
      <${Meta} shown=${current} terms=${terms} has_changes=${has_changes} onChanges=${toggleChanges} />
      ${pages.failure.value && html`<p class="banner" role="alert">${pages.failure.value}</p>`}
      ${pages.phase.value === "ended" && html`<p class="banner" role="alert">This table is not watched any more. What is here is what it was then.</p>`}
      ${!pages.has_key && html`<p class="banner"><span>This table has no primary key: a change does not say which row it is about. ${amount(KEYLESS_ROWS_MAX)} rows at most are shown, and read again after changes.</span></p>`}
      <fieldset class="segments">
        <legend class="sr-only">Show</legend>
        ${["rows", "changes"].map((one) => html`<label class="segment"><input type="radio" name="pane" checked=${pane.value === one} onChange=${() => (pane.value = one)} /><span>${one === "rows" ? "Rows" : "Changes"}</span></label>`)}
      </fieldset>
      <div class="panes" data-pane=${pane.value} data-side=${Boolean(route.row || has_changes.value)}>
        <${Grid} shown=${current} columns=${columns} leads=${leads} route=${route} terms=${terms} typed=${typed} onOrder=${(order) => to({ order })} onMove=${(names) => to({ columns: columnsText(table, names) })} onOpen=${open} onClear=${() => to({ filter: "" })} onPasteRows=${(text) => (asked.value = { paste: text })} />
        ${route.row && route.row !== "new" && html`<${Sheet} key=${route.row} client=${client} shown=${current} table=${table} tables=${tables} text=${route.row} onClose=${close} onDuplicate=${(row) => ((asked.value = { like: row }), to({ row: "new" }, true))} />`}
        ${route.row === "new" && current.may("insert") && html`<${NewRow} shown=${current} like=${sheet === true ? null : sheet} onClose=${close} onMade=${close} />`}
        ${!route.row && (has_changes.value || pane.value === "changes") && html`<${Changes} shown=${current} onClose=${toggleChanges} />`}
      </div>
      ${edits.conflict.value && html`<${Conflict} shown=${current} />`}
      ${asked.value?.paste && html`<${Paste} shown=${current} text=${asked.value.paste} columns=${columns} onClose=${() => (asked.value = null)} />`}
      ${asked.value?.keys && html`<${Keys} shown=${current} onClose=${() => (asked.value = null)} />`}
    </section>
  `;
});

function escape(pressed) {
  if (pressed.key !== "Escape") return;
  pressed.stopPropagation();
  pressed.currentTarget.open = false;
  pressed.currentTarget.firstElementChild.focus();
}

function shortcut(event, root, asked, shown, onNew) {
  const { key, target, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey || target.closest?.("input, textarea, select, dialog, [contenteditable]")) return;
  if (key === "/") root?.querySelector("input[type=search]").focus();
  else if (key === "?") asked.value = { keys: true };
  else if (key === "n" && !target.matches("table") && shown?.may("insert")) onNew();
  else return;
  event.preventDefault();
}

/** One line that is always there: how many rows, how fresh they are, what has changed outside, and which clock the times are of. */
const Meta = live(({ shown, terms, has_changes, onChanges }) => {
  const { pages, edits, table } = shown;
  pages.tick.value;
  edits.tick.value;
  const chosen = shown.selected.value.size;
  const total = !pages.is_at_end && pages.total > EXACT_MAX ? `about ${counted(pages.total, "row")}` : counted(pages.total, "row");
  const first = terms[0]?.column ?? table.columns.find(({ name }) => name === table.key[0]);
  const has_moments = table.columns.some(({ type }) => type === "timestamp with time zone");
  return html`<div class="meta table-meta">
    ${pages.known.value && html`<span>${total}</span>`}
    ${pages.as_of.value && html`<span class="meta-stale">as of ${clock(pages.as_of.value)}</span>`}
    ${pages.known.value && pages.seen[0] > EXACT_MAX && html`<span>at ${pages.is_exact ? "" : "about "}row ${amount(pages.seen[0] + 1)}</span>`}
    ${pages.beyond > 0 && html`<span title="Rows that are not seen now are read when they are">${counted(pages.beyond, "change")} outside the view</span>`}
    ${chosen > 0 && html`<span class="chosen">${counted(chosen, "row")} chosen
      ${shown.may("delete") && html` <button type="button" class="quiet small danger-quiet" onClick=${() => removeChosen(shown)}>Delete</button>`}
      <button type="button" class="quiet small" onClick=${() => shown.unchoose()}>None</button></span>`}
    <span class="meta-right">
      ${edits.can_undo && html`<button type="button" class="quiet small" aria-keyshortcuts="Control+z" onClick=${() => undo(shown)}>Undo</button>`}
      ${pages.has_key && SEEK.test(first?.type ?? "") && html`<${Seek} shown=${shown} column=${first} />`}
      ${has_moments && (has_zones ? html`<button type="button" class="quiet small" aria-pressed=${is_utc.value} title="Times are of this zone. Press for the other." onClick=${toggleZone}>${zone.value}</button>` : html`<span>Times in UTC</span>`)}
      <button type="button" class="quiet small changes-toggle" aria-pressed=${has_changes.value} onClick=${onChanges}>Changes</button>
    </span>
  </div>`;
});

/** Goes to a value in the order. */
function Seek({ shown, column }) {
  const submit = async (submitted) => {
    submitted.preventDefault();
    const text = submitted.target.to.value.trim();
    if (!text) return;
    try {
      const index = await shown.pages.seek(text);
      if (index < 0) return;
      shown.go(index, column.name);
      shown.sought.value = { index };
    } catch ({ message }) {
      submitted.target.to.setCustomValidity(message);
      submitted.target.to.reportValidity();
    }
  };
  return html`<form class="seek" onSubmit=${submit}><input name="to" aria-label=${`Go to ${column.name}`} placeholder=${`Go to ${column.name}`} autocomplete="off" onInput=${({ target }) => target.setCustomValidity("")} /></form>`;
}
