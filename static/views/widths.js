/** How wide columns are: by what is in them, or as they were drawn by hand, which this browser keeps. */
import { signal } from "@preact/signals-core";
import { keep, kept } from "../kept.js";
import { shownText } from "../values.js";
import { zone } from "../zone.js";

const MIN_PX = 64;
const MAX_PX = 360;
export const HAND_MIN_PX = 48;
const HAND_MAX_PX = 1_200;
/** Of the padding; of a chip around a word; of the arrow that leads to another row; of that in a head. */
const PAD_PX = 26;
const CHIP_PX = 18;
const LEAD_PX = 16;
const HEAD_PX = 46;
const MEASURED_ROWS = 60;

let pen = null;
function textPx(text) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `14px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

export class Widths {
  /** Moves when one is drawn. */
  tick = signal(0);
  #name;
  #hand;
  #content = new Map();
  #is_measured = false;

  constructor(table) {
    this.#name = `widths ${table}`;
    this.#hand = kept(this.#name, {});
  }

  /** Measures the columns by the rows that came first; later ones do not move what is being read. */
  measure(columns, entries, leads) {
    const is_new = columns.some(({ name }) => !this.#content.has(name));
    if (!is_new && (this.#is_measured || !entries.length)) return;
    this.#is_measured = entries.length > 0;
    for (const column of columns) {
      const { name, labels, type } = column;
      const texts = entries.slice(0, MEASURED_ROWS).map(({ row }) => shownText(row[name], column, zone.peek()) ?? "null");
      const longest = Math.max(0, ...texts.map((text) => textPx(text.slice(0, 60)))) + PAD_PX + (labels || type === "boolean" ? CHIP_PX : 0) + (leads.has(name) ? LEAD_PX : 0);
      this.#content.set(name, Math.round(Math.min(MAX_PX, Math.max(MIN_PX, longest, textPx(name) + HEAD_PX))));
    }
  }

  of(name) {
    return this.#hand[name] ?? this.#content.get(name) ?? MIN_PX;
  }

  draw(name, px) {
    this.#hand[name] = Math.round(Math.min(HAND_MAX_PX, Math.max(HAND_MIN_PX, px)));
    this.tick.value += 1;
  }

  /** As its content wants it again. */
  reset(name) {
    delete this.#hand[name];
    this.keep();
    this.tick.value += 1;
  }

  keep() {
    keep(this.#name, this.#hand);
  }
}
