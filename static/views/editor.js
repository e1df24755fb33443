/**
 * The inline editor of one row. It remembers the row it began with: what is sent is the difference to that, under its
 * version, so that two people who edit different fields never undo each other unseen.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { changesOf, draftOf, Field, focusError, rebase, sortErrors } from "./fields.js";
import { html } from "./html.js";

const NO_ERRORS = { fields: {}, sentence: null };
const LABELS = { name: "Name", description: "Description", status: "Status", data: "Data" };

const pick = ({ name, description, status }) => ({ name, description, status });

export function Editor({ entry, items, onClose }) {
  const row = entry.row.value;
  const [base, setBase] = useState(row);
  const [draft, setDraft] = useState(() => draftOf(row));
  const [errors, setErrors] = useState(NO_ERRORS);
  const [conflict, setConflict] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef(null);

  useEffect(() => {
    form.current.elements.name.focus();
    form.current.elements.name.select();
  }, []);

  const attempt = async (action) => {
    if (busy) return;
    setBusy(true);
    try {
      await action();
      onClose();
    } catch (problem) {
      if (problem.status === 412) await meet();
      else if (problem.status === 404) await items.reread(entry.id).catch(() => {});
      else setErrors(sortErrors(problem));
      requestAnimationFrame(() => focusError(form.current));
    } finally {
      setBusy(false);
    }
  };

  /** Somebody else was first: takes over what they changed and we did not, and shows where both did. */
  const meet = async () => {
    try {
      const current = await items.reread(entry.id);
      if (!current) return;
      setDraft(rebase(draft, draftOf(base), draftOf(current)));
      setBase(current);
      setConflict(current);
      setErrors(NO_ERRORS);
    } catch (problem) {
      setErrors(sortErrors(problem));
    }
  };

  const save = () =>
    attempt(async () => {
      const changes = changesOf(draft, draftOf(base));
      // A PATCH merges, which can't take a key out of the data. The version guards both alike.
      if ("data" in changes) await items.put(entry.id, base.version, { ...pick(base), ...changes });
      else if (Object.keys(changes).length > 0) await items.patch(entry.id, base.version, changes);
    });

  const createAgain = () => attempt(() => items.create(changesOf(draft, { name: "", description: "", status: "", data: "" })));

  const onKeyDown = (pressed) => {
    if (pressed.key === "Escape") onClose();
    else if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) save();
    else return;
    pressed.preventDefault();
    pressed.stopPropagation();
  };

  const gone = entry.gone.value;
  const shared = { prefix: `edit-${entry.id}`, draft, errors: errors.fields, onDraft: setDraft };
  return html`
    <form
      class="editor"
      ref=${form}
      noValidate
      aria-label=${`Edit item ${entry.id}`}
      aria-busy=${busy}
      onKeyDown=${onKeyDown}
      onSubmit=${(submitted) => {
        submitted.preventDefault();
        if (!gone) save();
      }}
    >
      <${Field} ...${shared} name="name" label="Name" aria-required="true" />
      <${Field} ...${shared} kind="select" name="status" label="Status" />
      <${Field} ...${shared} kind="textarea" name="description" label="Description" />
      <${Field} ...${shared} kind="textarea" name="data" label="Data (a JSON object)" />
      ${gone
        ? html`<${Gone} onCreate=${createAgain} onDiscard=${onClose} />`
        : conflict
          ? html`<${Conflict} current=${conflict} draft=${draft} />`
          : row.version > base.version && html`<p class="notice">Somebody else changed this item just now. You will see theirs before yours is saved.</p>`}
      ${errors.sentence && html`<p class="form-error" role="alert">${errors.sentence}</p>`}
      ${!gone &&
      html`<div class="editor-actions">
        <span class="hint" aria-hidden="true">Esc cancels, Ctrl Enter saves</span>
        <button type="button" class="quiet" onClick=${onClose}>${conflict ? "Keep theirs" : "Cancel"}</button>
        <button type="submit" class="primary">${busy ? "Saving" : conflict ? "Save mine" : "Save"}</button>
      </div>`}
    </form>
  `;
}

function Conflict({ current, draft }) {
  const theirs = draftOf(current);
  const fields = Object.keys(theirs).filter((field) => theirs[field] !== draft[field]);
  return html`
    <div class="conflict" role="alert">
      <p><strong>Not saved: somebody else changed this item.</strong> It is now version ${current.version}.</p>
      ${fields.length === 0
        ? html`<p>It already says what you wrote.</p>`
        : html`<table>
            <thead><tr><th></th><th scope="col">Now</th><th scope="col">Yours</th></tr></thead>
            <tbody>
              ${fields.map(
                (field) => html`<tr>
                  <th scope="row">${LABELS[field]}</th>
                  <td>${theirs[field] || html`<em>empty</em>`}</td>
                  <td>${draft[field] || html`<em>empty</em>`}</td>
                </tr>`,
              )}
            </tbody>
          </table>`}
    </div>
  `;
}

function Gone({ onCreate, onDiscard }) {
  return html`
    <div class="conflict" role="alert">
      <p><strong>Somebody else deleted this item.</strong> What you typed is still here.</p>
      <div class="editor-actions">
        <button type="button" class="quiet" onClick=${onDiscard}>Discard it</button>
        <button type="button" class="primary" onClick=${onCreate}>Create it again</button>
      </div>
    </div>
  `;
}
