/** What the values of a column are: their kinds, as text for people, as SQL, and what was typed as a value. Pure. */

import { Exact } from "./exact.js";

/** @typedef {{name: string, type: string, fixed?: "generated" | "identity", labels?: string[]}} Column */

/** @typedef {"boolean" | "enum" | "integer" | "number" | "json" | "date" | "moment" | "array" | "bytes" | "uuid" | "text" | "other"} Kind */

const KINDS = [
  [/\[\]$/, "array"],
  [/^boolean/, "boolean"],
  [/^(smallint|integer|bigint)/, "integer"],
  [/^(numeric|real|double)/, "number"],
  [/^jsonb?$/, "json"],
  [/^date$/, "date"],
  [/^timestamp/, "moment"],
  [/^bytea/, "bytes"],
  [/^uuid/, "uuid"],
  [/^(text|character|varchar|citext|name|bpchar)/, "text"],
];

/** @param {Column} column @returns {Kind} */
export function kindOf({ type, labels }) {
  if (labels) return "enum";
  return KINDS.find(([pattern]) => pattern.test(type))?.[1] ?? "other";
}

export const isNumber = (column) => ["integer", "number"].includes(kindOf(column));

/** A value as text. @returns {string | null} Null is null. */
export function textOf(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "object" && !(value instanceof Exact) ? JSON.stringify(value) : String(value);
}

const MOMENT = /^(\d{4})-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(\+00:00)?$/;
const formats = new Map();

function wallClock(ms, zone) {
  if (!formats.has(zone)) {
    const options = { timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
    formats.set(zone, new Intl.DateTimeFormat("en-GB", options));
  }
  const parts = Object.fromEntries(formats.get(zone).formatToParts(ms).map(({ type, value }) => [type, value]));
  return { day: `${parts.year.padStart(4, "0")}-${parts.month}-${parts.day}`, time: `${parts.hour}:${parts.minute}:${parts.second}` };
}

/** By how much the clocks of a zone are ahead then: `+01:00`. */
export function offsetOf(ms, zone) {
  const { day, time } = wallClock(ms, zone);
  const minutes = Math.round((Date.parse(`${day}T${time}Z`) - ms) / 60_000);
  const two = (number) => String(Math.floor(Math.abs(number))).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
}

/** A moment as text in a zone, with all of its digits; the times without a zone as they are. */
export function momentText(text, zone) {
  const [, , , , , fraction = "", has_zone] = text.match(MOMENT) ?? [];
  if (!has_zone) return text.replace("T", " ");
  const { day, time } = wallClock(Date.parse(text), zone);
  return `${day} ${time}${fraction}`;
}

/** An array as PostgreSQL writes it: `{outdoor,new}`. */
function arrayText(value) {
  if (!Array.isArray(value)) return textOf(value) ?? "NULL";
  const item = (one) => {
    if (one === null) return "NULL";
    if (Array.isArray(one)) return arrayText(one);
    const text = textOf(one);
    return text === "" || /[{}",\\\s]/.test(text) || /^null$/i.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : text;
  };
  return `{${value.map(item).join(",")}}`;
}

/** A value as people read it. @param {Column} column @param {string} zone @returns {string | null} */
export function shownText(value, column, zone) {
  if (value === null || value === undefined) return null;
  const kind = kindOf(column);
  if (kind === "moment") return momentText(String(value), zone);
  if (kind === "array") return arrayText(value);
  return textOf(value);
}

/** A value as an editor shows it, and as it may be typed. */
export function editText(value, column, zone) {
  if (value === null || value === undefined) return "";
  const kind = kindOf(column);
  if (kind === "json") return JSON.stringify(value, null, 2);
  const text = shownText(value, column, zone);
  if (kind !== "moment" || !MOMENT.exec(value)?.[6]) return text;
  return text + offsetOf(Date.parse(value), zone);
}

/**
 * What was typed as a value to write. PostgreSQL reads all but JSON from text, so no digit is lost.
 * @throws {SyntaxError} what is wrong, in a sentence
 */
export function valueOf(text, column) {
  const kind = kindOf(column);
  if (kind === "json") {
    try {
      return JSON.parse(text);
    } catch ({ message }) {
      throw new SyntaxError(`This is no JSON: ${message}`);
    }
  }
  const trimmed = text.trim();
  if (kind === "boolean") return trimmed === "true";
  if (kind === "array") return arrayOf(trimmed);
  if (isNumber(column) && trimmed === "") throw new SyntaxError("A number is needed, or null.");
  return kind === "text" || kind === "other" || kind === "enum" ? text : trimmed;
}

/** `{a,"b c",NULL}` as a list: JSON has no other form for it. */
function arrayOf(text) {
  let at = 0;
  const fail = () => {
    throw new SyntaxError("Write an array as {first,second}.");
  };
  const list = () => {
    if (text[at] !== "{") fail();
    const items = [];
    at += 1;
    if (text[at] === "}") return (at += 1), items;
    for (;;) {
      items.push(item());
      at += 1;
      if (text[at - 1] === "}") return items;
      if (text[at - 1] !== ",") fail();
    }
  };
  const item = () => {
    if (text[at] === "{") return list();
    const rest = text.slice(at);
    const quoted = rest.match(/^"((?:[^"\\]|\\.)*)"/);
    if (quoted) return (at += quoted[0].length), quoted[1].replace(/\\(.)/g, "$1");
    const [bare] = rest.match(/^[^,{}"]*/);
    at += bare.length;
    return /^null$/i.test(bare.trim()) ? null : bare.trim();
  };
  const items = list();
  if (at !== text.length) fail();
  return items;
}

const name = (text) => (/^[a-z_][a-z0-9_]*$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`);

function literal(value, column) {
  if (value === null || value === undefined) return "null";
  const kind = kindOf(column);
  if (kind === "integer" || kind === "number" || kind === "boolean") return /^[-\d.]+$|^(true|false)$/.test(textOf(value)) ? textOf(value) : `'${textOf(value)}'`;
  const text = kind === "array" ? arrayText(value) : textOf(value);
  return `${text.includes("\\") ? "E" : ""}'${text.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
}

/** A row as SQL that would write it. @param {{table: string, columns: Column[]}} table */
export function insertText({ table, columns }, row) {
  const there = columns.filter(({ name: one, fixed }) => one in row && fixed !== "generated");
  const overriding = there.some(({ fixed }) => fixed === "identity") ? " overriding system value" : "";
  return `insert into ${table} (${there.map((column) => name(column.name)).join(", ")})${overriding} values (${there.map((column) => literal(row[column.name], column)).join(", ")});`;
}
