/** Makes elements. Text always goes in as text, so nothing that the document or an answer says becomes markup. */

/**
 * `h("p.note", { id: "a" }, "text", child)`: a tag with classes, attributes, listeners (`onclick`), children.
 * A child that is null or false is left out.
 */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

/** Names and values as they stand in an address, for people. */
export const joined = (values) => Object.entries(values).map((pair) => pair.join("=")).join("&");

/** Prose of the document: what stands in backticks is code. */
export const prose = (text) => text.split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));

/** A string or a name of a member, a number or a word, and what stands between them. */
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*|\btrue\b|\bfalse\b|\bnull\b)/g;

/** JSON text with colours. Whatever is no JSON just has fewer of them. */
export function coloured(text) {
  const parts = [];
  let end = 0;
  for (const token of text.matchAll(TOKEN)) {
    const [whole, string, colon, other] = token;
    const kind = other ? "value" : colon ? "name" : "string";
    parts.push(text.slice(end, token.index), h(`span.json-${kind}`, {}, string ?? other), colon ?? "");
    end = token.index + whole.length;
  }
  return [...parts, text.slice(end)];
}

/** Lays JSON text out, token by token: numbers keep all the digits that they came with. */
export function laidOut(text) {
  let out = "";
  let depth = 0;
  const line = () => "\n" + "  ".repeat(depth);
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    if (token === "}" || token === "]") {
      depth = Math.max(0, depth - 1);
      out = /[{[]\s*$/.test(out) ? out.trimEnd() + token : out + line() + token;
    } else if (token === "{" || token === "[") {
      depth += 1;
      out += token + line();
    } else if (token === ",") out += token + line();
    else if (token === ":") out += ": ";
    else out += token;
  }
  return out;
}

/** A block of code, scrolled in itself and so to be reached with the keyboard. */
export const block = (label, ...children) => h("pre", { tabindex: "0", role: "group", "aria-label": label }, h("code", {}, ...children));
