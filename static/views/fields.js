/** The fields of an item, as the form for a new one and the inline editor share them, and what they send. */
import { sentenceOf } from "../api.js";
import { html, STATUSES } from "./html.js";

/** @typedef {{name: string, description: string, status: string, data: string}} Draft What is in the inputs: text. */

export const EMPTY_DRAFT = { name: "", description: "", status: "open", data: "" };

/** @returns {Draft} */
export function draftOf({ name, description, status, data }) {
  const is_empty = !data || Object.keys(data).length === 0;
  return { name, description: description ?? "", status, data: is_empty ? "" : JSON.stringify(data, null, 2) };
}

/**
 * The values that differ between two drafts, as the server wants them.
 * @throws {SyntaxError} when the data is no JSON.
 */
export function changesOf(draft, base) {
  const body = {};
  if (draft.name !== base.name) body.name = draft.name;
  if (draft.description !== base.description) body.description = draft.description === "" ? null : draft.description;
  if (draft.status !== base.status) body.status = draft.status;
  if (draft.data !== base.data) body.data = draft.data.trim() === "" ? {} : JSON.parse(draft.data);
  return body;
}

/** Keeps what was typed and takes the rest from the row as it is now. */
export function rebase(draft, base, current) {
  const merged = {};
  for (const field of Object.keys(draft)) merged[field] = draft[field] === base[field] ? current[field] : draft[field];
  return merged;
}

/** Errors for the inputs that there are, and one sentence for all the rest. A detail goes on where the field's name ends. */
export function sortErrors(problem) {
  if (problem instanceof SyntaxError) return { fields: { data: "This is no JSON: " + problem.message }, sentence: null };
  const fields = {};
  const others = [];
  for (const { field, detail } of problem.errors ?? []) {
    if (field in EMPTY_DRAFT) fields[field] = `${field[0].toUpperCase()}${field.slice(1)} ${detail}`;
    else others.push(`${field} ${detail}`);
  }
  const is_shown = Object.keys(fields).length > 0 && others.length === 0;
  return { fields, sentence: is_shown ? null : others.join("; ") || sentenceOf(problem) };
}

/** Puts the cursor where the first error is. */
export function focusError(form) {
  form?.querySelector("[aria-invalid=true]")?.focus();
}

/**
 * One labelled input with its error beside it.
 * @param {{kind?: "input" | "textarea" | "select", name: string, label: string, prefix: string, draft: Draft,
 *   errors: Record<string, string>, onDraft: (change: (draft: Draft) => Draft) => void}} props
 */
export function Field({ kind = "input", name, label, prefix, draft, errors, onDraft, ...rest }) {
  const id = `${prefix}-${name}`;
  const error = errors[name];
  const shared = {
    id,
    name,
    value: draft[name],
    "aria-invalid": error ? "true" : undefined,
    "aria-describedby": error ? `${id}-error` : undefined,
    onInput: ({ target }) => onDraft((typed) => ({ ...typed, [name]: target.value })),
    ...rest,
  };
  return html`
    <div class="field field-${name}">
      <label for=${id}>${label}</label>
      ${kind === "input" && html`<input type="text" autocomplete="off" ...${shared} />`}
      ${kind === "textarea" && html`<textarea rows="3" spellcheck=${name !== "data"} ...${shared}></textarea>`}
      ${kind === "select" && html`<select ...${shared}>${STATUSES.map((status) => html`<option value=${status}>${status}</option>`)}</select>`}
      ${error && html`<p class="field-error" id="${id}-error" role="alert">${error}</p>`}
    </div>
  `;
}
