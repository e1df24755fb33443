/** What clients follow, and how much of it they are sent: the heaviest first. */
import { pathOf, shortName } from "../address.js";
import { size } from "./figures.js";
import { amount, html } from "./html.js";

/** A filter without the quotation marks that it needs no reader for. */
const readable = (filter) => filter.replace(/"([\w.:-]+)"/g, "$1");

const KINDS = { rows: "", window: "first rows of an order", counts: "counts" };

/** What topics have sent between two readings. */
export class TopicRates {
  total = 0;
  /** @type {{topic: string, table: string, kind: string, filter?: string, role?: string, subscriptions: number, changes_s: number | null, bytes_s: number | null}[] | null} */
  topics = null;
  #before = new Map();
  #at = 0;

  /** @param {{total: number, topics: object[]}} answer @param {number} at_s */
  add({ total, topics }, at_s) {
    const pause_s = at_s - this.#at;
    const rate = (one, name) => {
      const more = one[name] - this.#before.get(one.topic)?.[name];
      return more >= 0 && pause_s > 0 && pause_s < 60 ? more / pause_s : null;
    };
    this.total = total;
    this.topics = topics
      .map((one) => ({ ...one, changes_s: rate(one, "changes"), bytes_s: rate(one, "bytes") }))
      .sort((a, b) => (b.bytes_s ?? -1) - (a.bytes_s ?? -1));
    this.#before = new Map(topics.map((one) => [one.topic, one]));
    this.#at = at_s;
  }
}

const perSecond = (value) => amount(value >= 100 ? Math.round(value) : Math.round(value * 10) / 10);

/** @param {{rates: TopicRates}} props */
export function Topics({ rates: { total, topics } }) {
  if (!topics) return null;
  return html`<div class="activity-table">
    <h2 id="topics">Heaviest topics</h2>
    <p class="activity-note">Subscriptions that ask for the same share a topic: what it sends is made once. Bytes are before compression, for all who share it.${total > topics.length ? ` ${topics.length} of ${amount(total)}.` : ""}</p>
    ${topics.length === 0
      ? html`<p class="activity-note">No client follows a table.</p>`
      : html`<div class="scrolls" tabindex="0" role="region" aria-labelledby="topics"><table>
          <thead><tr><th scope="col">Table</th><th scope="col">Which rows</th><th scope="col" class="number">Subscriptions</th><th scope="col" class="number">Changes /s</th><th scope="col" class="number">Sent /s</th></tr></thead>
          <tbody>${topics.map(
            ({ topic, table, kind, filter, role, subscriptions, changes_s, bytes_s }) => html`<tr key=${topic}>
              <th scope="row"><a href=${pathOf({ view: "table", name: table })}>${shortName(table)}</a></th>
              <td>${filter ? html`<code>${readable(filter)}</code>` : "all"}${KINDS[kind] && ` (${KINDS[kind]})`}${role && html` <span>for ${role}</span>`}</td>
              <td class="number">${amount(subscriptions)}</td>
              <td class="number">${changes_s === null ? "" : perSecond(changes_s)}</td>
              <td class="number">${bytes_s === null ? "" : size(bytes_s)}</td>
            </tr>`,
          )}</tbody>
        </table></div>`}
  </div>`;
}
