/** Who is logged in, and the way out. */
import { logOut } from "../api.js";
import { html } from "./html.js";

/** @param {{session: {sub: string, role: string}, onOut: () => void}} props */
export default function Who({ session, onOut }) {
  // Also when the server can't be told: its cookie goes with the next answer, and here nothing is shown any more.
  const out = () => logOut().then(onOut, onOut);
  return html`<span class="who"><span title=${`Role: ${session.role}`}>${session.sub}</span><button type="button" class="quiet small" onClick=${out}>Log out</button></span>`;
}
