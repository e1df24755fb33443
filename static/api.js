/** What the page asks the server for, beyond what every page needs (http.js), and its errors as sentences. */
import { request } from "./http.js";

/**
 * @typedef {object} Item
 * @property {number} id
 * @property {string} name
 * @property {string | null} description
 * @property {"open" | "active" | "done"} status
 * @property {Record<string, any>} data
 * @property {number} version
 * @property {string} created_at
 * @property {string} updated_at
 */

const SENTENCES = {
  0: "The server did not answer. Whether it was saved shows when the connection is back.",
  401: "You are not logged in any more. Nothing was saved.",
  403: "You are not allowed to do this. Nothing was saved.",
  429: "Too many requests. Nothing was saved; try again in a moment.",
  503: "The database is away. Nothing was saved; try again in a moment.",
};

/** An error for people, with what it means for their work. */
export const sentenceOf = ({ status, message }) => SENTENCES[status] ?? message;

/** @returns {Promise<Item>} */
export const read = (id) => request("GET", `api/items/${id}`);

/** @returns {Promise<Item>} */
export const create = (body) => request("POST", "api/items", { body });

/** Merges `body` into the row, if it still is the given version. @returns {Promise<Item>} */
export const patch = (id, version, body) => request("PATCH", `api/items/${id}`, { body, version });

/** Replaces the row, if it still is the given version. @returns {Promise<Item>} */
export const put = (id, version, body) => request("PUT", `api/items/${id}`, { body, version });

export const remove = (id, version) => request("DELETE", `api/items/${id}`, { version });

export const logIn = (token) => request("POST", "api/session", { bearer: token });

export const logOut = () => request("DELETE", "api/session");
