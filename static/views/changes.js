/** The change log of a table, moving: newest on top, each with its old and new values. It may be held to be read. */
import { kindOf, shownText, textOf } from "../values.js";
import { zone } from "../zone.js";
import { areAlike } from "../difference.js";
import { made } from "../mine.js";
import { useEffect, useState } from "preact/hooks";
import { useSignal } from "./hooks.js";
import { amount, clock, counted, html, live } from "./html.js";
import { Difference } from "./tree.js";

/** Changes that are drawn before one asks for more. */
const DRAWN = 50;
/** Drawn at most so often: more is no easier to read, and the grid needs the time. */
const DRAW_EVERY_MS = 400;
const VALUES_MAX = 12;
const VALUE_CHARS = 120;

const NAMES = { insert: "insert", update: "update", delete: "delete", truncate: "truncate" };

/** @param {{shown: import("../shown.js").ShownTable, onClose?: () => void}} props */
export const Changes = live(({ shown, onClose }) => {
  const { log, table } = shown;
  useSeldom(shown.pages.tick);
  const held = useSignal(null);
  const only = useSignal(false);
  const mine = useSignal(false);
  const key = only.value && shown.activeEntry() ? shown.edits.keyOf(shown.activeEntry().row) : null;
  const is_of = (entry) => (!mine.value || made.value.has(entry.xid)) && (!key || (entry.key && Object.entries(key).every(([name, value]) => String(entry.key[name]) === String(value))));
  const kept = held.value?.entries ?? log.latest;
  const entries = kept.filter(is_of);
  const waiting = held.value ? Math.max(0, log.total - held.value.total) : 0;
  const toggle = () => (held.value = held.value ? null : { entries: log.latest, total: log.total });
  return html`
    <section class="changes" aria-label="Changes">
      <header>
        <h2>Changes</h2>
        <span title=${`${amount(log.total)} since you came`}>${amount(log.total)}</span>
        ${table.key.length > 0 && html`<button type="button" class="quiet small" aria-pressed=${only.value} title="Only those of the row that the keys are in" onClick=${() => (only.value = !only.value)}>This row</button>`}
        ${shown.may("insert") || shown.may("update") || shown.may("delete") ? html`<button type="button" class="quiet small" aria-pressed=${mine.value} title="Only those that this page has written since it was loaded" onClick=${() => (mine.value = !mine.value)}>Mine</button>` : null}
        <button type="button" class="quiet small" aria-pressed=${held.value !== null} onClick=${toggle}>
          ${held.value ? `Go on${waiting ? `, ${amount(waiting)} more` : ""}` : "Hold"}
        </button>
        ${onClose && html`<button type="button" class="quiet small changes-close" aria-label="Close the changes" onClick=${onClose}>×</button>`}
      </header>
      ${entries.length === 0
        ? html`<p class="nothing">${kept.length ? `${kept.length === 1 ? "The change that is kept here is not" : `None of the ${amount(kept.length)} changes that are kept here is`} ${[key && "of this row", mine.value && "made by this page since it was loaded"].filter(Boolean).join(" and ")}.` : "No change is known here. What is written to this table, from anywhere, shows here."}</p>`
        : html`<${ChangeList} entries=${entries} columns=${table.columns} label="Changes, newest first" />`}
    </section>
  `;
});

/** Draws again when a signal has moved, but seldom. */
function useSeldom(signal) {
  const drawn = useSignal(0);
  drawn.value;
  useEffect(() => {
    let timer = 0;
    const stop = signal.subscribe(() => (timer ||= setTimeout(() => ((timer = 0), (drawn.value += 1)), DRAW_EVERY_MS)));
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [signal]);
}

export function ChangeList({ entries: all, columns, label }) {
  const [most, setMost] = useState(DRAWN);
  const entries = all.slice(0, most);
  const types = Object.fromEntries(columns.map((column) => [column.name, column]));
  return html`<ol tabindex="0" role="list" aria-label=${label}>${entries.map((entry) => html`<${Change} key=${entry.id} entry=${entry} types=${types} />`)}
    ${all.length > most && html`<li class="changes-more"><button type="button" class="quiet small" onClick=${() => setMost(most + DRAWN)}>${amount(all.length - most)} older</button></li>`}</ol>`;
}

function Change({ entry, types }) {
  const { op, cause, at, key, values, is_unpaired } = entry;
  return html`
    <li data-op=${op}>
      <p class="change-head">
        <b class="op">${NAMES[op]}</b>
        ${key && html`<span class="change-key">${Object.entries(key).map(([name, value]) => `${name} ${textOf(value)}`).join(", ")}</span>`}
        <time>${clock(at)}</time>
      </p>
      ${cause && html`<p class="change-note">An update made it ${op === "insert" ? "pass" : "leave"} the filter.</p>`}
      ${op === "update" && !is_unpaired && values.length === 0 && html`<p class="change-note">No value that is shown here differs.</p>`}
      ${op === "truncate" && html`<p class="change-note">All rows are gone.</p>`}
      ${is_unpaired
        ? html`<details><summary>${counted(values.length, "value")}. What was before is not known.</summary><${Values} values=${values} types=${types} /></details>`
        : values.length > 0 && html`<${Values} values=${values} types=${types} />`}
    </li>
  `;
}

function Values({ values, types }) {
  const shown = values.slice(0, VALUES_MAX);
  return html`<dl>
    ${shown.map(
      (value) => html`<div>
        <dt>${value.name}</dt>
        <dd>
          ${isTree(value, types[value.name]) ? html`<${Difference} before=${value.before} after=${value.after} />` : html`${"before" in value && html`<del><span class="sr-only">before: </span>${short(value.before, types[value.name])}</del>`}
          ${"before" in value && "after" in value && html`<span aria-hidden="true"> → </span>`}
          ${"after" in value && html`<ins><span class="sr-only">now: </span>${short(value.after, types[value.name])}</ins>`}`}
        </dd>
      </div>`,
    )}
    ${values.length > shown.length && html`<div><dt></dt><dd>and ${values.length - shown.length} more</dd></div>`}
  </dl>`;
}

/** An array is shown as PostgreSQL writes it. */
const isTree = ({ before, after }, column) => areAlike(before, after) && !(column && kindOf(column) === "array");

function short(value, column) {
  const text = (column ? shownText(value, column, zone.value) : textOf(value)) ?? "null";
  return text.length > VALUE_CHARS ? text.slice(0, VALUE_CHARS) + "…" : text;
}
