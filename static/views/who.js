/** Who is logged in, and the way out. */
import { logOut } from "../api.js";
import { html, style } from "./html.js";
import { say } from "./toast.js";

// Without it nothing is missing but colours.
style("static/views/hands.css")?.catch(() => {});

/** @param {{session: {sub: string, role: string}, onOut: () => void}} props */
export default function Who({ session, onOut }) {
  const failed = ({ status, message }) => {
    if (status === 401) onOut();
    // The cookie is still there, and no script can take it away.
    else say(`You are still logged in: ${status ? message : "the server does not answer."}`, { label: "Try again", action: out });
  };
  const out = () => logOut().then(onOut, failed);
  return html`<span class="who"><span title=${`Role: ${session.role}`}>${session.sub}</span><button type="button" class="quiet small" onClick=${out}>Log out</button></span>`;
}
