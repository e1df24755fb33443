/**
 * Dragging a card to another column with a mouse or a pen. A finger scrolls; for it there are the arrows on the card.
 *
 * With pointer events: what HTML calls drag and drop can't begin on a button in every browser.
 */

/** A hand that clicks is not quite still. */
const THRESHOLD_PX = 6;

/**
 * @param {PointerEvent} pressed On a card.
 * @param {{onOver: (status: string | null) => void, onDrop: (status: string) => void}} handlers
 */
export function startDrag(pressed, { onOver, onDrop }) {
  const card = pressed.target.closest(".card");
  if (!card || pressed.button !== 0 || pressed.pointerType === "touch") return;
  const listening = new AbortController();
  const on = (name, listener, target = window) => target.addEventListener(name, listener, { signal: listening.signal, capture: true });
  const box = card.getBoundingClientRect();
  let ghost = null;
  let over = null;

  const end = (is_drop) => {
    listening.abort();
    if (!ghost) return;
    ghost.remove();
    document.body.classList.remove("dragging");
    onOver(null);
    // The click that follows belongs to the drag. It comes at once, or not at all.
    const swallow = (clicked) => clicked.stopPropagation();
    window.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => window.removeEventListener("click", swallow, { capture: true }));
    if (is_drop && over) onDrop(over);
  };

  on("pointermove", (moved) => {
    // It was let go before anybody listened: this part of the page had to be loaded first.
    if (!(moved.buttons & 1)) return end(false);
    const dx = moved.clientX - pressed.clientX;
    const dy = moved.clientY - pressed.clientY;
    if (!ghost && Math.hypot(dx, dy) < THRESHOLD_PX) return;
    if (!ghost) {
      ghost = card.cloneNode(true);
      ghost.classList.add("card-ghost");
      ghost.inert = true;
      ghost.style.cssText = `left:${box.left}px;top:${box.top}px;width:${box.width}px`;
      document.body.append(ghost);
      document.body.classList.add("dragging");
    }
    ghost.style.translate = `${dx}px ${dy}px`;
    const column = document.elementFromPoint(moved.clientX, moved.clientY)?.closest(".column");
    over = column && column.dataset.status !== card.dataset.status ? column.dataset.status : null;
    onOver(over);
  });
  on("pointerup", () => end(true));
  on("pointercancel", () => end(false));
  on("keydown", (key) => key.key === "Escape" && (key.stopPropagation(), end(false)));
}
