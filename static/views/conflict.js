/** Another user has written the row meanwhile: both are shown, and one is chosen. */
import { shownText } from "../values.js";
import { zone } from "../zone.js";
import { useModal } from "./hooks.js";
import { html, style } from "./html.js";

// Without it nothing is missing but colours.
style("static/views/editor.css")?.catch(() => {});

/** @param {{shown: import("../shown.js").ShownTable}} props */
export default function Conflict({ shown }) {
  const { edits, table } = shown;
  const { key, row, values, current } = edits.conflict.value;
  const dialog = useModal();
  const close = () => (edits.conflict.value = null);
  const overwrite = () => {
    close();
    edits.update({ key, row: current }, values, { is_sure: true });
  };
  const text = (value, name) => shownText(value, table.columns.find((column) => column.name === name), zone.peek()) ?? "null";
  return html`<dialog class="ask wide" ref=${dialog} onClose=${close} aria-labelledby="conflict-title">
    <h2 id="conflict-title">${current ? "Another user has changed this row" : "This row is gone"}</h2>
    ${current
      ? html`<div class="conflict"><table>
          <thead><tr><th scope="col"><span class="sr-only">Column</span></th><th scope="col">Before</th><th scope="col">Now</th><th scope="col">Yours</th></tr></thead>
          <tbody>${Object.keys(values).map((name) => html`<tr><th scope="row">${name}</th><td>${text(row[name], name)}</td><td>${text(current[name], name)}</td><td><b>${text(values[name], name)}</b></td></tr>`)}</tbody>
        </table></div>`
      : html`<p>It was deleted, or you may not see it any more. Yours was not saved.</p>`}
    <div class="dialog-actions">
      <button type="button" class="quiet" onClick=${close}>${current ? "Keep theirs" : "Close"}</button>
      ${current && html`<button type="button" class="primary" onClick=${overwrite}>Write mine</button>`}
    </div>
  </dialog>`;
}
