/** Moving a column by its head, with a mouse or a pen; the buttons under "Columns" do the same by the keyboard, and for fingers. */

/** A hand that clicks is not quite still. */
const THRESHOLD_PX = 6;

/**
 * @param {PointerEvent} pressed On the button of a head.
 * @param {{names: string[], fixed: number, at: number, onMove: (names: string[]) => void}} columns `fixed`: how many at the beginning stand still.
 */
export function startMove(pressed, { names, fixed, at, onMove }) {
  if (pressed.button !== 0 || pressed.pointerType === "touch" || at < fixed) return;
  const button = pressed.currentTarget;
  const grid = button.closest(".grid");
  const heads = [...button.closest("tr").querySelectorAll("th[aria-colindex]")];
  const listening = new AbortController();
  const on = (name, listener) => addEventListener(name, listener, { signal: listening.signal, capture: true });
  let marker = null;
  let to = at;

  const end = (is_drop) => {
    listening.abort();
    if (!marker) return;
    marker.remove();
    document.body.classList.remove("dragging");
    heads[at].removeAttribute("data-moving");
    // The click that follows belongs to the drag. It comes at once, or not at all.
    const swallow = (clicked) => clicked.stopPropagation();
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    if (!is_drop || to === at) return;
    const moved = names.filter((_, i) => i !== at);
    moved.splice(to, 0, names[at]);
    onMove(moved);
  };

  on("pointermove", ({ clientX, clientY }) => {
    if (!marker) {
      if (Math.hypot(clientX - pressed.clientX, clientY - pressed.clientY) < THRESHOLD_PX) return;
      marker = grid.appendChild(Object.assign(document.createElement("i"), { className: "move-marker" }));
      document.body.classList.add("dragging");
      heads[at].dataset.moving = "true";
    }
    // Between which two heads it would stand.
    const boxes = heads.map((head) => head.getBoundingClientRect());
    let gap = boxes.findIndex(({ left, width }, i) => i >= fixed && clientX < left + width / 2);
    if (gap < 0) gap = heads.length;
    to = gap > at ? gap - 1 : gap;
    const edge_px = gap < heads.length ? boxes[gap].left : boxes.at(-1).right;
    marker.style.left = `${edge_px - grid.getBoundingClientRect().left + grid.scrollLeft - grid.clientLeft}px`;
    marker.style.top = `${grid.scrollTop}px`;
    marker.style.height = `${grid.clientHeight}px`;
  });
  on("pointerup", () => end(true));
  on("pointercancel", () => end(false));
  on("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    end(false);
  });
}
