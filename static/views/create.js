/** The form for a new item. What was typed stays until the server has taken it. */
import { useRef, useState } from "preact/hooks";
import { changesOf, EMPTY_DRAFT, Field, focusError, sortErrors } from "./fields.js";
import { html } from "./html.js";

const NO_ERRORS = { fields: {}, sentence: null };

export function Create({ items }) {
  const [draft, setDraft] = useState(EMPTY_DRAFT);
  const [errors, setErrors] = useState(NO_ERRORS);
  const [busy, setBusy] = useState(false);
  /** The fields that most items do without; style.css says which are left out where. */
  const [detailed, setDetailed] = useState(false);
  const form = useRef(null);

  const submit = async (submitted) => {
    submitted.preventDefault();
    if (busy) return;
    setBusy(true);
    try {
      // The name is always sent: that there is none is for the server to say, in the words it has for everybody.
      await items.create({ name: draft.name, status: draft.status, ...changesOf(draft, EMPTY_DRAFT) });
      setDraft(EMPTY_DRAFT);
      setErrors(NO_ERRORS);
      setDetailed(false);
      form.current.elements.name.focus();
    } catch (problem) {
      const sorted = sortErrors(problem);
      setErrors(sorted);
      if (sorted.fields.data || sorted.fields.description) setDetailed(true);
      queueMicrotask(() => requestAnimationFrame(() => focusError(form.current)));
    } finally {
      setBusy(false);
    }
  };

  const shared = { prefix: "new", draft, errors: errors.fields, onDraft: setDraft };
  return html`
    <form class=${detailed ? "create create-detailed" : "create"} ref=${form} onSubmit=${submit} noValidate aria-label="New item" aria-busy=${busy}>
      <${Field} ...${shared} name="name" label="Name" placeholder="New item" aria-required="true" />
      <${Field} ...${shared} name="description" label="Description" placeholder="optional" />
      <${Field} ...${shared} kind="select" name="status" label="Status" />
      <div class="create-actions">
        <button type="button" class="quiet" aria-expanded=${detailed} onClick=${() => setDetailed(!detailed)}>
          ${detailed ? "− Details" : "+ Details"}
        </button>
        <button type="submit" class="primary">${busy ? "Adding" : "Add item"}</button>
      </div>
      <${Field} ...${shared} kind="textarea" name="data" label="Data (a JSON object)" placeholder='{"priority": 1}' />
      ${errors.sentence && html`<p class="form-error" role="alert">${errors.sentence}</p>`}
    </form>
  `;
}
