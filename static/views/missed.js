/** What happened while the page was away: said once it is back, until the reader has seen it. */
import { clock, counted, html, live } from "./html.js";

/** @param {{table: import("../live.js").LiveTable, noun: string}} props */
export default live(({ table, noun }) => {
  const missed = table.missed.value;
  if (!missed) return null;
  const parts = [
    missed.insert && `${counted(missed.insert, noun)} added`,
    missed.update && counted(missed.update, "change"),
    missed.delete && `${missed.delete} deleted`,
    missed.truncate && "the table emptied",
  ].filter(Boolean);
  return html`<p class="banner missed" role="status">
    <span>While you were away, since ${clock(missed.since)}: <b>${parts.join(", ")}</b>. What is new is marked.</span>
    <button type="button" class="quiet small" onClick=${() => (table.missed.value = null)}>Seen</button>
  </p>`;
});
