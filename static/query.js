/** Filters as people type them, as the server takes them, and as chips show them. Pure. */

import { kindOf } from "./values.js";

const SEARCHED = /^(text|character|varchar|citext)/;
const SIGNS = { "=": "eq", "!=": "neq", "<>": "neq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "~": "ilike" };
/** As the server has them, behind `column=`. */
const OPERATOR = /^(not\.)?(eq|neq|gt|gte|lt|lte|like|ilike|in|is)\./;
const NAMES = { eq: "is", neq: "is not", gt: ">", gte: "≥", lt: "<", lte: "≤", like: "like", ilike: "contains", in: "one of" };

export const searched = (columns) => columns.filter(({ type }) => SEARCHED.test(type));

/** Operators that fit a column, with what people call them. @returns {[string, string][]} */
export function operatorsOf(column) {
  const kind = kindOf(column);
  const nulls = [["is.null", "is null"], ["not.is.null", "is not null"]];
  if (kind === "boolean") return [["is.true", "is true"], ["is.false", "is false"], ...nulls];
  if (["json", "array", "other"].includes(kind)) return nulls;
  const same = [["eq", "is"], ["neq", "is not"]];
  if (kind === "text") return [["ilike", "contains"], ...same, ...nulls];
  if (kind === "enum" || kind === "uuid" || kind === "bytes") return [...same, ...nulls];
  return [...same, ["gt", ">"], ["gte", "≥"], ["lt", "<"], ["lte", "≤"], ...nulls];
}

const nameText = (name) => encodeURIComponent(name);

/** One condition as the server takes it. @param {string} operator `eq`, or `is.null` whole */
export function conditionText(column, operator, value) {
  if (operator.includes("is.")) return `${nameText(column.name)}=${operator}`;
  return `${nameText(column.name)}=${operator}.${encodeURIComponent(operator === "ilike" ? `*${value}*` : value)}`;
}

/** `total>100`, `id 100`, `total=gt.100`; null where it is none of them. */
function conditionOf(text, columns) {
  const [, name, sign, value] = text.match(/^\s*("[^"]+"|[^\s=<>!~]+)\s*(>=|<=|<>|!=|=|>|<|~|\s)\s*(.*?)\s*$/s) ?? [];
  if (name === undefined || value === "") return null;
  const column = columns.find((one) => one.name === name.replace(/^"|"$/g, "").trim());
  if (!column) return null;
  if (sign === "=" && (OPERATOR.test(value) || value === "null")) return value === "null" ? conditionText(column, "is.null") : `${nameText(column.name)}=${value}`;
  if (!sign.trim() && (kindOf(column) === "text" ? false : !/^\S+$/.test(value))) return null;
  return conditionText(column, SIGNS[sign] ?? "eq", value);
}

/**
 * What the server is asked for what was typed: conditions with `&` or `and` between them, or words that are looked for in the texts.
 * @param {string} typed @param {import("./values.js").Column[]} columns
 */
export function filterOf(typed, columns) {
  const text = typed.trim();
  if (text === "") return "";
  const parts = text.split(/&|\s+and\s+/i).map((part) => conditionOf(part, columns));
  if (parts.every(Boolean)) return parts.join("&");
  const texts = searched(columns);
  if (text.includes("=") || texts.length === 0) return text;
  const word = encodeURIComponent(`"*${text.replace(/["\\]/g, "\\$&")}*"`);
  return `or=(${texts.map(({ name }) => `${/^\w+$/.test(name) ? name : `"${name}"`}.ilike.${word}`).join(",")})`;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Each condition for a chip: what it says, and what is left without it. @returns {{label: string, rest: string}[]} */
export function chipsOf(typed, columns) {
  const text = typed.trim();
  const filter = filterOf(text, columns);
  if (!filter) return [];
  if (filter.startsWith("or=(") && !text.includes("=")) return [{ label: `“${text}”`, rest: "" }];
  const parts = filter.split("&");
  return parts.map((part, at) => {
    const name = decode(part.slice(0, part.indexOf("=")));
    const [, not = "", operator, value] = part.slice(part.indexOf("=") + 1).match(/^(not\.)?(\w+)\.(.*)$/s) ?? [];
    const words = operator === "is" ? `is ${not ? "not " : ""}${value}` : `${not ? "not " : ""}${NAMES[operator] ?? operator} ${decode(value ?? "").replace(/^\*|\*$/g, "")}`;
    return { label: operator ? `${name} ${words}` : decode(part), rest: parts.filter((_, i) => i !== at).join("&") };
  });
}
