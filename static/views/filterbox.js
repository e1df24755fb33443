/** The filter of a table as one types it: with what may come next in a list below, and what in it is no column. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { choicesFor, mistakeIn } from "../complete.js";
import { useSignal } from "./hooks.js";
import { html, live } from "./html.js";

/** @param {{table: import("../pages.js").Pages, columns: object[], value: string, label: string, placeholder: string, onApply: (typed: string) => void}} props */
export const FilterBox = live(({ table, columns, value, label, placeholder, onApply }) => {
  const input = useRef(null);
  const choices = useSignal([]);
  const at = useSignal(-1);
  // The input stays, and the focus in it; what is typed there too, until another filter is in force.
  useLayoutEffect(() => {
    input.current.value = value;
    choices.value = [];
  }, [value]);
  const apply = (text) => {
    choices.value = [];
    if (text !== value) onApply(text);
  };
  const look = () => {
    const { value: text, selectionStart } = input.current;
    choices.value = choicesFor(text, selectionStart, columns, table.rows);
    at.value = -1;
  };
  const take = (choice) => {
    input.current.value = choice.text;
    input.current.setSelectionRange(choice.caret, choice.caret);
    input.current.focus();
    look();
  };
  const pressed = (event) => {
    const { key } = event;
    const count = choices.value.length;
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (step && (count || step > 0)) {
      if (!count) look();
      // One place more than there are choices: none of them.
      else at.value = ((at.value + 1 + step + count + 1) % (count + 1)) - 1;
    } else if ((key === "Enter" || key === "Tab") && at.value >= 0) take(choices.value[at.value]);
    else if (key === "Escape" && count) choices.value = [];
    else if (key === "Escape") {
      input.current.value = "";
      apply("");
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const refusal = table.refusal.value;
  const mistake = refusal ? null : mistakeIn(value, columns);
  const is_open = choices.value.length > 0;
  return html`
    <form class="filter" role="search" onSubmit=${(submitted) => (submitted.preventDefault(), apply(input.current.value.trim()))}>
      <input name="filter" type="search" role="combobox" placeholder=${placeholder} aria-label=${label} aria-keyshortcuts="/" autocomplete="off" autocapitalize="off" spellcheck=${false}
        aria-autocomplete="list" aria-expanded=${is_open} aria-controls="filter-choices" aria-activedescendant=${is_open && at.value >= 0 ? `filter-choice-${at.value}` : undefined}
        aria-invalid=${refusal || mistake ? "true" : undefined} aria-describedby=${refusal || mistake ? "filter-error" : undefined} ref=${input}
        onKeyDown=${pressed} onInput=${({ target, inputType }) => (!inputType && !target.value ? apply("") : look())} onBlur=${() => (choices.value = [])} />
      <kbd aria-hidden="true">/</kbd>
      <ul id="filter-choices" role="listbox" aria-label="What may come next" hidden=${!is_open}>
        ${choices.value.map((choice, i) => html`<li key=${choice.text} id=${`filter-choice-${i}`} role="option" aria-selected=${i === at.value} onPointerDown=${(down) => (down.preventDefault(), take(choice))}>${choice.label} <span>${choice.hint}</span></li>`)}
      </ul>
      ${refusal && html`<p class="field-error" id="filter-error" role="alert">Not applied: ${refusal}${mistakeIn(value, columns) ? ` ${mistakeIn(value, columns)}` : ""}</p>`}
      ${mistake && html`<p class="field-error" id="filter-error" role="status">${mistake} It is looked for as words.</p>`}
    </form>
  `;
});
