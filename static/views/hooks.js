/** Hooks for the views that are loaded later; what every page needs does without them. */
import { signal } from "@preact/signals-core";
import { useState } from "preact/hooks";

/** A signal that lives as long as the component. */
export const useSignal = (first) => useState(() => signal(first))[0];
