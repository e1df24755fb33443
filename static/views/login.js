/** The log-in: a token, as `plank token` makes one, becomes a cookie that no script can read. */
import { useRef, useState } from "preact/hooks";
import { logIn } from "../api.js";
import { html, style } from "./html.js";

// Without it nothing is missing but colours.
style("static/views/hands.css")?.catch(() => {});

/** @param {{why: string, onLogin: (session: object) => void}} props */
export default function Login({ why, onLogin }) {
  const [sentence, setSentence] = useState(null);
  const [busy, setBusy] = useState(false);
  const input = useRef(null);
  const submit = async (submitted) => {
    submitted.preventDefault();
    // People copy it with what stands around it.
    const token = input.current.value.replace(/^\s*bearer\s+|\s+/gi, "");
    if (busy) return;
    if (!token) return setSentence("A token is needed to log in.");
    setBusy(true);
    try {
      onLogin({ auth: true, ...(await logIn(token)) });
    } catch (problem) {
      setSentence(refusal(problem));
      setBusy(false);
      input.current.focus();
    }
  };
  return html`
    <form class="login" onSubmit=${submit} aria-busy=${busy} noValidate>
      <h1><img src="static/favicon.svg" alt="" width="28" height="28" />Log in to plank</h1>
      ${why && html`<p class="login-why" role="status">${why}</p>`}
      <div>
        <label for="token">Token</label>
        <input id="token" ref=${input} type="password" autocomplete="off" spellcheck=${false} autofocus
          aria-invalid=${sentence ? "true" : undefined} aria-describedby=${sentence ? "token-error token-hint" : "token-hint"} />
        ${sentence && html`<p class="field-error" id="token-error" role="alert">${sentence}</p>`}
      </div>
      <button type="submit" class="primary">${busy ? "Logging in" : "Log in"}</button>
      <p class="login-hint" id="token-hint">The operator of this server makes one: <code>plank token --sub ann --role reader</code></p>
    </form>
  `;
}

function refusal({ status, message }) {
  if (status === 0) return "The server does not answer. Try again in a moment.";
  if (status === 401) return `This token is not accepted: ${message}`;
  if (status === 403) return `This token is good, but may not be used here: ${message}`;
  if (status === 404) return "This server has no log-in.";
  return message;
}
