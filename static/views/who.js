/** Who is logged in, until when, what that one may do, and the way out. */
import { shortName, pathOf } from "../address.js";
import { logOut } from "../api.js";
import { counted, html, live, now_coarse, style } from "./html.js";
import { say } from "./toast.js";

/** More of them are on the page of the tables. */
const NAMED_MAX = 6;

// Without it nothing is missing but colours.
style("static/views/hands.css")?.catch(() => {});

const until = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit", hour12: false });

function left(exp, now_ms) {
  const minutes = Math.max(0, Math.round((exp * 1000 - now_ms) / 60_000));
  return minutes < 100 ? counted(minutes, "minute") : minutes < 4_000 ? counted(Math.round(minutes / 60), "hour") : counted(Math.round(minutes / 1440), "day");
}

/** @param {{session: {sub: string, role: string, exp: number}, catalog: import("../catalog.js").Catalog, onOut: () => void}} props */
export default live(
  ({ session: { sub, role, exp }, catalog, onOut }) => {
    const failed = ({ status, message }) => {
      if (status === 401) onOut();
      // The cookie is still there, and no script can take it away.
      else say(`You are still logged in: ${status ? message : "the server does not answer."}`, { label: "Try again", action: out });
    };
    const out = () => logOut().then(onOut, failed);
    const tables = catalog.tables.value;
    const written = (tables ?? []).filter(({ may = [] }) => may.length);
    const close = (pressed) => {
      if (pressed.key !== "Escape") return;
      pressed.currentTarget.open = false;
      pressed.currentTarget.firstElementChild.focus();
    };
    return html`<details class="who" onKeyDown=${close} onFocusOut=${({ currentTarget, relatedTarget }) => relatedTarget && !currentTarget.contains(relatedTarget) && (currentTarget.open = false)}>
      <summary title="Who you are here, and what you may do"><span>${sub}</span></summary>
      <div>
        <p><strong>${sub}</strong>, with the role <strong>${role}</strong></p>
        <p class="who-until">Logged in until ${until.format(exp * 1000)}, for ${left(exp, now_coarse.value)} more.</p>
        ${tables && html`<p>${tables.length ? `You may read ${counted(tables.length, "table")}, and write ${written.length || "none"} of them.` : "There is no table that you may read."}</p>`}
        ${written.length > 0 && html`<ul>${written.slice(0, NAMED_MAX).map(({ table, may }) => html`<li><a href=${pathOf({ view: "table", name: table })}>${shortName(table)}</a> ${may.join(", ")}</li>`)}
          ${written.length > NAMED_MAX && html`<li><a href="#/">${written.length - NAMED_MAX} more</a></li>`}</ul>`}
        <button type="button" class="quiet small" onClick=${out}>Log out</button>
      </div>
    </details>`;
  },
  {
    mount: ({ catalog }, self) => (self.end = catalog.watch("tables")),
    unmount: (_, self) => self.end(),
  },
);
