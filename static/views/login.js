/** The log-in: at the page of `--login-url`, or with a token as `plank token` makes one; it becomes a cookie that no script can read. */
import { useEffect, useRef, useState } from "preact/hooks";
import { logIn } from "../api.js";
import { howToLogIn, leaveForLogIn } from "../login.js";
import { html, style } from "./html.js";

// Without it nothing is missing but colours.
style("static/views/hands.css")?.catch(() => {});

/** @param {{why: string, token?: string, onLogin: (session: object) => void}} props `token`: one that the log-in page has sent. */
export default function Login({ why, token: sent, onLogin }) {
  const [how, setHow] = useState(null);
  const [sentence, setSentence] = useState(null);
  const [busy, setBusy] = useState(Boolean(sent));
  const input = useRef(null);
  const enter = async (token) => {
    setBusy(true);
    try {
      onLogin({ auth: true, ...(await logIn(token)) });
    } catch (problem) {
      setSentence(refusal(problem));
      setBusy(false);
      input.current?.focus();
    }
  };
  useEffect(() => {
    // Without an answer there is the form.
    howToLogIn().then(setHow, () => setHow({}));
    if (sent) enter(sent);
  }, []);
  const submit = (submitted) => {
    submitted.preventDefault();
    // People copy it with what stands around it.
    const token = input.current.value.replace(/^\s*bearer\s+|\s+/gi, "");
    if (busy) return;
    if (!token) return setSentence("A token is needed to log in.");
    enter(token);
  };
  const leave = () => {
    try {
      leaveForLogIn(how.login_url);
    } catch {
      setSentence("This browser keeps nothing for a tab, so it can't come back from the log-in page. Use a token.");
    }
  };
  const form = html`
    <form class="login-form" onSubmit=${submit} aria-busy=${busy} noValidate>
      <div>
        <label for="token">Token</label>
        <input id="token" ref=${input} type="password" autocomplete="off" spellcheck=${false} autofocus=${!how?.login_url}
          aria-invalid=${sentence ? "true" : undefined} aria-describedby=${sentence ? "token-error token-hint" : "token-hint"} />
      </div>
      <button type="submit" class=${how?.login_url ? "quiet" : "primary"}>${busy ? "Logging in" : how?.login_url ? "Log in with it" : "Log in"}</button>
      <div class="login-hint" id="token-hint">${hint(how)}</div>
    </form>`;
  return html`
    <section class="login" aria-labelledby="login-title" aria-busy=${busy}>
      <h1 id="login-title"><img src="static/favicon.svg" alt="" width="28" height="28" />Log in to plank</h1>
      ${why && html`<p class="login-why" role="status">${why}</p>`}
      ${sentence && html`<p class="field-error" id="token-error" role="alert">${sentence}</p>`}
      ${how?.login_url && html`<button type="button" class="primary" disabled=${busy} onClick=${leave} ref=${(element) => element && document.activeElement === document.body && element.focus()}>${busy ? "Logging in" : "Log in"}</button>
        <p class="login-hint">At <strong>${new URL(how.login_url).host}</strong>. You come back to where you are.</p>`}
      ${how && (how.login_url ? html`<details class="login-more" open=${Boolean(sentence)}><summary>With a token</summary>${form}</details>` : form)}
    </section>
  `;
}

/** Where a token comes from. */
function hint(how) {
  if (how?.plank_token === false) return "Tokens come from the program that holds the keys of this server (--jwt-jwks-file or --jwt-jwks-url); your operator knows.";
  return html`The operator of this server makes one. ROLE is a role of <code>plank.allow</code>, FILE what the server has as <code>--jwt-secret-file</code>:
    <pre><code>plank token --sub ann --role ROLE --jwt-secret-file FILE</code></pre>`;
}

function refusal({ status, message }) {
  if (status === 0) return "The server does not answer. Try again in a moment.";
  if (status === 401) return `This token is not accepted: ${message.replace(/^the token is not taken: /, "")}`;
  if (status === 403) return `This token is good, but may not be used here: ${message}`;
  if (status === 404) return "This server has no log-in.";
  return message;
}
