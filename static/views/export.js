/** What is shown, to take along: as a file, or as code that follows the same rows. */
import { useState } from "preact/hooks";
import { shortName } from "../address.js";
import { textOf } from "../values.js";
import { parse } from "../exact.js";
import { ROWS, snippetsOf } from "../snippets.js";
import { html } from "./html.js";
import { say } from "./toast.js";

const TYPES = { csv: "text/csv", ndjson: "application/x-ndjson", json: "application/json" };

function csvLine(row, names) {
  const cell = (value) => {
    const text = textOf(value);
    if (text === null) return "";
    return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return names.map((name) => cell(row[name])).join(",");
}

/** The lines of an answer, as they come. */
async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield lines;
  }
  if (rest) yield [rest];
}

/** Asks for all rows of the view, a row a line, and writes them as the format wants while they come. @returns {Promise<Blob>} */
export async function exported(format, { table, names, filter, order }) {
  const query = [filter, order && `order=${encodeURIComponent(order)}`, `columns=${encodeURIComponent(names.map((name) => (/[",]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name)).join())}`].filter(Boolean).join("&");
  const response = await fetch(`api/tables/${encodeURIComponent(table)}/rows?${query}`, { headers: { accept: "application/x-ndjson" } });
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail ?? `the server answered ${response.status}`);
  const parts = format === "csv" ? [`${csvLine(Object.fromEntries(names.map((name) => [name, name])), names)}\r\n`] : format === "json" ? ["["] : [];
  let is_first = true;
  for await (const lines of linesOf(response.body)) {
    const full = lines.filter(Boolean);
    if (!full.length) continue;
    if (format === "csv") parts.push(`${full.map((line) => csvLine(parse(line), names)).join("\r\n")}\r\n`);
    else if (format === "json") parts.push(`${is_first ? "" : ","}\n${full.join(",\n")}`);
    else parts.push(`${full.join("\n")}\n`);
    is_first = false;
  }
  if (format === "json") parts.push("\n]\n");
  return new Blob(parts, { type: TYPES[format] });
}

/** @param {{view: {table: string, key: string[], names: string[], is_all: boolean, has_auth: boolean, filter: string, order: string}}} props `is_all`: no column is hidden or moved. */
export default function Export({ view }) {
  const [kind, setKind] = useState("curl");
  const [busy, setBusy] = useState(null);
  const base = new URL(".", location.href.replace(/[?#].*/, "")).href;
  const code = snippetsOf({ ...view, base, names: view.is_all ? null : view.names });
  const save = async (format) => {
    setBusy(format);
    try {
      const address = URL.createObjectURL(await exported(format, view));
      const link = Object.assign(document.createElement("a"), { href: address, download: `${shortName(view.table).replace(/[^\w.-]+/g, "_")}.${format}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch ({ message }) {
      say(`The rows could not be written to a file: ${message}`);
    }
    setBusy(null);
  };
  return html`<div class="export">
    <p><b>All rows of this view, as a file</b></p>
    <p class="export-files">${Object.keys(TYPES).map((format) => html`<button type="button" class="quiet small" disabled=${busy !== null} onClick=${() => save(format)}>${busy === format ? "Reading" : format.toUpperCase()}</button>`)}</p>
    <p><b>${view.key.length ? `Its first ${ROWS} rows` : "Its rows"}, as code</b></p>
    <p class="export-files">${Object.keys(code).map((one) => html`<button type="button" class="quiet small" aria-pressed=${one === kind} onClick=${() => setKind(one)}>${one}</button>`)}</p>
    <pre tabindex="0"><code>${code[kind]}</code></pre>
    <button type="button" class="quiet small" onClick=${() => navigator.clipboard?.writeText(code[kind]).then(() => say("Copied.", { tone: "news" }), () => say("The browser does not let this page copy."))}>Copy</button>
  </div>`;
}
