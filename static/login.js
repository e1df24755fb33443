/** How one gets in: the page that gives tokens away, and what comes back from it. What is done before there is a page is in arrival.js. */
import { request } from "./http.js";

const KEPT = "login";

/** @returns {Promise<{auth: boolean, login_url?: string, plank_token?: boolean}>} */
export const howToLogIn = () => request("GET", "api/login");

/** Goes to the log-in page, which comes back to this very address. Which view was looked at stays in this tab. */
export function leaveForLogIn(login_url) {
  const state = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const url = new URL(login_url);
  // plank has looked at it; a page that goes where it is told looks again.
  if (!/^https?:$/.test(url.protocol)) throw new Error("The log-in address is none.");
  sessionStorage.setItem(KEPT, JSON.stringify({ state, place: location.hash || "#/", at: Date.now() }));
  url.searchParams.set("return_to", location.origin + location.pathname);
  url.searchParams.set("state", state);
  location.assign(url);
}

/** What a log-in page has sent, if it just did: a token, or why there is none, as a sentence. @returns {{token?: string, why?: string} | null} */
export function arrival() {
  const arrived = window.plankArrival?.() ?? null;
  if (!arrived) return null;
  if (!arrived.is_ours) return { why: "The log-in that came here was not begun in this tab, or too long ago, and was not used. Log in again." };
  return arrived.token ? { token: arrived.token } : { why: `You were not logged in: ${arrived.error || "the log-in page sent no token"}.` };
}
