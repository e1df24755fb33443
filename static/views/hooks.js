/** Hooks for the views that are loaded later; what every page needs does without them. */
import { signal } from "@preact/signals-core";
import { useEffect, useRef, useState } from "preact/hooks";

/** A signal that lives as long as the component. */
export const useSignal = (first) => useState(() => signal(first))[0];

/** For a dialog that is open as long as it is drawn. Closed before it goes, so that the focus is where it was. */
export function useModal() {
  const dialog = useRef(null);
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element.showModal();
    return () => {
      // The event of this comes later, when another dialog may be open already: it is not for that one.
      if (element.open) element.addEventListener("close", (closed) => closed.stopImmediatePropagation(), { capture: true, once: true });
      element.close();
      // A button that was disabled while it had the focus has lost it, and the browser gives it back to nothing.
      before?.focus({ preventScroll: true });
    };
  }, []);
  return dialog;
}
