/** The change log of a table, moving: newest on top, each with its old and new values. It may be held to be read. */
import { shownText, textOf } from "./grid.js";
import { useSignal } from "./hooks.js";
import { amount, clock, html, live } from "./html.js";

const VALUES_MAX = 12;
const VALUE_CHARS = 120;

const NAMES = { insert: "insert", update: "update", delete: "delete", truncate: "truncate" };

export const Changes = live(({ table, log, columns }) => {
  const types = Object.fromEntries(columns.map(({ name, type }) => [name, type]));
  table.tick.value;
  const held = useSignal(null);
  const entries = held.value?.entries ?? log.latest;
  const waiting = held.value ? log.total - held.value.total : 0;
  const toggle = () => (held.value = held.value ? null : { entries: log.latest, total: log.total });
  return html`
    <section class="changes" aria-label="Changes">
      <header>
        <h3>Changes</h3>
        <span>${amount(log.total)} since you came</span>
        <button type="button" class="quiet small" aria-pressed=${held.value !== null} onClick=${toggle}>
          ${held.value ? `Go on${waiting ? `, ${amount(waiting)} more` : ""}` : "Hold"}
        </button>
      </header>
      ${entries.length === 0
        ? html`<p class="nothing">Nothing has changed since you came. What is written to this table, from anywhere, shows here.</p>`
        : html`<ol tabindex="0" role="list" aria-label="Changes, newest first">${entries.map((entry) => html`<${Change} key=${entry.id} entry=${entry} types=${types} />`)}</ol>`}
    </section>
  `;
});

function Change({ entry, types }) {
  const { op, cause, at, key, values, is_unpaired } = entry;
  const shown = values.slice(0, VALUES_MAX);
  return html`
    <li data-op=${op}>
      <p class="change-head">
        <b class="op">${NAMES[op]}</b>
        ${key && html`<span class="change-key">${Object.entries(key).map(([name, value]) => `${name} ${textOf(value)}`).join(", ")}</span>`}
        <time>${clock(at)}</time>
      </p>
      ${cause && html`<p class="change-note">An update made it ${op === "insert" ? "pass" : "leave"} the filter.</p>`}
      ${is_unpaired && html`<p class="change-note">The old values are not known here.</p>`}
      ${op === "update" && !is_unpaired && values.length === 0 && html`<p class="change-note">No value that is shown here differs.</p>`}
      ${op === "truncate" && html`<p class="change-note">All rows are gone.</p>`}
      ${shown.length > 0 &&
      html`<dl>
        ${shown.map(
          (value) => html`<div>
            <dt>${value.name}</dt>
            <dd>
              ${"before" in value && html`<del><span class="sr-only">before: </span>${short(value.before, types[value.name])}</del>`}
              ${"before" in value && "after" in value && html`<span aria-hidden="true"> → </span>`}
              ${"after" in value && html`<ins><span class="sr-only">now: </span>${short(value.after, types[value.name])}</ins>`}
            </dd>
          </div>`,
        )}
        ${values.length > shown.length && html`<div><dt></dt><dd>and ${values.length - shown.length} more</dd></div>`}
      </dl>`}
    </li>
  `;
}

function short(value, type) {
  const text = shownText(value, type) ?? "null";
  return text.length > VALUE_CHARS ? text.slice(0, VALUE_CHARS) + "…" : text;
}
