/** The keys of a table, as a list. */
import { useModal } from "./hooks.js";
import { html, style } from "./html.js";

style("static/views/editor.css")?.catch(() => {});

const READ = [
  ["/", "Filter"],
  ["Arrows, Page Up, Page Down", "Move through the rows"],
  ["Home, End", "First and last column"],
  ["Ctrl + Home, Ctrl + End", "First and last row"],
  ["Enter", "Open the row as a sheet"],
  ["Alt + Enter", "Go to the row that the value names"],
  ["Ctrl + C", "Copy the value"],
  ["Alt + S, Alt + Shift + S", "Sort by this column, by this one as well"],
  ["Escape", "Close the sheet; choose no row"],
];
const WRITE = [
  ["F2, or just type", "Change the value"],
  ["Enter, Tab", "Save, and go down or on"],
  ["Alt + N", "Null, while a value is changed"],
  ["Space, Shift + Arrows", "Choose rows: a value is then changed in all of them"],
  ["Delete", "Delete the chosen rows"],
  ["Ctrl + Z", "Undo"],
  ["Ctrl + V", "Add rows from a spreadsheet"],
  ["n", "New row, outside the grid"],
];

export default function Keys({ shown, onClose }) {
  const dialog = useModal();
  const keys = shown.may("update") || shown.may("insert") ? [...READ, ...WRITE] : READ;
  return html`<dialog class="ask wide" ref=${dialog} onClose=${onClose} aria-labelledby="keys-title">
    <h2 id="keys-title" tabindex="-1" autofocus>Keys</h2>
    <dl class="keys">${keys.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <div class="dialog-actions"><button type="button" class="primary" onClick=${onClose}>Close</button></div>
  </dialog>`;
}
