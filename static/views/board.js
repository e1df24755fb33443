/**
 * The board: a column for each status, and the words for when there is nothing to show. What hands do to the board is in
 * hands.js, which is loaded when one comes near.
 */
import { signal } from "@preact/signals-core";
import { Filter, filterOf } from "./filter.js";
import { ago, amount, clock, counted, DEEDS, html, inFull, lazy, live, now_coarse, STATUSES, titled } from "./html.js";
import { Window } from "./window.js";

/** As in style.css. */
const CARD_PX = 60;
/** Enough of the data to know the row by; the rest is in the editor. */
const DATA_MAX_LENGTH = 120;

const Missed = lazy(() => import("./missed.js"), "static/views/hands.css");

/** What the page sends for what was typed here. */
const itemsFilter = (typed) => filterOf(typed, ["name", "description"]);

/** @param {{itemsOf: (filter: string) => import("../items.js").Items, typed: string, onFilter: (typed: string) => void}} props */
export default live(
  ({ itemsOf, typed, onFilter }, self) => {
    const items = (self.items = itemsOf(itemsFilter(typed)));
    items.tick.value;
    self.column ??= signal("open");
    self.over ??= signal(null);
    /** The card that Tab gets to. */
    self.active ??= signal(null);
    self.windows ??= {};
    const { column, over, active, hands } = self;
    const load = (self.load ??= () =>
      (self.loading ??= import("./hands.js").then(
        ({ Hands }) => (self.is_gone ? null : (self.hands ??= new Hands(self))),
        () => (self.loading = null),
      )));
    /** What happens before the hands are there is done when they are. */
    const act = (self.act ??= (name, ...of) => (self.hands ? self.hands[name](...of) : load().then((loaded) => loaded?.[name](...of))));
    // The card with the focus stays drawn, however it got it.
    const focused = ({ target }) => (load(), (active.value = target.closest(".card")?.dataset.key ?? active.value));
    const is_empty = items.known.value && items.rows.size === 0;
    return html`
      <section class="items" ref=${self.root} aria-label="Items">
        <h1 class="sr-only">Items</h1>
        <div class="toolbar">
          <${Filter} table=${items} value=${typed} onApply=${onFilter} label="Filter items: words, or conditions like status=eq.open" placeholder="Words, or status=eq.open" />
          <${Meta} items=${items} />
          <button type="button" class="primary" aria-keyshortcuts="n" onPointerEnter=${load} onClick=${() => act("add", column.value)}>New item</button>
        </div>
        ${items.missed.value && html`<${Missed} table=${items} noun="item" />`}
        ${items.failure.value && html`<p class="banner" role="alert">${items.failure.value}</p>`}
        <fieldset class="segments">
          <legend class="sr-only">Column</legend>
          ${STATUSES.map(
            (status) => html`<label class="segment">
              <input type="radio" name="column" checked=${column.value === status} onChange=${() => (column.value = status)} />
              <span>${titled(status)} <b>${items.known.value && amount(items.rows.list(status).length)}</b></span>
            </label>`,
          )}
        </fieldset>
        ${is_empty && html`<${Nothing} typed=${typed} onClear=${() => onFilter("")} />`}
        <div class="board" data-column=${column.value} data-empty=${is_empty} onPointerEnter=${load} onFocusIn=${focused}
          onKeyDown=${(pressed) => act("key", pressed)} onClick=${(clicked) => act("click", clicked)} onPointerDown=${(pressed) => act("press", pressed)}>
          ${STATUSES.map((status) => html`<${Column} key=${status} status=${status} board=${self} items=${items} active=${active.value} is_over=${over.value === status} />`)}
        </div>
        ${hands?.dialog(typed)}
      </section>
    `;
  },
  {
    mount: (_, self) => {
      self.onKey = (pressed) => self.act("shortcut", pressed);
      document.addEventListener("keydown", self.onKey);
      // For those who hear the page: changes are said from the first one on.
      self.listening = self.items.latest.subscribe((latest) => latest && self.load());
    },
    update: (_, self) => self.hands?.drawn(),
    unmount: (_, self) => {
      self.is_gone = true;
      document.removeEventListener("keydown", self.onKey);
      self.listening();
      self.hands?.close();
    },
  },
);

const Column = live(
  ({ status, board, items, active, is_over }, self) => {
    items.tick.value;
    const list = items.rows.list(status);
    const view = (self.view ??= board.windows[status] = new Window(CARD_PX, () => self.setState({})));
    view.look(items.rows, list);
    const drawn = list.slice(view.first, view.last).map((entry, at) => [entry, view.first + at]);
    // The card with the focus stays, however far it is scrolled away.
    const kept = items.rows.get(active);
    const at = kept?.group === status ? items.rows.indexOf(kept) : -1;
    if (at >= 0 && (at < view.first || at >= view.last)) drawn.push([kept, at]);
    const stop = at >= 0 ? active : drawn[0]?.[0].key;
    const missed = items.missed.value?.keys;
    return html`
      <section class="column" data-status=${status} data-over=${is_over} aria-labelledby=${`column-${status}`}>
        <header class="column-head">
          <h2 id=${`column-${status}`}><i class="dot"></i>${titled(status)} <b>${items.known.value && amount(list.length)}</b></h2>
          <button type="button" class="quiet small column-add" aria-label=${`New item: ${status}`} onClick=${() => board.act("add", status)}>+</button>
        </header>
        <div class="cards" ref=${view.attach} aria-busy=${!items.known.value}>
          <ul role="list" aria-labelledby=${`column-${status}`} style=${{ height: `${view.height_px}px` }}>
            ${drawn.map(
              ([entry, index]) => html`<${Card} key=${entry.key} entry=${entry} index=${index} count=${list.length} top=${view.top(index)} items=${items}
                is_stop=${entry.key === stop} is_missed=${missed?.has(entry.key)} onLost=${() => board.hands?.lost(entry.key, status, index)} />`,
            )}
          </ul>
          ${items.known.value && list.length === 0 && html`<p class="column-empty">Nothing is ${status}.</p>`}
        </div>
      </section>
    `;
  },
  { update: (_, self) => self.view.settle() },
);

function dataLine(data) {
  const parts = Object.entries(data ?? {}).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  return parts.join(" · ").slice(0, DATA_MAX_LENGTH);
}

const Card = live(
  ({ entry: { row, key }, index, count, top, items, is_stop, is_missed }, self) => {
    const more = [row.description, dataLine(row.data)].filter(Boolean).join(" · ");
    const is_draft = row.version === 0;
    return html`
      <li ref=${self.root} class=${`card ${items.flash(key)} ${items.writes?.isPending(key) ? "card-pending" : ""} ${is_missed ? "card-missed" : ""}`}
        data-key=${key} data-id=${row.id} data-status=${row.status} data-version=${row.version} style=${{ top: `${top}px` }} aria-posinset=${index + 1} aria-setsize=${count}>
        <button type="button" class="card-main" tabindex=${is_stop ? 0 : -1} disabled=${is_draft} aria-keyshortcuts="Shift+ArrowLeft Shift+ArrowRight Delete">
          <span class="card-name">${row.name}</span>
          <span class="card-more">${is_draft ? "saving" : `#${row.id}`}${more && ` · ${more}`}</span>
          ${is_missed && html`<span class="sr-only">, changed while you were away</span>`}
        </button>
        <time class="card-age" datetime=${row.updated_at} title=${`Version ${row.version}, ${inFull(row.updated_at)}`}>${ago(row.updated_at, now_coarse.value)}</time>
        <span class="card-moves">
          ${[-1, 1].map((step) => {
            const to = STATUSES[STATUSES.indexOf(row.status) + step];
            return (
              to &&
              html`<button type="button" class="card-move" tabindex="-1" data-to=${to} title=${`Move to ${titled(to)}`} aria-label=${`Move ${row.name} to ${titled(to)}`}>
                <svg viewBox="0 0 16 16" aria-hidden="true"><path d=${step < 0 ? "M10 3 5 8l5 5" : "m6 3 5 5-5 5"} /></svg>
              </button>`
            );
          })}
        </span>
      </li>
    `;
  },
  // A row that another user moves or deletes under the cursor must not throw a keyboard back to the top of the page.
  { unmount: ({ onLost }, { root }) => root.current?.contains(document.activeElement) && onLost() },
);

/** One line that is always there, so that nothing jumps: how many rows, how fresh they are, and who changed what. */
const Meta = live(({ items }) => {
  items.tick.value;
  const latest = items.latest.value;
  return html`<p class="meta">
    ${items.known.value && html`<span>${counted(items.rows.size, "item")}</span>`}
    ${items.as_of.value
      ? html`<span class="meta-stale">as of ${clock(items.as_of.value)}</span>`
      : latest && html`<span class="meta-latest">${clock(latest.at)} <b>${latest.name}</b> ${DEEDS[latest.op]}</span>`}
  </p>`;
});

const Nothing = ({ typed, onClear }) => html`<div class="nothing" data-nothing>
  ${typed
    ? html`<p>No item passes this filter.</p>
        <button type="button" class="quiet" onClick=${onClear}>Show all items</button>`
    : html`<p><strong>No items yet.</strong></p>
        <p>Add one here, or from anywhere else; it appears as soon as it is committed:</p>
        <pre><code>insert into items (name) values ('Paint the fence');</code></pre>`}
</div>`;
