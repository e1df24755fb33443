/** What may come next in a filter that is being typed, and what in it is no column. Pure. */
import { kindOf, shownText } from "./values.js";

const CHOICES_MAX = 8;
/** What a column may be compared with, as one types it. */
const SIGNS = {
  text: ["=", "!=", "~"],
  enum: ["=", "!="],
  boolean: ["="],
  uuid: ["=", "!="],
  bytes: ["=", "!="],
  json: ["=null"],
  array: ["=null"],
  other: ["=null"],
};
const ORDERED = ["=", "!=", ">", ">=", "<", "<="];
export const SIGN_WORDS = { "=": "is", "!=": "is not", "~": "contains", ">": "greater than", ">=": "at least", "<": "less than", "<=": "at most", "=null": "is null" };

/** @typedef {{text: string, caret: number, label: string, hint: string}} Choice `text` is all of the filter with it. */

const quote = (name) => (/^[\w.]+$/.test(name) ? name : `"${name}"`);
const bare = (name) => name.replace(/^"|"$/g, "");

/** Where the condition begins that the caret is in. */
function beginning(text) {
  const joints = [...text.matchAll(/&|\s+and\s+/gi)];
  const last = joints.at(-1);
  return last ? last.index + last[0].length : 0;
}

/** Values of a column that are there, as one types them. */
function valuesOf(column, entries) {
  if (column.labels) return column.labels;
  if (kindOf(column) === "boolean") return ["true", "false"];
  const seen = entries.map(({ row }) => shownText(row[column.name], { ...column, type: "text" }, "UTC"));
  // What would be read as the end of the condition can't be typed like this.
  return [...new Set(seen)].filter((text) => text && text.length < 60 && !/&|\sand\s/i.test(text));
}

const fitting = (all, word) => {
  const low = word.toLowerCase();
  const begins = all.filter((one) => one.toLowerCase().startsWith(low));
  return [...begins, ...all.filter((one) => !begins.includes(one) && one.toLowerCase().includes(low))].slice(0, CHOICES_MAX);
};

/**
 * @param {string} text What is in the box. @param {number} caret Where the caret is in it.
 * @param {import("./values.js").Column[]} columns @param {{row: object}[]} entries Rows that are there.
 * @returns {Choice[]}
 */
export function choicesFor(text, caret, columns, entries) {
  const from = beginning(text.slice(0, caret));
  const part = text.slice(from, caret).trimStart();
  const start = caret - part.length;
  const choice = (typed, label, hint) => ({ text: text.slice(0, start) + typed + text.slice(caret), caret: start + typed.length, label, hint });
  const [, name, sign, value] = part.match(/^("[^"]+"|[^\s=<>!~"]+)\s*(>=|<=|<>|!=|=|>|<|~)\s*(.*)$/s) ?? [];
  if (name !== undefined) {
    const column = columns.find((one) => one.name === bare(name));
    if (!column) return [];
    const there = fitting(valuesOf(column, entries), value);
    return there.length === 1 && there[0] === value ? [] : there.map((one) => choice(`${name}${sign}${one}`, one, ""));
  }
  if (/\s/.test(part) && part[0] !== '"') return [];
  const exact = columns.find((one) => one.name === bare(part));
  const signs = exact ? (SIGNS[kindOf(exact)] ?? ORDERED).map((one) => choice(`${quote(exact.name)}${one}`, `${exact.name}${one}`, SIGN_WORDS[one])) : [];
  const names = fitting(columns.map((one) => one.name), bare(part)).filter((one) => one !== exact?.name);
  const more = names.map((one) => choice(quote(one), one, columns.find((column) => column.name === one).type));
  return [...signs, ...more].slice(0, CHOICES_MAX);
}

/** How many letters apart two words are, or more than two. */
function distance(a, b) {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length];
}

/** The first condition that names no column, in words; null when all do, or there is none. @returns {string | null} */
export function mistakeIn(text, columns) {
  for (const part of text.split(/&|\s+and\s+/i)) {
    const [, name, sign] = part.match(/^\s*("[^"]+"|[^\s=<>!~"()]+)\s*(>=|<=|<>|!=|=|>|<|~)/) ?? [];
    if (!name || /^(not\.)?(and|or)$/.test(name)) continue;
    const plain = bare(decode(name)).trim();
    if (columns.some((one) => one.name === plain)) continue;
    const far = ({ name: other }) => distance(other.toLowerCase(), plain.toLowerCase());
    const near = [...columns].sort((a, b) => far(a) - far(b))[0];
    return `In “${part.trim()}” the part before ${sign} is no column.${near && far(near) <= 2 ? ` Is it ${near.name}?` : ""}`;
  }
  return null;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
