/**
 * The board: a column for each status, and the words for when there is nothing to show; with the filter box and the window
 * on a long list, which the tables have as well. What hands do to the board is in hands.js, which is loaded when one
 * comes near.
 */
import { signal } from "@preact/signals-core";
import { ago, amount, clock, counted, DEEDS, html, inFull, lazy, live, now_coarse, STATUSES, titled } from "./html.js";

/** Rows drawn beyond either edge, so that scrolling shows no gap before it is drawn. */
const OVERSCAN = 6;
/** Browsers draw no element that is much taller than this. */
const HEIGHT_MAX_PX = 8_000_000;

/** As in style.css. */
const CARD_PX = 60;
/** Enough of the data to know the row by; the rest is in the editor. */
const DATA_MAX_LENGTH = 120;

const Missed = lazy(() => import("./missed.js"), "static/views/hands.css");

/** What the page sends for what was typed here. */
export const itemsFilter = (typed) => filterOf(typed, ["name", "description"]);

/** @param {{items: import("../items.js").Items, typed: string, onFilter: (typed: string) => void}} props */
export const Board = live(
  ({ items, typed, onFilter }, self) => {
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
      self.listening = self.props.items.latest.subscribe((latest) => latest && self.load());
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

/**
 * Draws of a long list what can be seen: a list of any length costs the same. All rows have one height, and what the
 * reader looks at stays where it is while rows come and go above it.
 */
export class Window {
  /** What is drawn: from `first` up to `last`, in an element of `height_px`. */
  first = 0;
  last = 0;
  height_px = 0;
  #row_px;
  #redraw;
  #element = null;
  #observer;
  /** Where the window is, and the row at its upper edge. */
  #top_px = 0;
  #size_px = 900;
  #entry = null;
  #index = 0;
  /** By how much the list has moved under it since it was last on the screen. */
  #moved_px = 0;
  #shift_px = 0;
  #is_scaled = false;

  /** @param {number} row_px Height of each row. @param {() => void} redraw */
  constructor(row_px, redraw) {
    this.#row_px = row_px;
    this.#redraw = redraw;
  }

  /** Before drawing: what is to be drawn of a group of rows. */
  look(rows, list) {
    const row_px = this.#row_px;
    const total_px = list.length * row_px;
    this.height_px = Math.min(total_px, HEIGHT_MAX_PX);
    this.#is_scaled = total_px > this.height_px;
    const room_px = Math.max(0, this.height_px - this.#size_px);
    if (this.#top_px > 0 && !this.#is_scaled) {
      const index = rows.indexOf(this.#entry);
      const moved_px = index < 0 ? 0 : (index - this.#index) * row_px;
      this.#moved_px += moved_px;
      this.#top_px += moved_px;
    }
    this.#top_px = Math.min(this.#top_px, room_px);
    // In a list that is taller than an element may be, a pixel of the scroll bar is more than one of the list.
    this.#shift_px = this.#is_scaled ? (this.#top_px / room_px) * (total_px - this.#size_px) - this.#top_px : 0;
    const from_px = this.#top_px + this.#shift_px;
    this.#index = Math.floor(from_px / row_px);
    this.#entry = list[this.#index];
    this.first = Math.max(0, this.#index - OVERSCAN);
    this.last = Math.min(list.length, Math.ceil((from_px + this.#size_px) / row_px) + OVERSCAN);
  }

  /** As a `ref` of the element that scrolls. */
  attach = (element) => {
    this.#observer?.disconnect();
    this.#element = element;
    if (!element) return;
    this.#observer = new ResizeObserver(this.#see);
    this.#observer.observe(element);
    element.onscroll = this.#see;
  };

  /** After drawing. By the difference: the reader may have scrolled on since the last event. */
  settle() {
    if (this.#moved_px) this.#element.scrollTop += this.#moved_px;
    this.#moved_px = 0;
  }

  /** Where a row stands in the element. */
  top(index) {
    return index * this.#row_px - this.#shift_px;
  }

  /** Rows that fit. */
  get page() {
    return Math.max(1, Math.floor(this.#size_px / this.#row_px) - 1);
  }

  /** Scrolls as little as shows the row. */
  reveal(index) {
    const { scrollTop, clientHeight } = this.#element;
    const top_px = this.#is_scaled ? this.top(index) : index * this.#row_px;
    if (top_px < scrollTop) this.#element.scrollTop = top_px;
    else if (top_px + this.#row_px > scrollTop + clientHeight) this.#element.scrollTop = top_px + this.#row_px - clientHeight;
  }

  #see = () => {
    this.#top_px = this.#element.scrollTop;
    this.#size_px = this.#element.clientHeight || this.#size_px;
    // The row at the edge is another one now, and not the old one at another place.
    this.#entry = null;
    this.#redraw();
  };
}
