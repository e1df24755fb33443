/**
 * The order of rows: as text, as conditions that find what lies behind a row, and as a comparison where this page can make one.
 * Pure.
 */

import { kindOf } from "./values.js";

/**
 * @typedef {{column: import("./values.js").Column, is_descending: boolean, nulls_first: boolean}} Term
 */

/** Of `placed_at.desc,id`; what is no column is left out. The key decides between equal rows. @returns {Term[]} */
export function readOrder(text, table) {
  const terms = [];
  for (const part of text.match(/"(?:[^"]|"")*"[^,]*|[^,]+/g) ?? []) {
    const [, quoted, bare, words = ""] = part.match(/^(?:"((?:[^"]|"")*)"|(.*?))((?:\.(?:asc|desc|nullsfirst|nullslast))*)$/);
    const name = quoted?.replaceAll('""', '"') ?? bare;
    const column = table.columns.find((one) => one.name === name);
    if (!column || terms.some((term) => term.column === column)) continue;
    const is_descending = words.includes(".desc");
    terms.push({ column, is_descending, nulls_first: words.includes(".nullsfirst") || (is_descending && !words.includes(".nullslast")) });
  }
  return terms;
}

export function withKey(terms, table) {
  const more = table.key.filter((name) => !terms.some(({ column }) => column.name === name));
  return [...terms, ...more.map((name) => ({ column: table.columns.find((one) => one.name === name), is_descending: false, nulls_first: false }))];
}

const nameText = (name) => (/^\w+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** As in an address; what goes without saying is not said. */
export function orderText(terms) {
  return terms
    .map(({ column, is_descending, nulls_first }) => {
      const nulls = nulls_first === is_descending ? "" : nulls_first ? ".nullsfirst" : ".nullslast";
      return nameText(column.name) + (is_descending ? ".desc" : "") + nulls;
    })
    .join(",");
}

export const reversed = (terms) => terms.map((term) => ({ ...term, is_descending: !term.is_descending, nulls_first: !term.nulls_first }));

/** A value in a condition. */
const quote = (value) => `"${(typeof value === "object" ? JSON.stringify(value) : String(value)).replace(/["\\]/g, "\\$&")}"`;

/** @returns {string | null} What holds of the rows behind a value in one column; null for none. */
function behind({ column, is_descending, nulls_first }, value) {
  const name = nameText(column.name);
  if (value === null) return nulls_first ? `${name}.not.is.null` : null;
  const past = `${name}.${is_descending ? "lt" : "gt"}.${quote(value)}`;
  return nulls_first ? past : `or(${past},${name}.is.null)`;
}

function tail([term, ...rest], row, is_with) {
  const name = nameText(term.column.name);
  const value = row[term.column.name];
  const same = value === null ? `${name}.is.null` : `${name}.eq.${quote(value)}`;
  const further = behind(term, value);
  const deeper = rest.length ? `and(${same},${tail(rest, row, is_with)})` : is_with ? same : null;
  const parts = [further, deeper].filter(Boolean);
  // Of a key the last column is never null, so there is always one.
  return parts.length === 1 ? parts[0] : `or(${parts.join(",")})`;
}

/**
 * Conditions whose rows, one list after the other, are those behind a row, in the order. The first has one condition on the first
 * column alone: so that an index finds where to begin.
 * @param {Term[]} terms The key is among them. @param {boolean} is_with The row itself as well.
 * @returns {string[]} Each a parameter of a request.
 */
export function following(terms, row, is_with = false) {
  const [first, ...rest] = terms;
  const name = nameText(first.column.name);
  const value = row[first.column.name];
  const param = (...parts) => `and=${encodeURIComponent(`(${parts.join(",")})`)}`;
  if (!rest.length) return [param(`${name}.${first.is_descending ? "lt" : "gt"}${is_with ? "e" : ""}.${quote(value)}`)];
  const deeper = tail(rest, row, is_with);
  if (value === null) return [param(`${name}.is.null`, deeper), ...(first.nulls_first ? [param(`${name}.not.is.null`)] : [])];
  const past = first.is_descending ? "lt" : "gt";
  const near = param(`${name}.${past}e.${quote(value)}`, `or(${name}.${past}.${quote(value)},and(${name}.eq.${quote(value)},${deeper}))`);
  return first.nulls_first ? [near] : [near, param(`${name}.is.null`)];
}

const PLAIN_MOMENT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?)?$/;

/** What compares as PostgreSQL does; null where only PostgreSQL knows the order. */
function placeOf(value, column) {
  switch (kindOf(column)) {
    case "integer":
    case "number": {
      const number = Number(value);
      return Number.isFinite(number) ? number : null;
    }
    case "boolean":
      return value ? 1 : 0;
    case "enum":
      return column.labels.indexOf(value);
    case "uuid":
      return value;
    case "date":
    case "moment":
      return PLAIN_MOMENT.test(value) ? value.replace("+00:00", "") : null;
    default:
      return null;
  }
}

/** Below, above or equal to 0, as rows are in the order; null where only PostgreSQL knows. */
export function compareRows(terms, a, b) {
  for (const { column, is_descending, nulls_first } of terms) {
    const [one, other] = [a[column.name], b[column.name]];
    if (one === other || String(one) === String(other)) continue;
    if (one === null || other === null || one === undefined || other === undefined) return (one ?? null) === null ? (nulls_first ? -1 : 1) : nulls_first ? 1 : -1;
    const [x, y] = [placeOf(one, column), placeOf(other, column)];
    if (x === null || y === null || x === y) return null;
    return (x < y ? -1 : 1) * (is_descending ? -1 : 1);
  }
  return 0;
}
