/** Shows schemas, parameters and examples of an OpenAPI document. Knows nothing of the page around. */
import { block, coloured, h, joined, prose } from "./dom.js";

/** Members within members are shown down to here; a schema may contain itself. */
const DEPTH_MAX = 6;

export class Schemas {
  #document;

  constructor(document) {
    this.#document = document;
  }

  /** What is meant: the thing itself, or what it refers to within the document. */
  resolve(thing) {
    const place = thing?.$ref;
    if (!place?.startsWith("#/")) return thing ?? {};
    const names = place.slice(2).split("/").map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
    return names.reduce((at, name) => at?.[name], this.#document) ?? {};
  }

  /** `integer`, `list of Item`, `string or null`. */
  type(schema) {
    if (schema?.$ref) return schema.$ref.split("/").pop();
    const either = schema?.oneOf ?? schema?.anyOf ?? schema?.allOf;
    if (either) return [...new Set(either.map((one) => this.type(one)))].join(" or ");
    const types = [schema?.type ?? "anything"].flat();
    return types.map((type) => (type === "array" ? `list of ${this.type(schema.items)}` : type)).join(" or ");
  }

  /** What a value is held to, in words. */
  bounds(schema) {
    const { format, minimum, maximum, minLength, maxLength, minItems, maxItems, pattern, default: standard } = schema;
    const range = (what, min, max) => {
      if (min === undefined && max === undefined) return null;
      if (max === undefined) return `${what}at least ${min}`;
      return min === undefined ? `${what}at most ${max}` : `${what}${min} to ${max}`;
    };
    const words = [format && h("span", {}, format)];
    for (const text of [range("", minimum, maximum), range("characters: ", minLength, maxLength), range("entries: ", minItems, maxItems)]) {
      if (text) words.push(h("span", {}, text));
    }
    if (schema.enum) words.push(h("span", {}, "one of ", schema.enum.map((one, at) => [at ? ", " : "", h("code", {}, String(one))])));
    const fits = pattern ?? (schema.items ?? schema.additionalProperties)?.pattern;
    if (fits) words.push(h("span", {}, schema.additionalProperties ? "each value: pattern " : "pattern ", h("code", {}, fits)));
    if (standard !== undefined) words.push(h("span", {}, "default ", h("code", {}, String(standard))));
    // An object in a query stands for names that are not fixed.
    for (const one of (schema.additionalProperties && schema.examples) || []) words.push(h("span", {}, "such as ", h("code", {}, joined(one))));
    const list = words.filter(Boolean);
    return list.length > 0 && h("span.bounds", {}, list);
  }

  /** One line of a list: a name, what it is, and what it means. */
  #entry(name, schema, { note, description, where }, children) {
    return h(
      "li",
      {},
      h(
        "div.member",
        {},
        h("code.member-name", {}, name),
        h("span.member-type", {}, this.type(schema)),
        where && h("span.member-where", {}, where),
        note && h(`span.member-${note}`, {}, note),
      ),
      h("div.member-what", {}, description && h("p", {}, prose(description)), this.bounds(this.resolve(schema))),
      children,
    );
  }

  parameters(list) {
    const entries = list.map(({ name, in: where, schema, required, description }) => {
      return this.#entry(name, schema, { note: required && "required", description, where }, null);
    });
    return h("ul.members", {}, entries);
  }

  headers(headers) {
    const entries = Object.entries(headers).map(([name, one]) => {
      const { schema, description } = this.resolve(one);
      return this.#entry(name, schema, { description }, null);
    });
    return h("ul.members", {}, entries);
  }

  /**
   * The members of an object, or of the objects in a list; null when there are none to show. Who writes a body wants to
   * know what has to be there, who reads an answer what may be missing.
   */
  members(schema, is_answer, depth = 0) {
    const meant = this.resolve(schema);
    if (meant.items) return this.members(meant.items, is_answer, depth);
    const either = (meant.oneOf ?? meant.anyOf ?? meant.allOf ?? []).map((one) => this.members(one, is_answer, depth)).filter(Boolean);
    if (either.length > 0) return either;
    if (!meant.properties || depth >= DEPTH_MAX) return null;
    const entries = Object.entries(meant.properties).map(([name, member]) => {
      const is_required = (meant.required ?? []).includes(name);
      const note = is_answer ? !is_required && "optional" : is_required && "required";
      return this.#entry(name, member, { note, description: member.description }, this.members(member, is_answer, depth + 1));
    });
    return h("ul.members", {}, entries);
  }

  /** Every media type of a body or an answer: what it is, and an example. */
  content(content, label, is_answer) {
    const shown = new Set();
    return Object.entries(content ?? {}).map(([media_type, { schema, example }]) => {
      const is_again = shown.has(schema?.$ref);
      if (schema?.$ref) shown.add(schema.$ref);
      const text = typeof example === "string" ? example : JSON.stringify(example, null, 2);
      return h(
        "div.content",
        {},
        h("p.media-type", {}, h("code", {}, media_type), schema && h("span.member-type", {}, this.type(schema))),
        schema && !is_again && this.members(schema, is_answer),
        example !== undefined && h("div.example", {}, h("p.label", {}, "Example"), block(`Example of ${label}, ${media_type}`, /json|jsonl$/.test(media_type) ? coloured(text) : text)),
      );
    });
  }
}
