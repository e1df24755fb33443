/** The one time zone of the page: the browser's, or UTC by a switch. */
import { computed, signal } from "@preact/signals-core";
import { kept, keep } from "./kept.js";

const OWN = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export const is_utc = signal(kept("utc", false));
export const zone = computed(() => (is_utc.value ? "UTC" : OWN));

export function toggleZone() {
  is_utc.value = !is_utc.value;
  keep("utc", is_utc.value);
}

/** Whether there is anything to choose. */
export const has_zones = OWN !== "UTC";
