/**
 * The conditions of a live query as a filter of plank. What can't be said exactly is left out where that only lets more rows in: TanStack DB
 * looks at each row again. Null: no condition can be said.
 */
const COMPARISONS = { eq: "eq", gt: "gt", gte: "gte", lt: "lt", lte: "lte" };
/** The same, with its sides the other way round. */
const MIRRORED = { eq: "eq", gt: "lt", gte: "lte", lt: "gt", lte: "gte" };

const quoted = (text) => `"${`${text}`.replace(/["\\]/g, "\\$&")}"`;

/** A value as PostgreSQL reads it, or null. */
function valueOf(value) {
  if (value instanceof Date) return Number.isNaN(+value) ? null : quoted(value.toISOString());
  return ["string", "number", "bigint", "boolean"].includes(typeof value) ? quoted(value) : null;
}

/** The column, if it is one and no path into it. Queries name the collection first. */
function columnOf({ type, path }, alias) {
  if (type !== "ref") return null;
  const [name, ...rest] = path.length > 1 && path[0] === alias ? path.slice(1) : path;
  return rest.length || name === undefined ? null : quoted(name);
}

function comparison(name, [left, right], alias) {
  const is_mirrored = left.type === "val";
  const [ref, val] = is_mirrored ? [right, left] : [left, right];
  const column = columnOf(ref, alias);
  const value = val.type === "val" ? valueOf(val.value) : null;
  return column && value ? `${column}.${(is_mirrored ? MIRRORED : COMPARISONS)[name]}.${value}` : null;
}

function like(name, [ref, { type, value }], alias) {
  const column = columnOf(ref, alias);
  // A star is a wildcard here and none there.
  return column && type === "val" && typeof value === "string" && !/[*\\]/.test(value) ? `${column}.${name}.${quoted(value)}` : null;
}

function isIn([ref, { type, value }], alias) {
  const column = columnOf(ref, alias);
  const values = type === "val" && Array.isArray(value) ? value.map(valueOf) : [null];
  return column && !values.includes(null) ? `${column}.in.(${values.join()})` : null;
}

/** `is_exact`: nothing may be left out, as below a `not`. */
function term({ type, name, args }, alias, is_exact) {
  if (type !== "func") return null;
  if (name === "and" || name === "or") {
    const all = args.map((arg) => term(arg, alias, is_exact));
    const some = all.filter(Boolean);
    if (!some.length || (some.length < all.length && (name === "or" || is_exact))) return null;
    return some.length === 1 ? some[0] : `${name}(${some.join()})`;
  }
  if (name === "not") {
    const inner = term(args[0], alias, true);
    if (!inner) return null;
    return /^(and|or)\(/.test(inner) ? `not.${inner}` : inner.replace(/^("(?:[^"\\]|\\.)*")\./, "$1.not.");
  }
  if (name in COMPARISONS) return comparison(name, args, alias);
  if (name === "like" || name === "ilike") return like(name, args, alias);
  if (name === "in") return isIn(args, alias);
  if (name === "isNull") return columnOf(args[0], alias) && `${columnOf(args[0], alias)}.is.null`;
  return null;
}

/** `and=(...)`, percent-encoded, or null. */
export function filterOf(where, alias) {
  const said = where && term(where, alias, false);
  return said ? `and=(${encodeURIComponent(said)})` : null;
}
