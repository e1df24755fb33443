/** The address of each view, so that a link is a view. Pure. */

/**
 * @typedef {object} Route
 * @property {"home" | "board" | "table" | "activity"} view
 * @property {string} name Of the table.
 * @property {string} filter As it was typed.
 * @property {string} order `placed_at.desc,id`
 * @property {string} columns `id,name`; empty for all.
 * @property {string} row The key of the row whose sheet is open, as JSON; `new` for the sheet of a new one.
 */

const PARTS = ["filter", "order", "columns", "row"];
/** As they were in older links. */
const VIEWS = { "": "home", tables: "home", board: "board", items: "board", t: "table", activity: "activity" };

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** @param {string} hash `#/t/orders?filter=total%3Dgt.5` @returns {Route} */
export function readRoute(hash) {
  const [path, ...rest] = hash.replace(/^#\/?/, "").split("?");
  const [word, ...names] = path.split("/");
  const query = rest.join("?");
  const name = decode(names.join("/"));
  const view = word === "tables" && name ? "table" : (VIEWS[word] ?? "home");
  const route = { view, name, filter: "", order: "", columns: "", row: "" };
  const pairs = query.split("&").map((pair) => [pair.split("=")[0], pair.slice(pair.indexOf("=") + 1)]);
  // Older links have the filter alone.
  if (query && !pairs.every(([part]) => PARTS.includes(part))) return { ...route, filter: decode(query) };
  for (const [part, value] of pairs) if (part) route[part] = decode(value);
  return route;
}

/** Commas and the like may stay as they are: a link is read by people too. */
const encode = (text) => encodeURIComponent(text).replace(/%(2C|3D|3A|22|5B|5D|28|29|2F|40|24)/g, (code) => decodeURIComponent(code));

/** @param {Partial<Route>} route */
export function pathOf({ view, name = "", ...parts }) {
  if (view === "home") return "#/";
  const query = PARTS.filter((part) => parts[part]).map((part) => `${part}=${part === "filter" ? encodeURIComponent(parts[part]) : encode(parts[part])}`);
  const path = view === "table" ? `#/t/${encode(shortName(name))}` : `#/${view}`;
  return query.length ? `${path}?${query.join("&")}` : path;
}

/** Without the schema that everybody means. */
export const shortName = (table) => table.replace(/^public\.(?=.)/, "");

/** A live query is a table of its own schema. */
export const isQuery = (table) => table.startsWith("plank_query.");
export const titleOf = (table) => (isQuery(table) ? table.slice("plank_query.".length) : shortName(table));

/** The table of a name as it may be in an address. */
export const tableOf = (tables, name) => tables.find(({ table }) => [name, `public.${name}`].includes(table));
