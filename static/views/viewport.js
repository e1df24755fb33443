/**
 * Where a reader is in a list of any length, of which only what is seen is drawn. All rows have one height.
 *
 * Browsers draw no element of ten million rows. A long list is drawn in a shorter element: near both ends a pixel of the scroll bar is
 * one of the list, in between it is many. A step of the wheel or of the keys still moves by itself, and the scroll bar follows.
 */

/** Rows drawn beyond either edge. */
const OVERSCAN = 8;
const HEIGHT_MAX_PX = 8_000_000;
const EDGE_PX = 100_000;
/** A scroll of more than so many screens is one of the bar. */
const SCREENS = 3;
const REST_MS = 150;

export class Viewport {
  first = 0;
  last = 0;
  height_px = 0;
  #row_px;
  #head_px;
  #redraw;
  #element = null;
  #observer;
  #size_px = 900;
  #total_px = 0;
  /** Where the list is, and where the element. */
  #list_px = 0;
  #bar_px = 0;
  #push_px = 0;
  #timer = 0;

  /** @param {number} row_px @param {number} head_px What covers the top of the element. */
  constructor(row_px, head_px, redraw) {
    this.#row_px = row_px;
    this.#head_px = head_px;
    this.#redraw = redraw;
  }

  get #bar_room() {
    return Math.max(0, this.height_px - this.#size_px);
  }

  get #list_room() {
    return Math.max(0, this.#total_px - this.#size_px);
  }

  get #is_scaled() {
    return this.#total_px > HEIGHT_MAX_PX;
  }

  #toList(bar_px) {
    if (!this.#is_scaled || bar_px <= EDGE_PX) return bar_px;
    const left = this.#bar_room - bar_px;
    if (left <= EDGE_PX) return this.#list_room - left;
    return EDGE_PX + ((bar_px - EDGE_PX) / (this.#bar_room - 2 * EDGE_PX)) * (this.#list_room - 2 * EDGE_PX);
  }

  #toBar(list_px) {
    if (!this.#is_scaled || list_px <= EDGE_PX) return list_px;
    const left = this.#list_room - list_px;
    if (left <= EDGE_PX) return this.#bar_room - left;
    return EDGE_PX + ((list_px - EDGE_PX) / (this.#list_room - 2 * EDGE_PX)) * (this.#bar_room - 2 * EDGE_PX);
  }

  /** Before drawing. @param {number} total Rows. @param {number} moved By how many those that are seen have moved. */
  look(total, moved) {
    this.#total_px = total * this.#row_px;
    this.height_px = Math.min(this.#total_px, HEIGHT_MAX_PX);
    if (moved && this.#list_px > 0) {
      this.#list_px += moved * this.#row_px;
      if (!this.#is_scaled) this.#push_px += moved * this.#row_px;
    }
    this.#list_px = Math.max(0, Math.min(this.#list_px, this.#list_room));
    if (!this.#is_scaled && !this.#push_px) this.#bar_px = Math.min(this.#bar_px, this.#bar_room);
    const row_px = this.#row_px;
    this.first = Math.max(0, Math.floor(this.#list_px / row_px) - OVERSCAN);
    this.last = Math.min(total, Math.ceil((this.#list_px + this.#size_px) / row_px) + OVERSCAN);
  }

  /** What is really seen. */
  get seen() {
    const first = Math.floor(this.#list_px / this.#row_px);
    return [first, first + Math.ceil(this.#size_px / this.#row_px)];
  }

  /** Rows of a screen. */
  get page() {
    return Math.max(1, Math.floor(this.#size_px / this.#row_px) - 1);
  }

  /** Where a row stands in the element. */
  top(index) {
    return index * this.#row_px - (this.#is_scaled ? this.#list_px - this.#bar_px : 0);
  }

  attach = (element) => {
    this.#observer?.disconnect();
    clearTimeout(this.#timer);
    this.#element = element;
    if (!element) return;
    this.#observer = new ResizeObserver(() => this.#measure());
    this.#observer.observe(element);
    element.onscroll = () => this.#scrolled();
  };

  /** After drawing. */
  settle() {
    if (!this.#push_px || !this.#element) return;
    this.#element.scrollTop += this.#push_px;
    this.#bar_px = this.#element.scrollTop;
    this.#push_px = 0;
  }

  /** Scrolls as little as shows the row. */
  reveal(index) {
    const top_px = index * this.#row_px;
    const bottom_px = top_px + this.#row_px - this.#size_px;
    if (top_px < this.#list_px) this.#to(top_px);
    else if (bottom_px > this.#list_px) this.#to(bottom_px);
  }

  /** Scrolls a row to the top. */
  jump(index) {
    this.#to(index * this.#row_px);
  }

  #to(list_px) {
    this.#list_px = Math.max(0, Math.min(list_px, this.#list_room));
    this.#bar_px = this.#toBar(this.#list_px);
    if (this.#element) this.#element.scrollTop = this.#bar_px;
    this.#redraw();
  }

  #measure() {
    const size_px = Math.max(this.#row_px, this.#element.clientHeight - this.#head_px);
    if (size_px === this.#size_px) return;
    this.#size_px = size_px;
    this.#redraw();
  }

  #scrolled() {
    const bar_px = this.#element.scrollTop;
    const step_px = bar_px - this.#bar_px;
    if (Math.abs(step_px) < 1) return;
    const is_step = this.#is_scaled && Math.abs(step_px) <= SCREENS * this.#size_px && bar_px > 0 && bar_px < this.#bar_room - 1;
    this.#list_px = is_step ? Math.max(0, Math.min(this.#list_px + step_px, this.#list_room)) : this.#toList(bar_px);
    this.#bar_px = bar_px;
    clearTimeout(this.#timer);
    if (this.#is_scaled) this.#timer = setTimeout(() => this.#to(this.#list_px), REST_MS);
    this.#redraw();
  }
}
