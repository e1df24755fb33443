/** The tables: which ones are watched, and one of them with its rows and its changes. */
import { signal } from "@preact/signals-core";
import { useEffect } from "preact/hooks";
import { someRows, tables as readTables } from "../api.js";
import { ChangeLog } from "../changelog.js";
import { LiveTable } from "../live.js";
import { keyOf } from "../plank.js";
import { placeOf } from "../rows.js";
import { Filter, filterOf } from "./board.js";
import { Changes } from "./changes.js";
import { Grid, isNumber } from "./grid.js";
import { useSignal } from "./hooks.js";
import { amount, clock, counted, html, live, style } from "./html.js";
import Missed from "./missed.js";

/** New tables are watched from psql, and nobody tells the page. */
const TABLES_EVERY_MS = 5_000;
/** Of a table without a key so many rows are read, again after changes, but not more often than this. */
const KEYLESS_ROWS_MAX = 1_000;
const KEYLESS_EVERY_MS = 1_000;
const RETRY_MS = 5_000;
const SEARCHED = /^(text|character|varchar|citext)/;

// Without it nothing is missing but colours.
style("static/views/hands.css")?.catch(() => {});

/** @param {{client: import("../plank.js").Client, name: string, typed: string, shown: object, go: Function}} props */
export default live(({ client, name, typed, shown, go }) => {
  const list = useSignal(null);
  const failure = useSignal(null);
  useEffect(() => {
    let timer = 0;
    const load = async () => {
      try {
        const tables = await readTables();
        failure.value = null;
        // The same answer is no news.
        if (JSON.stringify(tables) !== JSON.stringify(list.value)) list.value = tables;
      } catch (problem) {
        failure.value = problem.status === 0 ? "The server does not answer." : problem.status === 503 ? "The database is away." : problem.message;
      }
      timer = setTimeout(load, TABLES_EVERY_MS);
    };
    load();
    return () => clearTimeout(timer);
  }, []);
  const tables = list.value;
  const table = tables?.find((one) => one.table === name || one.table === `public.${name}`);
  if (!tables) return html`<p class="nothing" role="status">${failure.value ? `${failure.value} Trying again.` : "Loading the tables"}</p>`;
  return html`
    <div class="tables">
      <nav class="table-list" aria-label="Tables">
        <h1>Tables</h1>
        ${failure.value && html`<p class="meta-stale">${failure.value}</p>`}
        ${tables.map(
          (one) => html`<a href="#/tables/${encodeURIComponent(one.table)}" aria-current=${one === table ? "page" : undefined}>
            <b>${one.table.replace(/^public\./, "")}</b><span>${counted(one.columns.length, "column")}</span>
          </a>`,
        )}
      </nav>
      ${table
        ? html`<${TableView} key=${JSON.stringify([table.table, table.key, table.columns])} client=${client} table=${table} typed=${typed} shown=${shown} onFilter=${(text) => go("tables", table.table, text)} />`
        : html`<${Choose} tables=${tables} name=${name} />`}
    </div>
  `;
});

function Choose({ tables, name }) {
  return html`<div class="nothing table-choose">
    ${name
      ? html`<p><strong>There is no watched table ${name}.</strong></p><p>Or you may not read it. It may be watched from psql:</p>`
      : tables.length > 0
        ? html`<p><strong>Choose a table</strong> to see its rows and its changes, live.</p><p>Any table becomes live from psql:</p>`
        : html`<p><strong>No table is watched yet.</strong></p><p>Any table becomes live from psql:</p>`}
    <pre><code>select plank.watch('orders');</code></pre>
  </div>`;
}

/** Follows a table, and keeps its changes. One for each table that is looked at. */
class Shown {
  sort = signal({ column: null, is_descending: false });
  columns = signal(null);
  log = new ChangeLog();

  constructor(client, table, filter) {
    this.table = table;
    this.has_key = table.key.length > 0;
    this.live = new LiveTable(client, table.table, {
      order: this.#order(),
      snapshot: this.has_key,
      spec: filter ? { filter } : {},
      change: (change, key, before) => this.#told(change, key, before),
      live: () => this.has_key || this.reload(0),
    });
  }

  #order() {
    const { column, is_descending } = this.sort.value;
    const by = column ?? this.table.key[0];
    const is_number = isNumber(this.table.columns.find(({ name }) => name === by)?.type);
    return { place: (row) => placeOf(row[by], is_number), descending: is_descending };
  }

  sortBy(column) {
    const { column: before, is_descending } = this.sort.value;
    this.sort.value = { column, is_descending: column === before && !is_descending };
    this.live.rows.order(this.#order());
    this.live.draw();
  }

  show(filter, columns) {
    this.columns.value = columns;
    // What the rows are sorted by has to be there.
    const by = this.sort.value.column;
    if (columns && by && !columns.includes(by)) this.sort.value = { column: null, is_descending: false };
    this.live.rows.order(this.#order());
    this.live.show({ ...(filter && { filter }), ...(columns && { columns }) });
  }

  #told(change, key, before) {
    this.log.add(change, before);
    if (key !== null) this.live.blink(key);
    if (!this.has_key) this.reload();
  }

  /** Without a key a change can't find its row, so some rows are read again. */
  reload(wait_ms = KEYLESS_EVERY_MS) {
    this.timer ??= setTimeout(async () => {
      this.timer = undefined;
      // What changes from here on is read by the next one, whose answer counts if this one is late.
      const reading = (this.reading = {});
      const { filter, columns } = this.live.spec;
      const query = `limit=${KEYLESS_ROWS_MAX}${columns ? `&columns=${encodeURIComponent(columns.join())}` : ""}${filter ? `&${filter}` : ""}`;
      const rows = await someRows(this.table.table, query).catch(() => null);
      if (reading !== this.reading) return;
      // While the server is away it says so by the socket, and the rows are read when that is back.
      if (!rows) return this.live.phase.value === "live" && this.reload(RETRY_MS);
      this.live.rows.clear();
      this.live.rows.expect(Infinity);
      rows.forEach((row, at) => this.live.rows.set(keyOf({ at }), row));
      this.live.known.value = true;
      this.live.draw();
    }, wait_ms);
  }

  close() {
    this.reading = null;
    clearTimeout(this.timer);
    this.live.close();
  }
}

const TableView = live(({ client, table, typed, shown, onFilter }) => {
  const texts = table.columns.filter(({ type }) => SEARCHED.test(type)).map(({ name }) => name);
  const filter = filterOf(typed, texts);
  const view = useSignal(null);
  const pane = useSignal("rows");
  useEffect(() => {
    const made = (view.value = new Shown(client, table, filter));
    shown.value = made.live;
    return () => {
      made.close();
      // The board may be there already, and show its own.
      if (shown.value === made.live) shown.value = null;
    };
  }, [client]);
  useEffect(() => {
    if ((view.value?.live.wanted.filter ?? "") !== filter) view.value?.show(filter, view.value.columns.value);
  }, [filter]);
  const current = view.value;
  if (!current) return null;
  const rows = current.live;
  const columns = table.columns.filter(({ name }) => current.columns.value?.includes(name) ?? true);
  const setColumns = (names) => current.show(rows.wanted.filter, names.length < table.columns.length ? names : null);
  return html`
    <section class="table-view" aria-label=${table.table}>
      <div class="toolbar">
        <h2>${table.table.replace(/^public\./, "")}</h2>
        <${Filter} table=${rows} value=${typed} onApply=${onFilter} label="Filter rows: words, or conditions like total=gt.5" placeholder=${texts.length ? "Words, or column=eq.value" : "column=eq.value"} />
        <${Columns} table=${table} shown=${columns} onColumns=${setColumns} />
        <${TableMeta} table=${rows} />
      </div>
      <${Missed} table=${rows} noun="row" />
      ${rows.failure.value && html`<p class="banner" role="alert">${rows.failure.value}</p>`}
      ${rows.phase.value === "ended" && html`<p class="banner" role="alert">This table is not watched any more. What is here is what it was then.</p>`}
      ${!current.has_key && html`<p class="banner"><span>This table has no primary key: a change does not say which row it is about. ${amount(KEYLESS_ROWS_MAX)} rows at most are shown, and read again after changes.</span></p>`}
      <fieldset class="segments">
        <legend class="sr-only">Show</legend>
        ${["rows", "changes"].map(
          (one) => html`<label class="segment"><input type="radio" name="pane" checked=${pane.value === one} onChange=${() => (pane.value = one)} /><span>${one === "rows" ? "Rows" : "Changes"}</span></label>`,
        )}
      </fieldset>
      <div class="panes" data-pane=${pane.value}>
        <${Grid} table=${rows} columns=${columns} pinned=${table.key} sort=${current.sort} onSort=${(column) => current.sortBy(column)} typed=${typed} onClear=${() => onFilter("")} />
        <${Changes} table=${rows} log=${current.log} columns=${table.columns} />
      </div>
    </section>
  `;
});

const TableMeta = live(({ table }) => {
  table.tick.value;
  return html`<p class="meta">
    ${table.known.value && html`<span>${counted(table.rows.size, "row")}</span>`}
    ${table.as_of.value && html`<span class="meta-stale">as of ${clock(table.as_of.value)}</span>`}
  </p>`;
});

function Columns({ table, shown, onColumns }) {
  const names = shown.map(({ name }) => name);
  const toggle = (name, is_on) => onColumns(table.columns.map((column) => column.name).filter((one) => (one === name ? is_on : names.includes(one))));
  return html`
    <details class="columns" onKeyDown=${(pressed) => {
      if (pressed.key !== "Escape") return;
      pressed.currentTarget.open = false;
      pressed.currentTarget.firstElementChild.focus();
    }} onFocusOut=${({ currentTarget, relatedTarget }) => relatedTarget && !currentTarget.contains(relatedTarget) && (currentTarget.open = false)}>
      <summary>Columns <b>${names.length < table.columns.length ? `${names.length} of ${table.columns.length}` : "all"}</b></summary>
      <fieldset>
        <legend class="sr-only">Columns to show</legend>
        ${table.columns.map(({ name, type }) => {
          const is_key = table.key.includes(name);
          return html`<label><input type="checkbox" checked=${names.includes(name)} disabled=${is_key} onChange=${({ target }) => toggle(name, target.checked)} />
            ${name} <span>${is_key ? "key" : type}</span></label>`;
        })}
      </fieldset>
    </details>
  `;
}
