/** Home: the tables that may be read, each with its rows, its changes and who may write it. */
import { signal } from "@preact/signals-core";
import { isQuery, pathOf, titleOf } from "../address.js";
import { SAMPLES_MAX } from "../catalog.js";
import { amount, counted, html, live } from "./html.js";

const SPARK = { width: 120, height: 24 };
/** Below this a line would make much of nothing. */
const SPARK_MIN = 6;
/** Loaded when a hand comes near: then a click shows rows at once. */
const prefetch = () => import("./table.js").catch(() => {});
/** What the board of the demo needs. */
const BOARD = ["id", "name", "description", "status", "data", "version", "updated_at"];

export const hasBoard = ({ table, columns }) => table === "public.items" && BOARD.every((name) => columns.some((column) => column.name === name));

/** Rows: exact up to 10,000, else about. */
const rowsText = (count) => (count > 10_000 ? `~${amount(Number(count.toPrecision(3)))}` : amount(count));

/** @param {{catalog: import("../catalog.js").Catalog, session: object, shown: object}} props */
export const Home = live(
  ({ catalog, session }, self) => {
    const typed = (self.typed ??= signal(""));
    const { failure } = catalog;
    const tables = catalog.tables.value;
    if (!tables) return html`<p class="nothing" role="status">${failure.value ? `${failure.value} Trying again.` : "Loading the tables"}</p>`;
    const words = typed.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = tables.filter(({ table }) => words.every((word) => table.toLowerCase().includes(word)));
    return html`
      <section class="home" ref=${self.root} aria-label="Tables" onKeyDown=${(pressed) => walk(pressed, self.root.current)}>
        <div class="toolbar">
          <h1>Tables</h1>
          <form class="filter" role="search" onSubmit=${(submitted) => (submitted.preventDefault(), found[0] && (location.hash = pathOf({ view: "table", name: found[0].table })))}>
            <input name="search" type="search" placeholder="Find a table" aria-label="Find a table by its name" aria-keyshortcuts="/" autocomplete="off" autocapitalize="off" spellcheck=${false}
              value=${typed.value} onInput=${({ target }) => (typed.value = target.value)} />
            <kbd aria-hidden="true">/</kbd>
          </form>
          <p class="meta" role="status">${words.length ? `${found.length} of ${counted(tables.length, "table")}` : counted(tables.length, "table")}
            ${failure.value && html`<span class="meta-stale">${failure.value}</span>`}</p>
        </div>
        ${found.length > 0 && html`<div class="home-list" onPointerEnter=${prefetch} onFocusIn=${prefetch} tabindex="0" role="region" aria-label="List of tables"><${List} catalog=${catalog} tables=${found} session=${session} /></div>`}
        ${found.length === 0 && (tables.length ? html`<div class="nothing"><p>No table has <strong>${typed.value.trim()}</strong> in its name. ${counted(tables.length, "name")} looked at.</p>
          <button type="button" class="quiet" onClick=${() => (typed.value = "")}>Show all tables</button></div>` : html`<${Nothing} session=${session} />`)}
      </section>
    `;
  },
  {
    mount: ({ catalog, shown }, self) => {
      shown.value = null;
      self.ends = ["tables", "counts", "rates"].map((what) => catalog.watch(what));
      self.onKey = (pressed) => {
        if (pressed.key !== "/" || pressed.target.closest("input, textarea, dialog")) return;
        pressed.preventDefault();
        self.root.current?.querySelector("input").focus();
      };
      document.addEventListener("keydown", self.onKey);
    },
    unmount: (_, self) => {
      self.ends.forEach((end) => end());
      document.removeEventListener("keydown", self.onKey);
    },
  },
);

/** Arrows go from the box through the list. */
function walk(pressed, root) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[pressed.key];
  if (pressed.key === "Escape" && pressed.target.matches("input")) pressed.target.form.search.dispatchEvent(new InputEvent("input", { bubbles: true, data: (pressed.target.value = "") }));
  if (!step) return;
  const stops = [root.querySelector("input"), ...root.querySelectorAll("th a")];
  const at = stops.indexOf(document.activeElement);
  const next = stops[at + step];
  if (at < 0 || !next) return;
  pressed.preventDefault();
  next.focus();
}

const List = live(({ catalog, tables, session }) => {
  const rates = catalog.rates.value;
  const board = tables.find(hasBoard);
  return html`<table>
    <thead><tr><th scope="col">Name</th><th scope="col" class="number">Rows</th><th scope="col">Changes per minute</th><th scope="col">You may</th></tr></thead>
    <tbody>
      ${board && html`<tr><th scope="row"><a href="#/board">Board <span>the items of the demo, as cards</span></a></th><td></td><td></td><td></td></tr>`}
      ${tables.map((table) => {
        const count = catalog.counts.value.get(table.table);
        return html`<tr key=${table.table}>
          <th scope="row"><a href=${pathOf({ view: "table", name: table.table })}>${titleOf(table.table)} <span>${isQuery(table.table) ? "live query, " : ""}${counted(table.columns.length, "column")}${table.key.length ? "" : ", no key"}</span></a></th>
          <td class="number">${count === undefined ? "" : rowsText(count)}</td>
          <td>${rates ? html`<${Spark} values=${rates.get(table.table) ?? []} />` : ""}</td>
          <td><${Access} table=${table} session=${session.value} /></td>
        </tr>`;
      })}
    </tbody>
    ${rates === null && html`<caption>How often tables change is at <code>/metrics</code>, which is not shown here.</caption>`}
  </table>`;
});

function Access({ table: { may = [] }, session }) {
  if (!may.length) return html`<span class="access" title=${session ? "plank.allow gives your role more" : "plank.watch(…, writable => true) makes it writable"}>read</span>`;
  return html`<span class="access" data-writes="true">${may.length === 3 ? "read and write" : ["read", ...may].join(", ")}</span>`;
}

/** The last two minutes. */
function Spark({ values }) {
  const newest = Math.round(values.at(-1) ?? 0);
  const most = Math.max(SPARK_MIN, ...values);
  const { width, height } = SPARK;
  const x = (at) => width - ((values.length - 1 - at) / (SAMPLES_MAX - 1)) * width;
  const y = (value) => height - 2 - (value / most) * (height - 4);
  const points = values.map((value, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  return html`<span class="spark" data-still=${values.every((value) => value === 0)}>
    <svg viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} aria-hidden="true"><polyline points=${points} /></svg>
    <b>${values.length ? amount(newest) : ""}</b>
  </span>`;
}

function Nothing({ session }) {
  const { role } = session.value ?? {};
  return html`<div class="nothing" data-nothing>
    ${role
      ? html`<p><strong>There is no table that your role may read.</strong></p>
          <p>The operator of this database lets the role <code>${role}</code> read one:</p>
          <pre><code>select plank.allow('orders', '${role}');</code></pre>`
      : html`<p><strong>No table is watched yet.</strong></p>
          <p>Any table becomes live from psql; it appears here at once:</p>
          <pre><code>select plank.watch('orders');</code></pre>`}
  </div>`;
}
