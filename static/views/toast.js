/** What has to be said beside the page: mostly that something was not saved. An error stays until it is dismissed. */
import { signal } from "@preact/signals-core";
import { render } from "preact";
import { html, live } from "./html.js";

const SAID_MAX = 4;
const NEWS_MS = 8_000;

/** @type {import("@preact/signals-core").Signal<{id: number, sentence: string, tone: string, label?: string, action?: () => void}[]>} */
const said = signal([]);
let count = 0;
let place = null;

const dismiss = (id) => (said.value = said.value.filter((one) => one.id !== id));

/** @param {string} sentence @param {{label?: string, action?: () => void, tone?: "bad" | "news"}} [more] */
export function say(sentence, { tone = "bad", ...more } = {}) {
  if (!place) {
    place = document.body.appendChild(document.createElement("aside"));
    place.ariaLabel = "Messages";
    render(html`<${Toasts} />`, place);
  }
  const id = (count += 1);
  said.value = [...said.value.filter((one) => one.sentence !== sentence), { id, sentence, tone, ...more }].slice(-SAID_MAX);
  if (tone === "news") setTimeout(() => dismiss(id), NEWS_MS);
}

const Toasts = live(
  () => html`<div class="toasts">
    ${said.value.map(
      ({ id, sentence, tone, label, action }) => html`<div class="toast" key=${id} data-tone=${tone} role=${tone === "bad" ? "alert" : "status"}>
        <span>${sentence}</span>
        ${action && html`<button type="button" class="quiet small" onClick=${() => (dismiss(id), action())}>${label}</button>`}
        <button type="button" class="quiet small" onClick=${() => dismiss(id)}>Dismiss</button>
      </div>`,
    )}
  </div>`,
);
