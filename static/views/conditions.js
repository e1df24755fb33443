/** The filter as chips, and a form for one more condition, with operators that fit the column and values that are there. */
import { useState } from "preact/hooks";
import { chipsOf, conditionText, filterOf, operatorsOf } from "../query.js";
import { shownText } from "../values.js";
import { html } from "./html.js";

const VALUES_MAX = 30;

export function Chips({ typed, columns, onFilter }) {
  const chips = chipsOf(typed, columns);
  if (!chips.length) return null;
  return html`<ul class="chips" aria-label="Conditions">
    ${chips.map(({ label, rest }) => html`<li><span>${label}</span><button type="button" aria-label=${`Without ${label}`} onClick=${() => onFilter(rest)}>×</button></li>`)}
    ${chips.length > 1 && html`<li class="chips-all"><button type="button" onClick=${() => onFilter("")}>Clear all</button></li>`}
  </ul>`;
}

/** @param {{typed: string, columns: object[], entries: object[], onFilter: (typed: string) => void}} props */
export function AddCondition({ typed, columns, entries, onFilter }) {
  const [name, setName] = useState(columns[0].name);
  const [operator, setOperator] = useState(null);
  const column = columns.find((one) => one.name === name) ?? columns[0];
  const operators = operatorsOf(column);
  const chosen = operators.some(([one]) => one === operator) ? operator : operators[0][0];
  const needs_value = !chosen.includes("is.");
  const there = column.labels ?? [...new Set(entries.map(({ row }) => shownText(row[column.name], { ...column, type: "text" }, "UTC")).filter((text) => text !== null))].slice(0, VALUES_MAX);
  const submit = (submitted) => {
    submitted.preventDefault();
    const popup = submitted.target.closest("details");
    const value = submitted.target.value?.value ?? "";
    if (needs_value && value === "") return submitted.target.value.focus();
    const before = filterOf(typed, columns);
    onFilter([before, conditionText(column, chosen, value)].filter(Boolean).join("&"));
    popup.open = false;
    popup.firstElementChild.focus();
  };
  const close = (pressed) => {
    if (pressed.key !== "Escape") return;
    pressed.stopPropagation();
    pressed.currentTarget.open = false;
    pressed.currentTarget.firstElementChild.focus();
  };
  return html`<details class="popup condition" onKeyDown=${close}>
    <summary>Filter</summary>
    <form onSubmit=${submit}>
      <label>Column <select aria-label="Column" value=${column.name} onChange=${({ target }) => setName(target.value)}>${columns.map((one) => html`<option value=${one.name} selected=${one === column}>${one.name}</option>`)}</select></label>
      <label>Condition <select aria-label="Condition" value=${chosen} onChange=${({ target }) => setOperator(target.value)}>${operators.map(([one, label]) => html`<option value=${one} selected=${one === chosen}>${label}</option>`)}</select></label>
      ${needs_value && html`<label>Value <input name="value" list="values-there" autocomplete="off" /></label><datalist id="values-there">${there.map((text) => html`<option value=${text}></option>`)}</datalist>`}
      <button type="submit" class="primary small">Add</button>
    </form>
  </details>`;
}
