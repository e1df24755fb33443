/**
 * The dialog of an item: a new one, an edit, a delete, and what another user did meanwhile. It remembers the row it
 * began with: what is sent is the difference to that, under its version, so that two people who edit different fields
 * never undo each other unseen.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { read, sentenceOf } from "../api.js";
import { changesOf, draftOf, EMPTY_DRAFT, Field, focusError, rebase, sortErrors } from "./fields.js";
import { ago, html, live, now_coarse } from "./html.js";
import { say } from "./toast.js";

const NO_ERRORS = { fields: {}, sentence: null };
const LABELS = { name: "Name", description: "Description", status: "Status", data: "Data" };

/**
 * @param {{task: {kind: "new" | "edit" | "delete" | "conflict", key?: string, status?: string, seen?: object, patch?: object | null},
 *   items: import("../items.js").Items, filtered: boolean, onClose: (key?: string) => void}} props
 */
export default function Editor({ task, items, filtered, onClose }) {
  const dialog = useRef(null);
  const came_from = useRef(document.activeElement);
  useLayoutEffect(() => {
    dialog.current.showModal();
    dialog.current.querySelector("[autofocus]")?.focus();
    return () => came_from.current?.isConnected && came_from.current.focus();
  }, []);
  const close = () => onClose(task.key);
  const is_question = task.kind === "delete";
  return html`
    <dialog ref=${dialog} class=${is_question ? "ask" : "sheet"} aria-labelledby="dialog-title"
      onCancel=${(cancelled) => (cancelled.preventDefault(), close())} onMouseDown=${({ target }) => target === dialog.current && is_question && close()}>
      ${is_question ? html`<${Question} task=${task} items=${items} onClose=${onClose} />` : html`<${Form} task=${task} items=${items} filtered=${filtered} onClose=${close} />`}
    </dialog>
  `;
}

/** Asks before a delete; it is done at once, and taken back when the server says no. */
function Question({ task, items, onClose }) {
  const entry = items.rows.get(task.key);
  const [row] = useState(entry?.row);
  useEffect(() => {
    if (!row) onClose();
  }, []);
  const remove = () => {
    const list = items.rows.list(row.status);
    const index = items.rows.indexOf(entry);
    const next = list[index + 1] ?? list[index - 1];
    removing(items, task.key, row);
    onClose(next?.key);
  };
  return html`
    <h2 id="dialog-title">Delete “${row?.name}”?</h2>
    <p>It is deleted for everybody, and for good.</p>
    <div class="dialog-actions">
      <button type="button" class="quiet" onClick=${() => onClose(task.key)}>Keep it</button>
      <button type="button" class="danger" autofocus onClick=${remove}>Delete</button>
    </div>
  `;
}

async function removing(items, key, row) {
  try {
    await items.writes.remove(key, row.version);
  } catch (problem) {
    if (problem.status === 404) return;
    const again = () => removing(items, key, items.rows.get(key)?.row ?? row);
    if (problem.status === 412) say(`Not deleted: another user changed “${row.name}” first. Look at it, then decide.`, { label: "Delete it anyway", action: again });
    else say(sentenceOf(problem), { label: "Try again", action: again });
  }
}

const Form = live(({ task, items, filtered, onClose }) => {
  items.tick.value;
  const is_new = task.kind === "new";
  const row = items.rows.get(task.key)?.row;
  const [base, setBase] = useState(task.seen ?? row);
  const [draft, setDraft] = useState(() => (is_new ? { ...EMPTY_DRAFT, status: task.status } : { ...(base && draftOf(base)), ...task.patch }));
  const [errors, setErrors] = useState(NO_ERRORS);
  const [conflict, setConflict] = useState(null);
  const [is_gone, setGone] = useState(false);
  const [busy, setBusy] = useState(false);
  const form = useRef(null);

  /** Another user was first: takes over what they changed and we did not, and shows where both did. */
  const meet = async () => {
    try {
      const current = await read(base.id);
      // What was typed meanwhile counts.
      setDraft((typed) => rebase(typed, draftOf(base), draftOf(current)));
      setBase(current);
      setConflict(current);
      setErrors(NO_ERRORS);
    } catch (problem) {
      if (problem.status === 404) setGone(true);
      else setErrors(sortErrors(problem));
    }
  };
  // A row that went while this was being loaded can't be looked at.
  const is_lost = !is_new && !base;
  useEffect(() => {
    if (is_lost) onClose();
    else if (task.kind === "conflict") meet();
  }, []);
  if (is_lost) return null;

  const attempt = async (action) => {
    if (busy) return;
    setBusy(true);
    try {
      await action();
      onClose();
    } catch (problem) {
      if (problem.status === 412) await meet();
      else if (problem.status === 404) setGone(true);
      else setErrors(sortErrors(problem));
      requestAnimationFrame(() => focusError(form.current));
    } finally {
      setBusy(false);
    }
  };

  const create = () =>
    attempt(async () => {
      // The name is always sent: that there is none is for the server to say, in the words it has for everybody.
      await items.writes.create({ name: draft.name, status: draft.status, ...changesOf(draft, { ...EMPTY_DRAFT, name: draft.name, status: draft.status }) });
      if (filtered) say(`“${draft.name}” is saved. It shows here if it passes the filter.`, { tone: "news" });
    });

  const save = () =>
    attempt(async () => {
      const changes = changesOf(draft, draftOf(base));
      // A PATCH merges, which can't take a key out of the data. The version guards both alike.
      const { name, description, status, version } = base;
      if ("data" in changes) await items.writes.replace(task.key, { name, description, status, ...changes }, version);
      else if (Object.keys(changes).length > 0) await items.writes.patch(task.key, changes, version);
    });

  const gone = is_gone || (!is_new && !row && items.phase.value === "live" && !filtered);
  const submit = is_new || gone ? create : save;
  const onKeyDown = (pressed) => {
    if (pressed.key !== "Enter" || !(pressed.ctrlKey || pressed.metaKey)) return;
    pressed.preventDefault();
    submit();
  };
  const shared = { prefix: "edit", draft, errors: errors.fields, onDraft: setDraft };
  const is_newer = !is_new && !conflict && row?.version > base.version && !items.writes.isPending(task.key);
  const label = is_new ? "Add item" : gone ? "Create it again" : conflict ? "Save mine" : "Save";
  return html`
    <form ref=${form} noValidate aria-busy=${busy} onKeyDown=${onKeyDown} onSubmit=${(submitted) => (submitted.preventDefault(), submit())}>
      <header>
        <h2 id="dialog-title">${is_new ? "New item" : base?.name}</h2>
        ${!is_new && base && html`<p class="sheet-sub">#${base.id} · version ${base.version} · changed ${ago(base.updated_at, now_coarse.value)}</p>`}
      </header>
      ${gone && html`<div class="conflict" role="alert"><strong>Another user deleted this item.</strong> What you typed is still here.</div>`}
      ${!gone && conflict && html`<${Conflict} current=${conflict} draft=${draft} />`}
      ${!gone && is_newer && html`<p class="notice" role="status">Another user changed this item just now. You will see theirs before yours is saved.</p>`}
      <${Field} ...${shared} name="name" label="Name" aria-required="true" autofocus />
      <${Field} ...${shared} kind="select" name="status" label="Status" />
      <${Field} ...${shared} kind="textarea" name="description" label="Description" />
      <${Field} ...${shared} kind="textarea" name="data" label="Data (a JSON object)" placeholder='{"priority": 1}' />
      ${errors.sentence && html`<p class="form-error" role="alert">${errors.sentence}</p>`}
      <div class="dialog-actions">
        ${!is_new && !gone && html`<${Delete} items=${items} base=${base} onDelete=${() => (removing(items, task.key, base), onClose())} />`}
        <span class="hint" aria-hidden="true">Ctrl Enter saves</span>
        <button type="button" class="quiet" onClick=${onClose}>${conflict ? "Keep theirs" : gone ? "Discard it" : "Cancel"}</button>
        <button type="submit" class="primary">${busy ? "Saving" : label}</button>
      </div>
    </form>
  `;
});

function Delete({ base, onDelete }) {
  const [asking, setAsking] = useState(false);
  return html`<button type="button" class=${asking ? "danger" : "danger-quiet"} style=${{ marginRight: "auto" }} onBlur=${() => setAsking(false)}
    onClick=${() => (asking ? onDelete() : setAsking(true))} aria-label=${asking ? `Delete for good: ${base.name}` : `Delete: ${base.name}`}>${asking ? "Delete for good" : "Delete"}</button>`;
}

/** Both versions, side by side, in the fields in which they differ. */
function Conflict({ current, draft }) {
  const theirs = draftOf(current);
  const fields = Object.keys(theirs).filter((field) => theirs[field] !== draft[field]);
  return html`
    <div class="conflict" role="alert">
      <p><strong>Not saved: another user changed this item.</strong> It is now version ${current.version}.</p>
      ${fields.length === 0
        ? html`<p>It already says what you wanted.</p>`
        : html`<table>
            <thead><tr><td></td><th scope="col">Theirs</th><th scope="col">Yours</th></tr></thead>
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
