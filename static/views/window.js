/** What can be seen of a long list. */

/** Rows drawn beyond either edge, so that scrolling shows no gap before it is drawn. */
const OVERSCAN = 6;
/** Browsers draw no element that is much taller than this. */
const HEIGHT_MAX_PX = 8_000_000;

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
