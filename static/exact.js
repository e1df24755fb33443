/**
 * Numbers with all of their digits. JavaScript rounds a number of JSON to 64 bits and forgets the zeros at its end; a page that shows
 * what PostgreSQL has must do neither.
 *
 * Integers that would be rounded become strings, as in plank.js. Any other number that would be written otherwise than it came
 * becomes an `Exact`.
 */

/** A number as it came. `JSON.stringify` writes it as it came, in a browser that can. */
export class Exact {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }

  valueOf() {
    return Number(this.text);
  }

  toJSON() {
    return JSON.rawJSON?.(this.text) ?? this.text;
  }
}

/** What a number stands for while JSON is read: no text of a database has this character. */
const MARK = "\u0000";
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
/** Only a fraction, an exponent or many digits can be lost. */
const SUSPECT = /\d[.eE]\d|\d[eE][+-]|\d{16}/;

function keep(token) {
  if (token[0] === '"' || String(Number(token)) === token) return token;
  return /^-?\d+$/.test(token) ? `"${token}"` : `"\\u0000${token}"`;
}

/** As `JSON.parse`. @param {string} text */
export function parse(text) {
  if (!SUSPECT.test(text)) return JSON.parse(text);
  const revive = (_, value) => (typeof value === "string" && value[0] === MARK ? new Exact(value.slice(1)) : value);
  return JSON.parse(text.replace(TOKENS, keep), revive);
}

/** A WebSocket that hands out messages which are parsed already; plank.js takes them as they are. */
export class ExactSocket extends WebSocket {
  set onmessage(told) {
    super.onmessage = told && (({ data }) => told({ data: read(data) }));
  }
}

/** What is no JSON is the client's to judge. */
function read(data) {
  try {
    return parse(data);
  } catch {
    return data;
  }
}
