/** The list: what is shown of the rows, and the words for when there is nothing to show. */
import { effect, useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { clock, html, STATUSES } from "./html.js";
import { Row } from "./row.js";

/** Rows drawn before "show more": a page of ten thousand rows helps nobody. */
const ROWS_SHOWN = 500;
/** Changes are read aloud in sums: one sentence for each would never end on a busy table. */
const ANNOUNCE_EVERY_MS = 5_000;

function matches(row, words) {
  if (words.length === 0) return true;
  const text = `${row.id} ${row.name} ${row.description ?? ""} ${JSON.stringify(row.data)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

/** @param {{items: import("../items.js").LiveItems}} props */
export function List({ items }) {
  const status = useSignal("all");
  const search = useSignal("");
  const limit = useSignal(ROWS_SHOWN);
  const found = useComputed(() => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return items.entries.value.filter(
      ({ row, editing }) => editing.value || ((status.value === "all" || row.value.status === status.value) && matches(row.value, words)),
    );
  });
  const total = items.counts.value.all;
  const shown = found.value.slice(0, limit.value);
  const hidden = found.value.length - shown.length;
  return html`
    <section class="list" aria-label="Items">
      <div class="toolbar">
        <${StatusFilter} status=${status} items=${items} />
        <${Search} search=${search} />
      </div>
      <${Meta} items=${items} found=${found} total=${total} />
      ${!items.known.value
        ? html`<${Waiting} items=${items} />`
        : shown.length > 0
          ? html`<ol class="rows" role="list">${shown.map((entry) => html`<${Row} key=${entry.id} entry=${entry} items=${items} />`)}</ol>`
          : html`<${Nothing} total=${total} onClear=${() => ((status.value = "all"), (search.value = ""))} />`}
      ${hidden > 0 && html`<button type="button" class="quiet more" onClick=${() => (limit.value += ROWS_SHOWN)}>Show more (${hidden} left)</button>`}
      <${Announcer} items=${items} />
    </section>
  `;
}

function StatusFilter({ status, items }) {
  // Before the first list, a zero would be a guess.
  const counts = items.known.value ? items.counts.value : {};
  return html`
    <fieldset class="segments">
      <legend class="sr-only">Show items with status</legend>
      ${["all", ...STATUSES].map(
        (value) => html`<label class="segment">
          <input type="radio" name="status-filter" value=${value} checked=${status.value === value} onChange=${() => (status.value = value)} />
          <span>${value === "all" ? "All" : value[0].toUpperCase() + value.slice(1)} <b>${counts[value]}</b></span>
        </label>`,
      )}
    </fieldset>
  `;
}

function Search({ search }) {
  const input = useRef(null);
  useEffect(() => {
    const onKey = (pressed) => {
      const is_typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
      if (pressed.key !== "/" || is_typing || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
      pressed.preventDefault();
      input.current.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return html`
    <label class="search">
      <span class="sr-only">Search items</span>
      <input ref=${input} type="search" placeholder="Search" aria-keyshortcuts="/" autocomplete="off" value=${search.value}
        onInput=${({ target }) => (search.value = target.value)}
        onKeyDown=${({ key }) => key === "Escape" && (search.value = "")} />
      <kbd aria-hidden="true">/</kbd>
    </label>
  `;
}

const DEEDS = { insert: "added", update: "changed", delete: "deleted" };

/** One line that is always there, so that nothing jumps: how many rows, and how fresh they are. */
function Meta({ items, found, total }) {
  const latest = items.latest.value;
  const is_stale = items.known.value && items.phase.value !== "live" && items.as_of.value;
  return html`
    <p class="meta">
      <span>${items.known.value && total > 0 && (found.value.length >= total ? `${total} ${total === 1 ? "item" : "items"}` : `${found.value.length} of ${total} items`)}</span>
      ${is_stale
        ? html`<span class="meta-stale">Rows as of ${clock(items.as_of.value)}</span>`
        : latest && html`<span class="meta-latest">${clock(latest.at)} <b>${latest.name}</b> ${DEEDS[latest.op]}</span>`}
    </p>
  `;
}

function Waiting({ items }) {
  const failure = items.failure.value;
  return html`<div class="nothing"><p>${failure ? failure.sentence : "Loading the items"}</p></div>`;
}

function Nothing({ total, onClear }) {
  if (total > 0) {
    return html`<div class="nothing">
      <p>No item matches.</p>
      <button type="button" class="quiet" onClick=${onClear}>Show all ${total}</button>
    </div>`;
  }
  return html`<div class="nothing" data-empty>
    <p><strong>No items yet.</strong></p>
    <p>Add one above, or from anywhere else; it appears here as soon as it is committed:</p>
    <pre><code>insert into items (name) values ('Paint the fence');</code></pre>
  </div>`;
}

function Announcer({ items }) {
  const words = useSignal("");
  useEffect(() => {
    let count = 0;
    let timer = 0;
    const tell = () => {
      words.value = count === 1 ? `${items.latest.peek().name} was ${DEEDS[items.latest.peek().op]}.` : `${count} changes by others.`;
      count = 0;
      timer = 0;
    };
    const stop = effect(() => {
      if (!items.latest.value) return;
      count += 1;
      timer ||= setTimeout(tell, ANNOUNCE_EVERY_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
  return html`<p class="sr-only" aria-live="polite">${words}</p>`;
}
