/** The filter box: words, or conditions as they are in an address. */
import { html, live } from "./html.js";

/** Words stand for a search in the texts that people read. */
export function filterOf(typed, columns) {
  const text = typed.trim();
  if (text === "" || text.includes("=") || columns.length === 0) return text;
  const word = encodeURIComponent(`"*${text.replace(/["\\]/g, "\\$&")}*"`);
  return `or=(${columns.map((column) => `${column}.ilike.${word}`).join(",")})`;
}

const filterForm = ({ table, value, label, placeholder, onApply }, self) => {
  const apply = (text) => text !== value && onApply(text);
  const refusal = table.refusal.value;
  return html`
    <form class="filter" role="search" onSubmit=${(submitted) => (submitted.preventDefault(), apply(submitted.target.filter.value.trim()))}>
      <input name="filter" type="search" placeholder=${placeholder} aria-label=${label} aria-keyshortcuts="/" autocomplete="off" autocapitalize="off" spellcheck=${false}
        aria-invalid=${refusal && "true"} aria-describedby=${refusal && "filter-error"} defaultValue=${value} ref=${self.root}
        onKeyDown=${({ key, target }) => key === "Escape" && ((target.value = ""), apply(""))} onInput=${({ target, inputType }) => !inputType && !target.value && apply("")} />
      <kbd aria-hidden="true">/</kbd>
      ${refusal && html`<p class="field-error" id="filter-error" role="alert">Not applied: ${refusal}</p>`}
    </form>
  `;
};

/**
 * @param {{table: import("../live.js").LiveTable, value: string, label: string, placeholder: string, onApply: (typed: string) => void}} props
 *   `value`: the filter in force, as it was typed.
 */
export const Filter = live(filterForm, {
  mount: ({ value }, self) => (self.applied = value),
  // The input stays, and the focus in it; what is typed there too, until another filter is in force.
  update: ({ value }, self) => value !== self.applied && (self.root.current.value = self.applied = value),
});
