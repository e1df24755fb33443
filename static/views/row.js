/** One row of the list: shows, changes the status, deletes, and turns into the editor. */
import { useComputed, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Editor } from "./editor.js";
import { ago, html, inFull, now_coarse, STATUSES } from "./html.js";

/** Enough of the data to know the row by; the rest is in the editor. */
const DATA_MAX_LENGTH = 160;
/** As long as the animation in style.css; a row that is drawn later, by another filter say, must not flash again. */
const FLASH_MS = 2_400;

function dataLine(data) {
  const parts = Object.entries(data ?? {}).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  const line = parts.join(" · ");
  return line.length > DATA_MAX_LENGTH ? line.slice(0, DATA_MAX_LENGTH) + "…" : line;
}

/** @param {{entry: import("../items.js").Entry, items: import("../items.js").LiveItems}} props */
export function Row({ entry, items }) {
  const element = useRef(null);
  const note = useSignal(null);
  const asking = useSignal(false);
  const row = entry.row.value;
  const flash = entry.flash.value;

  // A row that somebody else deletes under the cursor must not throw a keyboard back to the top of the page.
  useLayoutEffect(() => {
    const own = element.current;
    return () => {
      if (!own.contains(document.activeElement)) return;
      (own.nextElementSibling ?? own.previousElementSibling ?? document.querySelector("#new-name"))?.focus();
    };
  }, []);

  const back = (selector) => requestAnimationFrame(() => element.current?.querySelector(selector)?.focus());

  /**
   * Runs a change of the row as it is shown; what stands in its way is said in the row itself.
   * @param {(current: import("../api.js").Item) => boolean} isDone Whether somebody else did the same already.
   */
  const change = async (action, isDone = () => false) => {
    note.value = null;
    try {
      await action();
    } catch (problem) {
      note.value = { sentence: problem.sentence ?? problem.message };
      if (problem.status !== 412 && problem.status !== 404) return;
      const current = await items.reread(entry.id).catch(() => null);
      if (!current) return;
      note.value = {
        sentence: `Not saved: somebody else changed this item first. It is now version ${current.version}, ${current.status}.`,
        again: isDone(current) ? null : () => change(action, isDone),
      };
    }
  };

  const setStatus = (status) =>
    change(
      () => items.patch(entry.id, entry.row.value.version, { status }),
      (current) => current.status === status,
    );
  const remove = () => change(() => items.remove(entry.id, entry.row.value.version));
  const edit = () => {
    note.value = null;
    asking.value = false;
    entry.editing.value = true;
  };
  const close = () => {
    items.close(entry);
    back(".edit");
  };
  const ask = (is_asking) => {
    asking.value = is_asking;
    back(is_asking ? ".confirm" : ".delete");
  };

  const names = ["row"];
  if (Date.now() - flash.at < FLASH_MS) names.push(flash.count % 2 ? "flash-odd" : "flash-even");
  if (entry.editing.value) {
    names.push("row-editing");
    return html`<li class=${names.join(" ")} ref=${element} tabindex="-1" data-id=${entry.id}>
      <span class="row-id">${entry.id}</span>
      <${Editor} entry=${entry} items=${items} onClose=${close} />
    </li>`;
  }
  return html`
    <li class=${names.join(" ")} ref=${element} tabindex="-1" data-id=${entry.id} data-status=${row.status} data-version=${row.version}>
      <span class="row-id">${entry.id}</span>
      <div class="row-what" onDblClick=${edit}>
        <span class="row-name">${row.name}</span>
        ${row.description && html`<span class="row-description">${row.description}</span>`}
        <${Data} data=${row.data} />
      </div>
      <${Status} row=${row} onStatus=${setStatus} />
      <span class="row-version"><span class="sr-only">version </span>v${row.version}</span>
      <${Age} row=${entry.row} />
      <div class="row-actions">
        ${asking.value
          ? html`
              <button type="button" class="danger confirm" aria-label=${`Delete for good: ${row.name}`} onClick=${remove}
                onKeyDown=${({ key }) => key === "Escape" && ask(false)}>Delete</button>
              <button type="button" class="quiet" onClick=${() => ask(false)}>Keep</button>`
          : html`
              <button type="button" class="quiet edit" aria-label=${`Edit: ${row.name}`} onClick=${edit}>Edit</button>
              <button type="button" class="quiet delete" aria-label=${`Delete: ${row.name}`} onClick=${() => ask(true)}>Delete</button>`}
      </div>
      ${note.value &&
      html`<div class="row-note" role="alert">
        <span>${note.value.sentence}</span>
        ${note.value.again && html`<button type="button" class="quiet small" onClick=${note.value.again}>Do it anyway</button>`}
        <button type="button" class="quiet small" onClick=${() => (note.value = null)}>Dismiss</button>
      </div>`}
    </li>
  `;
}

function Status({ row, onStatus }) {
  return html`
    <label class="row-status">
      <span class="sr-only">Status of ${row.name}</span>
      <select class="status" data-status=${row.status} value=${row.status}
        onChange=${({ target }) => {
          const wanted = target.value;
          // The select shows what the row is, not what is wished for, until the server has agreed.
          target.value = row.status;
          onStatus(wanted);
        }}>
        ${STATUSES.map((status) => html`<option value=${status}>${status}</option>`)}
      </select>
    </label>
  `;
}

function Data({ data }) {
  const line = dataLine(data);
  return line && html`<span class="row-data">${line}</span>`;
}

/** Its own component, so that time passing redraws these few letters and no row. */
function Age({ row }) {
  // From the signal: a value that the function merely closes over would not make it run again.
  const words = useComputed(() => ago(row.value.updated_at, now_coarse.value));
  const text = row.value.updated_at;
  return html`<time class="row-age" datetime=${text} title=${`updated ${inFull(text)}`}>${words}</time>`;
}
