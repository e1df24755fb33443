/** The sheet of a row that is not there yet. */
import { useEffect, useRef, useState } from "preact/hooks";
import { shortName } from "../address.js";
import { sentenceOf } from "../api.js";
import { editText, valueOf } from "../values.js";
import { zone } from "../zone.js";
import { Input } from "./editors.js";
import { html } from "./html.js";

/** A new row, or one like another. @param {{shown: object, like: object | null, onClose: () => void, onMade: (row: object) => void}} props */
export function NewRow({ shown, like, onClose, onMade }) {
  const { table } = shown;
  const columns = table.columns.filter(({ fixed }) => !fixed);
  const [drafts, setDrafts] = useState(() =>
    Object.fromEntries(columns.map((column) => {
      const is_taken = like && !table.key.includes(column.name);
      const value = like?.[column.name];
      return [column.name, is_taken ? { text: editText(value, column, zone.peek()), is_null: (value ?? null) === null, is_default: false } : { text: "", is_null: false, is_default: true }];
    })),
  );
  const [errors, setErrors] = useState({});
  const [is_busy, setBusy] = useState(false);
  const root = useRef(null);
  useEffect(() => root.current?.querySelector("form input, form select, form textarea")?.focus(), []);
  const submit = async (submitted) => {
    submitted.preventDefault();
    if (is_busy) return;
    const values = {};
    const wrong = {};
    for (const column of columns) {
      const { text, is_null, is_default } = drafts[column.name];
      try {
        if (!is_default) values[column.name] = is_null ? null : valueOf(text, column);
      } catch ({ message }) {
        wrong[column.name] = message;
      }
    }
    setErrors(wrong);
    if (Object.keys(wrong).length) return;
    setBusy(true);
    try {
      onMade(await shown.edits.insert(values));
    } catch (problem) {
      setErrors(problem.column in drafts ? { [problem.column]: sentenceOf(problem) } : { "": sentenceOf(problem) });
      setBusy(false);
    }
  };
  // Enter alone is a new line in a long text.
  const pressed = (event) => {
    const { key, ctrlKey, metaKey, target } = event;
    if (key === "Escape") event.stopPropagation();
    if (key === "Escape") onClose();
    else if (key === "Enter" && (ctrlKey || metaKey)) target.form?.requestSubmit();
  };
  const set = (name, draft) => setDrafts((all) => ({ ...all, [name]: { is_default: false, ...draft } }));
  return html`<section class="row-sheet" ref=${root} aria-labelledby="row-title" onKeyDown=${pressed}>
    <header><h2 id="row-title"><span>${shortName(table.table)}</span> ${like ? "Duplicate" : "New row"}</h2><button type="button" class="quiet small" onClick=${onClose}>Close</button></header>
    <form class="sheet-body" onSubmit=${submit} noValidate aria-busy=${is_busy}>
      <dl class="values">
        ${columns.map((column) => {
          const { name, type } = column;
          const draft = drafts[name];
          return html`<div key=${name}>
            <dt><label for=${`new-${name}`}>${name}</label> <small>${type}</small></dt>
            <dd><div class="field-editor">
              <${Input} id=${`new-${name}`} column=${column} text=${draft.text} is_null=${draft.is_null} is_default=${draft.is_default} is_large=${!table.key.includes(name)} placeholder=${draft.is_default ? "default" : draft.is_null ? "null" : undefined}
                aria-invalid=${errors[name] ? "true" : undefined} onText=${(text, is_null) => set(name, { text, is_null })} />
              <p class="field-buttons">
                <button type="button" class="quiet small" aria-pressed=${draft.is_default} aria-label=${`${name}: default`} onClick=${() => set(name, { text: "", is_null: false, is_default: true })}>default</button>
                <button type="button" class="quiet small" aria-pressed=${draft.is_null && !draft.is_default} aria-label=${`${name}: null`} onClick=${() => set(name, { text: "", is_null: true })}>null</button>
              </p></div>
              ${errors[name] && html`<p class="field-error" role="alert">Not saved: ${errors[name]}</p>`}
            </dd>
          </div>`;
        })}
      </dl>
      ${errors[""] && html`<p class="field-error" role="alert">Not saved: ${errors[""]}</p>`}
      <p class="sheet-submit"><button type="submit" class="primary">${is_busy ? "Adding" : "Add row"}</button></p>
    </form>
  </section>`;
}
