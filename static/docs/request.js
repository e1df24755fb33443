/** A request as a form, as a line for a shell, and as it is sent. */
import { block, coloured, h, joined, laidOut } from "./dom.js";

/** An answer is read up to here: a stream has no end. */
const ANSWER_MAX_CHARS = 64 * 1024;
const ANSWER_MAX_MS = 10_000;

/** The document's own address without its name: plank may be served below a path. */
export const base = new URL(".", document.baseURI).href.replace(/\/$/, "");

/** In single quotes, in which a shell changes nothing. */
const quoted = (text) => (/^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The address and the headers for these values; whatever is empty is left out. */
function target(path, parameters, values) {
  const query = new URLSearchParams();
  const headers = {};
  let place = path;
  for (const { name, in: where, schema } of parameters) {
    const value = values[`${where}.${name}`] ?? "";
    if (where === "path") place = place.replace(`{${name}}`, value.split("/").map(encodeURIComponent).join("/"));
    if (value === "") continue;
    if (where === "header") headers[name] = value;
    // An object stands for names that are not fixed, and is written as it would stand in the address.
    if (where === "query" && schema?.type === "object") new URLSearchParams(value).forEach((one, key) => query.append(key, one));
    else if (where === "query") query.append(name, value);
  }
  // Browsers and PostgREST leave these as they are, and so they are read more easily.
  const text = query.toString().replace(/%2C/g, ",").replace(/%3A/g, ":").replace(/%28/g, "(").replace(/%29/g, ")");
  return { url: base + place + (text ? `?${text}` : ""), headers };
}

/** The line for a shell. A WebSocket needs another program. */
function line(operation, method, { url, headers }) {
  if (operation.responses?.["101"]) return `websocat ${quoted(url.replace(/^http/, "ws"))}`;
  const parts = ["curl"];
  // What comes is to be seen when it comes.
  if (operation.responses?.["200"]?.content?.["text/event-stream"]) parts.push("-N");
  if (method !== "get") parts.push("-X", method.toUpperCase());
  parts.push(quoted(url));
  const [media_type, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const all = media_type ? { "content-type": media_type, ...headers } : headers;
  for (const [name, value] of Object.entries(all)) parts.push("\\\n  -H", quoted(`${name}: ${value}`));
  if (content) parts.push("\\\n  -d", quoted(JSON.stringify(content.example ?? {})));
  return parts.join(" ");
}

/** What is filled in at first: only what the request can't do without. */
function initial(parameters) {
  const needed = parameters.filter(({ required }) => required);
  return Object.fromEntries(needed.map(({ name, in: where, example }) => [`${where}.${name}`, written(example)]));
}

/** An example as one would type it. */
const written = (example) => (example?.constructor === Object ? joined(example) : String(example ?? ""));

/** The line with its button, and for a GET the form that changes both it and what is sent. */
export function request(path, method, operation, parameters) {
  const values = initial(parameters);
  const shell = h("code", {});
  const said = h("span.copied", { role: "status" });
  const show = () => (shell.textContent = line(operation, method, target(path, parameters, values)));
  show();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(shell.textContent);
      said.textContent = "copied";
    } catch {
      // No permission, or no https: then it is at least chosen.
      getSelection().selectAllChildren(shell);
      said.textContent = "chosen: copy it with the keyboard";
    }
    setTimeout(() => (said.textContent = ""), 2_000);
  };
  const what = `${method.toUpperCase()} ${path}`;
  const command = h(
    "div.command",
    {},
    h("pre", { tabindex: "0", role: "region", "aria-label": `Command for ${what}` }, shell),
    h("div.command-side", {}, said, h("button.quiet.small", { type: "button", onclick: copy, "aria-label": `Copy the command for ${what}` }, "Copy")),
  );
  const can_try = method === "get" && !operation.responses?.["101"];
  return [command, can_try && form(path, what, operation, parameters, values, show)];
}

function form(path, what, operation, parameters, values, show) {
  const answer = h("div.answer", { "aria-live": "polite" });
  const button = h("button.primary", { type: "submit" }, "Send");
  const fields = parameters.map((parameter) => field(operation.operationId, parameter, values, show));
  const send = async (event) => {
    event.preventDefault();
    button.disabled = true;
    answer.replaceChildren(h("p.label", {}, "Waiting …"));
    answer.replaceChildren(...(await ask(target(path, parameters, values), what)));
    button.disabled = false;
  };
  return h(
    "details.try",
    {},
    h("summary", {}, "Try it", h("span.sr-only", {}, `: ${what}`)),
    h("form", { onsubmit: send, autocomplete: "off" }, fields.length > 0 && h("div.fields", {}, fields), button),
    answer,
  );
}

function field(operation, { name, in: where, required, example, schema }, values, show) {
  const id = `${operation}-${where}-${name}`;
  const key = `${where}.${name}`;
  const note = (event) => {
    values[key] = event.target.value;
    show();
  };
  const attributes = { id, required, oninput: note };
  const input = schema?.enum
    ? h("select", attributes, !required && h("option", { value: "" }, ""), schema.enum.map((one) => h("option", {}, String(one))))
    : h("input", { ...attributes, value: values[key] ?? "", placeholder: written(example), spellcheck: "false" });
  return h("div.field", {}, h("label", { for: id }, name, where === "query" ? "" : ` (${where})`, required ? " *" : ""), input);
}

/** Sends it; what there is to show. */
async function ask({ url, headers }, what) {
  const started = performance.now();
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), ANSWER_MAX_MS);
  try {
    const response = await fetch(url, { headers, signal: stop.signal, cache: "no-store" });
    const ms = Math.round(performance.now() - started);
    const { text, is_cut } = await read(response.body);
    const is_json = /\bjson$/.test((response.headers.get("content-type") ?? "").split(";")[0]);
    const names = [...response.headers].map(([name, value]) => `${name}: ${value}\n`);
    return [
      h("p.outcome", {}, status(response.status), ` ${response.statusText} `, h("span.label", {}, `${ms} ms${is_cut ? ", cut off" : ""}`)),
      h("details", {}, h("summary", {}, "Headers"), block(`Headers of the answer to ${what}`, names)),
      text !== "" && block(`Answer to ${what}`, is_json && !is_cut ? coloured(laidOut(text)) : text),
    ].filter(Boolean);
  } catch (error) {
    return [h("p.form-error", { role: "alert" }, `No answer: ${error.name === "AbortError" ? "it took too long" : error.message}`)];
  } finally {
    clearTimeout(late);
    stop.abort();
  }
}

async function read(body) {
  const decoder = new TextDecoder();
  const reader = body?.getReader();
  let text = "";
  try {
    while (reader && text.length < ANSWER_MAX_CHARS) {
      const { done, value } = await reader.read();
      if (done) return { text, is_cut: false };
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
  return { text: text.slice(0, ANSWER_MAX_CHARS), is_cut: Boolean(reader) };
}

/** A status, in the colour of its kind. */
export const status = (code) => h("span.status-code", { "data-kind": String(code)[0] }, String(code));
