/** Editors by type: over a cell of the grid, and as fields of the sheet. Null is apart from empty. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { editText, isNumber, kindOf, valueOf } from "../values.js";
import { zone } from "../zone.js";
import { sentenceOf } from "../api.js";
import { html } from "./html.js";
import { say } from "./toast.js";

const DATE = /^\d{4}-\d\d-\d\d$/;
const EDITOR_MIN_PX = 150;
/** For what is larger than its text: a day has a picker beside it, JSON has lines. */
const EDITORS_MIN_PX = { date: 220, moment: 290, json: 320 };

/**
 * One input for a value.
 * @param {{column: object, text: string, is_null: boolean, is_large?: boolean, onText: (text: string, is_null: boolean) => void}} props
 */
export function Input({ column, text, is_null, is_large, is_default, onText, ...rest }) {
  const kind = kindOf(column);
  // What is no day of the calendar, infinity say, is typed. It stays as it began.
  const [is_day] = useState(kind === "date" && (is_null || text === "" || DATE.test(text)));
  const typed = ({ target }) => onText(target.value, false);
  const shared = { autocomplete: "off", spellcheck: kind === "text", placeholder: is_null ? "null" : undefined, ...rest };
  if (kind === "enum" || kind === "boolean") {
    const labels = kind === "enum" ? column.labels : ["true", "false"];
    return html`<select ...${shared} onChange=${({ target }) => target.value !== "default" && (target.value === "null" ? onText("", true) : onText(target.value.slice(1), false))}>
      ${is_default && html`<option value="default" selected>default</option>`}
      ${labels.map((label) => html`<option value=${`=${label}`} selected=${!is_null && label === text}>${label}</option>`)}
      <option value="null" selected=${is_null && !is_default}>null</option>
    </select>`;
  }
  if (kind === "json" || (is_large && kind === "text")) return html`<textarea ...${shared} rows=${kind === "json" ? 8 : 1} class=${kind === "json" ? "mono" : ""} value=${is_null ? "" : text} onInput=${typed}></textarea>`;
  return html`<input ...${shared} type=${is_day ? "date" : "text"} inputmode=${isNumber(column) ? "decimal" : undefined} value=${is_null ? "" : text} onInput=${typed} />`;
}

/** Over the cell that is edited. Enter keeps it, Escape leaves it, Tab keeps it and goes on. */
export function CellEditor({ shown, columns, place, onOpen, onDone }) {
  const { key, name, text: first } = shown.editing.value;
  const entry = shown.pages.get(key);
  const column = columns.find((one) => one.name === name);
  const refused = shown.edits.cell(key, name);
  const value = refused ? refused.value : entry?.row[name];
  const [draft, setDraft] = useState(() => ({ text: first ?? editText(value, column, zone.peek()), is_null: first === undefined && (value ?? null) === null }));
  const [wrong, setWrong] = useState(null);
  const root = useRef(null);
  // Before the next key is pressed.
  useLayoutEffect(() => {
    const input = root.current?.querySelector("input, select, textarea");
    input?.focus();
    if (first === undefined) input?.select?.();
    else if (input?.selectionStart !== null) input?.setSelectionRange?.(first.length, first.length);
  }, []);
  const is_over = useRef(false);
  if (!entry || !column) return null;
  const index = shown.pages.indexOf(key);
  const at = columns.indexOf(column);
  // The focus leaves once more when the editor goes.
  const end = () => {
    is_over.current = true;
    shown.editing.value = null;
    onDone();
  };
  const save = (step = [0, 0]) => {
    try {
      const typed = draft.is_null ? null : valueOf(draft.text, column);
      end();
      const next = columns[Math.max(0, Math.min(columns.length - 1, at + step[1]))];
      shown.go(index + step[0], next.name);
      if (!draft.is_null && draft.text === editText(entry.row[name], column, zone.peek()) && (entry.row[name] ?? null) !== null) return shown.edits.dismiss(key, name);
      write(shown, entry, name, typed);
    } catch ({ message }) {
      setWrong(message);
    }
  };
  const pressed = (event) => {
    const { key: pressed_key, shiftKey, ctrlKey, metaKey, altKey } = event;
    const is_area = event.target.matches("textarea");
    const actions = {
      Escape: end,
      Enter: () => save([event.target.matches("select") ? 0 : 1, 0]),
      Tab: () => save([0, shiftKey ? -1 : 1]),
    };
    if (altKey && pressed_key === "n") actions.n = () => setDraft({ text: "", is_null: true });
    if (!(pressed_key in actions) || (is_area && pressed_key === "Enter" && !ctrlKey && !metaKey)) return;
    event.preventDefault();
    event.stopPropagation();
    actions[pressed_key]();
  };
  const width = Math.max(EDITORS_MIN_PX[kindOf(column)] ?? EDITOR_MIN_PX, place.widths.of(name));
  return html`<div class="cell-editor" ref=${root} style=${{ left: `${place.left(at, width)}px`, top: `${place.tops(index)}px`, width: `${width}px` }} onKeyDown=${pressed}
    onFocusOut=${({ relatedTarget, currentTarget }) => !is_over.current && relatedTarget && !currentTarget.contains(relatedTarget) && save()}>
    <${Input} column=${column} text=${draft.text} is_null=${draft.is_null} aria-label=${`${name}: ${column.type}`} aria-invalid=${wrong ? "true" : undefined} onText=${(text, is_null) => (setDraft({ text, is_null }), setWrong(null))} />
    ${!["enum", "boolean"].includes(kindOf(column)) && html`<button type="button" class="quiet small" aria-pressed=${draft.is_null} title="Alt+N" onClick=${() => setDraft({ text: "", is_null: !draft.is_null })}>null</button>`}
    ${wrong && html`<p class="field-error" role="alert">${wrong}</p>`}
  </div>`;
}

/** One row, or all that are chosen when the row is one of them. */
async function write(shown, entry, name, value) {
  const chosen = shown.selected.value.has(entry.key) ? shown.chosen() : [];
  if (chosen.length < 2) return shown.edits.update(entry, { [name]: value });
  try {
    await shown.edits.updateAll(chosen, { [name]: value });
    say(`${name} set in ${chosen.length} rows.`, { tone: "news" });
  } catch (problem) {
    say(`Nothing was saved: ${sentenceOf(problem)}`);
  }
}
