/** Rows out of a spreadsheet: a preview of what they would be, then one batch, all or none. */
import { useState } from "preact/hooks";
import { sentenceOf } from "../api.js";
import { ROWS_MAX } from "../edits.js";
import { valueOf } from "../values.js";
import { useModal } from "./hooks.js";
import { amount, counted, html, style } from "./html.js";
import { say } from "./toast.js";
import { undo } from "./writing.js";

style("static/views/editor.css")?.catch(() => {});

const SHOWN_MAX = 8;

/** A table as spreadsheets copy it: tabs between cells, quotes around those with a line end. @returns {string[][]} */
export function readCells(text) {
  const rows = [[]];
  const pattern = /("(?:[^"]|"")*"|[^\t\r\n]*)(\t|\r?\n|$)/gy;
  for (let at = 0; at < text.length; ) {
    pattern.lastIndex = at;
    const [all, cell, end] = pattern.exec(text) ?? ["", "", ""];
    rows.at(-1).push(cell[0] === '"' && cell.length > 1 ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    at += all.length;
    if (end.includes("\n") && at < text.length) rows.push([]);
    if (!all) break;
  }
  return rows;
}

/** What the cells are as rows. The first line may name the columns; else they are those that are shown. */
export function readRows(text, table, columns) {
  const [first, ...rest] = readCells(text);
  const names = first.map((cell) => cell.trim());
  const has_names = names.every((name) => table.columns.some((column) => column.name === name));
  const open = columns.filter(({ fixed }) => !fixed);
  const used = has_names ? names.map((name) => table.columns.find((column) => column.name === name)) : open.slice(-Math.min(open.length, first.length));
  const lines = has_names ? rest : [first, ...rest];
  const rows = [];
  const errors = [];
  for (const [at, cells] of lines.entries()) {
    const row = {};
    if (cells.length !== used.length) errors.push(`Line ${at + 1} has ${counted(cells.length, "cell")}, and not ${used.length}.`);
    for (const [i, column] of used.entries()) {
      const cell = cells[i] ?? "";
      try {
        row[column.name] = cell === "" || cell === "null" ? null : valueOf(cell, column);
      } catch ({ message }) {
        errors.push(`Line ${at + 1}, ${column.name}: ${message}`);
      }
    }
    rows.push(row);
  }
  if (rows.length > ROWS_MAX) errors.push(`${amount(rows.length)} rows are more than the ${amount(ROWS_MAX)} of one batch.`);
  return { columns: used, rows, lines, errors };
}

/** @param {{shown: import("../shown.js").ShownTable, text: string, columns: object[], onClose: () => void}} props */
export default function Paste({ shown, text, columns, onClose }) {
  const [{ columns: used, rows, lines, errors }] = useState(() => readRows(text, shown.table, columns));
  const [refused, setRefused] = useState(null);
  const [is_busy, setBusy] = useState(false);
  const dialog = useModal();
  const write = async () => {
    setBusy(true);
    try {
      await shown.edits.insertAll(rows);
      onClose();
      say(`${counted(rows.length, "row")} added.`, { tone: "news", label: "Undo", action: () => undo(shown) });
    } catch (problem) {
      setRefused({ index: problem.index ?? 0, sentence: sentenceOf(problem) });
      setBusy(false);
    }
  };
  const from = Math.max(0, Math.min((refused?.index ?? 0) - 2, lines.length - SHOWN_MAX));
  return html`<dialog class="ask wide" ref=${dialog} onClose=${onClose} aria-labelledby="paste-title">
    <h2 id="paste-title">Add ${counted(rows.length, "row")} to ${shown.table.table}</h2>
    <p>All or none are written, at once. An empty cell is null.</p>
    <div class="paste-preview" tabindex="0" role="region" aria-label="Preview"><table>
      <thead><tr>${used.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>${lines.slice(from, from + SHOWN_MAX).map((cells, at) => html`<tr data-refused=${refused?.index === from + at}>${used.map((_, i) => html`<td>${cells[i] || html`<span class="null">null</span>`}</td>`)}</tr>`)}</tbody>
    </table></div>
    ${lines.length > SHOWN_MAX && html`<p class="hint">${amount(lines.length - SHOWN_MAX)} more are not shown.</p>`}
    ${[...errors.slice(0, 3), refused && `Nothing was saved. Line ${refused.index + 1}: ${refused.sentence}`].filter(Boolean).map((error) => html`<p class="form-error" role="alert">${error}</p>`)}
    <div class="dialog-actions">
      <button type="button" class="quiet" onClick=${onClose}>Cancel</button>
      <button type="button" class="primary" disabled=${errors.length > 0 || is_busy} onClick=${write}>${is_busy ? "Adding" : `Add ${counted(rows.length, "row")}`}</button>
    </div>
  </dialog>`;
}
