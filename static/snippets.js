/** Code that has the rows of a view, for other programs: one for each tool, with nothing to fill in. Pure. */
import { shortName } from "./address.js";

/** Rows that such a program follows: the first ones in the order of the view. */
export const ROWS = 100;

const shell = (text) => (/^[\w.,:/=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const nameText = (name) => (/^[^",]+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);
/** As Python writes a text: JSON is the same but for nothing that names and filters have. */
const quoted = (text) => JSON.stringify(text);

const list = (values) => `[${values.map((value) => quoted(value)).join(", ")}]`;
/** Members of an object of JavaScript, one a line. */
const members = (spec) => Object.entries(spec).map(([name, value]) => `  ${name}: ${Array.isArray(value) ? list(value) : JSON.stringify(value)},`).join("\n");
/** What a script reads the token from, where people have to log in. */
const TOKEN = "PLANK_TOKEN";

/**
 * @typedef {object} View
 * @property {string} base The address of this plank, with a slash at its end.
 * @property {string} table @property {string[]} key Its key; empty for none.
 * @property {string[] | null} names The columns that are shown; null for all.
 * @property {boolean} [has_auth] Whether a token is needed; `plank tail` reads the variable by itself.
 * @property {string} filter As the server takes it; may be empty. @property {string} order With the columns of the key behind it, so that
 *   equal rows have one order as well; empty without a key, or for that of the key.
 */

/** @param {View} view @returns {Record<string, string>} The code by the tool that runs it. */
export function snippetsOf({ base, table, key, names, filter, order, has_auth = false }) {
  const name = shortName(table);
  // Without a key there is no first row, and all of them are followed.
  const first = key.length ? { order: order || key.map(nameText).join(), limit: ROWS } : {};
  const spec = { table: name, ...(filter && { filter }), ...(names && { columns: names }), ...first, snapshot: true };
  return {
    curl: curl(base, name, { names, filter, order: first.order, has_auth }),
    "plank tail": tail(base, spec),
    "plank.js": `import { connect } from "${base}static/plank.js";

${has_auth ? `const token = ""; // as plank token makes one\n` : ""}const client = connect("${base}ws"${has_auth ? ", { auth: token }" : ""});
const subscription = client.subscribe({
${members(spec)}
}, { live: show, changes: show });

function show() {
  console.log([...subscription.rows.values()]);
}`,
    React: react(base, spec, has_auth),
    Python: python(base, spec, has_auth),
  };
}

function curl(base, name, { names, filter, order, has_auth }) {
  const query = [filter, names && `select=${names.map((one) => encodeURIComponent(nameText(one))).join()}`, order && `order=${encodeURIComponent(order).replaceAll("%2C", ",")}`, `limit=${ROWS}`].filter(Boolean).join("&");
  const address = `${base}rest/${encodeURIComponent(name)}?${query.replace(/[#\s]/g, encodeURIComponent)}`;
  // curl has a meaning of its own for brackets.
  return `curl ${/[[\]{}]/.test(address) ? "-g " : ""}${has_auth ? `-H "Authorization: Bearer $${TOKEN}" ` : ""}${shell(address)}`;
}

/** Its list of columns knows no quotes: a name with a comma in it is seen with all others. */
function tail(base, { table, filter, columns, order, limit }) {
  const options = [["url", base.replace(/\/$/, "")], ["filter", filter], ["columns", columns?.some((name) => name.includes(",")) ? null : columns?.join()], ["order", order], ["limit", limit && String(limit)]];
  return ["plank tail", shell(table), ...options.filter(([, value]) => value).map(([option, value]) => `--${option} ${shell(value)}`), "--snapshot"].join(" ");
}

const react = (base, { snapshot, ...query }, has_auth) => `import { PlankProvider, useRows } from "plank-client/react";

function Rows() {
  const { rows, status } = useRows({
${members(query).replaceAll(/^/gm, "  ")}
  });
  return <pre data-status={status}>{JSON.stringify(rows, null, 2)}</pre>;
}

export const App = (${has_auth ? "{ token }" : ""}) => (
  <PlankProvider url="${base}ws"${has_auth ? " auth={token}" : ""}>
    <Rows />
  </PlankProvider>
);`;

function python(base, { table, filter, columns, order, limit }, has_auth) {
  const options = [filter && `filter=${quoted(filter)}`, columns && `columns=${list(columns)}`, order && `order=${quoted(order)}`, limit && `limit=${limit}`, "snapshot=True", has_auth && `token=os.environ["${TOKEN}"]`].filter(Boolean);
  return `${has_auth ? "import os\n\n" : ""}import plank

rows = plank.follow(
    ${[quoted(base.replace(/\/$/, "")), quoted(table), ...options].join(",\n    ")},
)
for batch in rows:
    for row in batch.rows:
        print(row)
    for change in batch.changes:
        print(change.op, change.key, change.row)`;
}
