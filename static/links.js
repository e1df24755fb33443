/** Where a row leads along foreign keys, and which rows lead to it. Pure. */
import { pathOf, shortName } from "./address.js";
import { keyOf } from "./plank.js";
import { conditionText } from "./query.js";
import { textOf } from "./values.js";

/** @typedef {{columns: string[], table: string, to: string[]}} Reference */

const conditions = (names, values) => names.map((name, at) => conditionText({ name }, "eq", textOf(values[at]))).join("&");

/** The address of the row of `table` that has these values, and what it is called. */
function placeOf(table, names, values) {
  const label = `${shortName(table.table)} ${values.map(textOf).join(", ")}`;
  const is_key = names.length === table.key.length && names.every((name) => table.key.includes(name));
  const row = is_key ? keyOf(Object.fromEntries(names.map((name, at) => [name, values[at]])), table.key) : "";
  return { label, href: pathOf({ view: "table", name: table.table, ...(is_key ? { row } : { filter: conditions(names, values) }) }) };
}

/**
 * For each column of a table the foreign key that it belongs to: of several the one with the fewest columns.
 * @param {{references?: Reference[]}} table @returns {Map<string, (row: object) => {label: string, href: string} | null>} Null where the row names none.
 */
export function leadsOf({ references = [] }, tables) {
  const leads = new Map();
  for (const { columns, table, to } of [...references].sort((a, b) => b.columns.length - a.columns.length)) {
    const target = tables.find((one) => one.table === table);
    if (!target) continue;
    const lead = (row) => {
      const values = columns.map((name) => row[name] ?? null);
      return values.includes(null) ? null : placeOf(target, to, values);
    };
    for (const name of columns) leads.set(name, lead);
  }
  return leads;
}

/**
 * The tables whose foreign keys name this row: by which columns, and the filter that finds their rows.
 * @returns {{table: string, columns: string[], filter: string, href: string}[]}
 */
export function pointersTo(table, row, tables) {
  const found = [];
  for (const other of tables) {
    for (const { columns, table: name, to } of other.references ?? []) {
      const values = to.map((one) => row[one] ?? null);
      if (name !== table.table || values.includes(null)) continue;
      const filter = conditions(columns, values);
      found.push({ table: other.table, columns, filter, href: pathOf({ view: "table", name: other.table, filter }) });
    }
  }
  return found;
}
