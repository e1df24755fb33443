/** `docs`: shows `openapi.json` to people. Owns the order of things on the page; what they look like is in docs/. */
import { h, prose } from "./docs/dom.js";
import { request, status } from "./docs/request.js";
import { Schemas } from "./docs/schema.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const LOAD_MAX_MS = 10_000;

/** The operations of each tag, in the order of the document's tags; a tag that it does not list comes last. */
function grouped(api, schemas) {
  const groups = new Map((api.tags ?? []).map(({ name, description }) => [name, { name, description, operations: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const operation = item[method];
      const name = operation.tags?.[0] ?? "other";
      if (!groups.has(name)) groups.set(name, { name, operations: [] });
      groups.get(name).operations.push({ path, method, operation, parameters: (operation.parameters ?? []).map((one) => schemas.resolve(one)) });
    }
  }
  return [...groups.values()].filter(({ operations }) => operations.length > 0);
}

const label = (method, path) => [h("span.method", { "data-method": method }, method.toUpperCase()), " ", h("span.path", {}, breakable(path))];

/** A narrow page may break a path at its slashes. */
const breakable = (path) => path.split(/(?=\/)/).flatMap((part, at) => (at ? [h("wbr"), part] : [part]));

function contents(groups) {
  const list = groups.map(({ name, operations }) => [
    h("h2", {}, name),
    h("ul", {}, operations.map(({ path, method, operation }) => h("li", {}, h("a", { href: `#${operation.operationId}` }, label(method, path))))),
  ]);
  // On a narrow page the list would stand in the way; a wide one shows it beside.
  const is_wide = matchMedia("(min-width: 900px)");
  const details = h("details", { open: is_wide.matches }, h("summary", {}, "Routes"), list);
  is_wide.addEventListener("change", () => (details.open = is_wide.matches));
  details.addEventListener("click", (event) => {
    if (event.target.closest("a") && !is_wide.matches) details.open = false;
  });
  return details;
}

function answers(schemas, operation) {
  const entries = Object.entries(operation.responses ?? {});
  const best = entries.find(([code]) => code < 400)?.[0];
  return entries.map(([code, response]) => {
    const { description, headers, content } = schemas.resolve(response);
    const what = [status(code), " ", h("span.answer-what", {}, prose(description ?? ""))];
    if (!headers && !content) return h("p.plain-answer", {}, what);
    return h(
      "details.documented",
      { open: code === best },
      h("summary", {}, what),
      headers && [h("p.label", {}, "Headers"), schemas.headers(headers)],
      schemas.content(content, `the answer ${code}`, true),
    );
  });
}

function article(schemas, { path, method, operation, parameters }) {
  const { operationId: id, summary, description, requestBody: body } = operation;
  return h(
    "article.operation",
    { id, tabindex: "-1", "aria-labelledby": `${id}-title`, "data-route": `${method.toUpperCase()} ${path}` },
    h("h3", { id: `${id}-title` }, h("a", { href: `#${id}` }, label(method, path))),
    h("p.summary", {}, h("strong", {}, prose(summary ?? "")), ". ", prose(description ?? "")),
    request(path, method, operation, parameters),
    parameters.length > 0 && [h("h4", {}, "Parameters"), schemas.parameters(parameters)],
    body && [h("h4", {}, "Body"), schemas.content(body.content, "the body", false)],
    h("h4", {}, "Answers"),
    answers(schemas, operation),
  );
}

/** The list beside shows where one is. */
function follow() {
  const links = new Map([...document.querySelectorAll("#contents a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        for (const [id, link] of links) {
          if (id === target.id) link.setAttribute("aria-current", "true");
          else link.removeAttribute("aria-current");
        }
      }
    },
    // A line a little below the bar: only one of them is there.
    { rootMargin: "-12% 0px -87% 0px" },
  );
  document.querySelectorAll(".operation").forEach((operation) => seen.observe(operation));
}

function show(api) {
  const schemas = new Schemas(api);
  const groups = grouped(api, schemas);
  document.getElementById("contents").replaceChildren(contents(groups));
  const intro = h("p.intro", {}, prose(api.info.description ?? ""));
  const version = h("p.label", {}, `version ${api.info.version}, OpenAPI ${api.openapi}`);
  const sections = groups.map(({ name, description, operations }) =>
    h(
      "section",
      { "aria-labelledby": `tag-${name}` },
      h("h2", { id: `tag-${name}` }, name),
      description && h("p.tag-what", {}, prose(description)),
      operations.map((one) => article(schemas, one)),
    ),
  );
  document.getElementById("main").replaceChildren(intro, version, ...sections);
  follow();
  // The browser looked for it when there was nothing yet.
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

try {
  const response = await fetch("openapi.json", { signal: AbortSignal.timeout(LOAD_MAX_MS) });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  show(await response.json());
} catch (error) {
  const state = document.getElementById("state");
  if (!state) throw error;
  state.setAttribute("role", "alert");
  state.textContent = `openapi.json can't be shown: ${error.message}. Load the page again in a moment.`;
}
