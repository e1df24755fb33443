/** Which columns are shown, and in which order. */
import { html } from "./html.js";

/** Those of the key first, then the others in the order of the address. @param {string} text `id,name`; empty for all */
export function shownColumns(table, text) {
  const names = text ? (text.match(/"(?:[^"]|"")*"|[^,]+/g) ?? []).map((name) => (name[0] === '"' ? name.slice(1, -1).replaceAll('""', '"') : name)) : table.columns.map(({ name }) => name);
  const of = (name) => table.columns.find((column) => column.name === name);
  const others = [...new Set(names)].filter((name) => !table.key.includes(name)).map(of).filter(Boolean);
  return [...table.key.map(of), ...others];
}

const quote = (name) => (/^[^",]+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** These columns as they are in an address: nothing where they are all, in their order. @param {string[]} names */
export function columnsText(table, names) {
  const natural = shownColumns(table, "").map(({ name }) => name);
  if (names.join("\n") === natural.join("\n")) return "";
  return names.filter((name) => !table.key.includes(name)).map(quote).join(",") || quote(table.key[0]);
}

/** @param {{table: object, columns: object[], onColumns: (text: string) => void}} props */
export function Columns({ table, columns, onColumns }) {
  const shown = columns.map(({ name }) => name);
  const hidden = table.columns.filter(({ name }) => !shown.includes(name));
  const natural = shownColumns(table, "").map(({ name }) => name);
  const set = (names) => onColumns(columnsText(table, names));
  const move = (at, step) => set(shown.with(at, shown[at + step]).with(at + step, shown[at]));
  const close = (pressed) => {
    if (pressed.key !== "Escape") return;
    pressed.stopPropagation();
    pressed.currentTarget.open = false;
    pressed.currentTarget.firstElementChild.focus();
  };
  return html`
    <details class="popup columns" onKeyDown=${close} onFocusOut=${({ currentTarget, relatedTarget }) => relatedTarget && !currentTarget.contains(relatedTarget) && (currentTarget.open = false)}>
      <summary>Columns${hidden.length > 0 && html` <b>${shown.length} of ${table.columns.length}</b>`}</summary>
      <fieldset>
        <legend class="sr-only">Columns to show</legend>
        ${[...columns, ...hidden].map(({ name, type }, at) => {
          const is_key = table.key.includes(name);
          const is_on = at < shown.length;
          return html`<div key=${name}><label><input type="checkbox" checked=${is_on} disabled=${is_key} onChange=${() => set(is_on ? shown.filter((one) => one !== name) : [...shown, name])} />
            ${name} <span>${is_key ? "key" : type}</span></label>
            ${[-1, 1].map((step) => {
              const can = is_on && !is_key && at + step >= table.key.length && at + step < shown.length;
              return html`<button type="button" class="quiet small" disabled=${!can} aria-label=${`Move ${name} ${step < 0 ? "forward" : "back"}`} onClick=${() => move(at, step)}>${step < 0 ? "↑" : "↓"}</button>`;
            })}
          </div>`;
        })}
        ${shown.join("\n") !== natural.join("\n") && html`<button type="button" class="quiet small" onClick=${() => onColumns("")}>All, in their order</button>`}
      </fieldset>
    </details>
  `;
}
