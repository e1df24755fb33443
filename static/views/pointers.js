/** The tables that point to a row, each with how many of its rows do. */
import { useEffect } from "preact/hooks";
import { shortName } from "../address.js";
import { pointersTo } from "../links.js";
import { countRows } from "../rest.js";
import { useSignal } from "./hooks.js";
import { amount, html, live } from "./html.js";

/** Tables whose rows are counted: each is a question to the database. */
const COUNTED_MAX = 12;
/** Above it a count is about right. */
const EXACT_MAX = 10_000;

/** @param {{table: object, row: object, tables: object[]}} props */
export const Pointers = live(({ table, row, tables }) => {
  const counts = useSignal(new Map());
  const pointers = pointersTo(table, row, tables);
  const asked = pointers.map(({ href }) => href).join(" ");
  useEffect(() => {
    let is_over = false;
    const count = async () => {
      for (const { table: name, filter, href } of pointers.slice(0, COUNTED_MAX)) {
        const found = await countRows(name, filter).catch(() => null);
        if (is_over) return;
        if (found !== null) counts.value = new Map(counts.value).set(href, found);
      }
    };
    count();
    return () => (is_over = true);
  }, [asked]);
  if (!pointers.length) return null;
  return html`<section class="pointers" aria-labelledby="pointers">
    <h3 id="pointers">Rows that point here</h3>
    <ul>${pointers.map(({ table: name, columns, href }) => {
      const found = counts.value.get(href);
      return html`<li key=${href}><a href=${href}>${shortName(name)}</a> <span>by ${columns.join(", ")}</span> <b title="When this was opened">${found === undefined ? "" : `${found > EXACT_MAX ? "~" : ""}${amount(found)}`}</b></li>`;
    })}</ul>
  </section>`;
});
