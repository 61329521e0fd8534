/**
 * The token of this tab: from the address's `#token=…`, else as it was given in this tab before.
 *
 * A fragment never reaches a server. It is taken out of the address, so that an address that is
 * copied or photographed gives nothing away.
 */

import { words } from "./words.js";

const KEY = "rollcall.token";
const ask = document.getElementById("ask");

let unreadable = false; // whether what the tab had was no token at all

/** Give the tab's token to `use`, or ask for one. */
export function start(use) {
  const kept = take();
  if (kept) use(kept);
  else request(use);
}

/** The token, or null. What cannot be one is dropped, and said when a token is asked for. */
export function take() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    keep(given);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  const kept = sessionStorage.getItem(KEY);
  if (!kept || claims(kept)) return kept;
  sessionStorage.removeItem(KEY);
  unreadable = true;
  return null;
}

/** What a token says of itself; null when it is none. Only the server checks whether it is true. */
export function claims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    const told = JSON.parse(new TextDecoder().decode(bytes));
    return { user: told.sub, name: told.name, expires: told.exp, ...told.video };
  } catch {
    return null;
  }
}

/** Why the server takes no such token (401): it has expired, or another project's key signed it. */
export function refusal(token) {
  const { expires } = claims(token);
  return expires * 1000 < Date.now() ? words.ask.over : words.ask.foreign;
}

/** Show the form that asks for a token; `use` gets it. `trouble` says what is wrong with the last. */
export function request(use, trouble = unreadable && words.ask.unreadable) {
  const notice = document.getElementById("ask-trouble");
  if (trouble) showTrouble(notice, trouble);
  notice.hidden = !trouble;
  ask.hidden = false;
  document.getElementById("ask-form").onsubmit = (event) => {
    event.preventDefault();
    const field = document.getElementById("ask-token");
    const token = field.value.trim().replace(/^Bearer\s+/i, "");
    if (!token) return;
    keep(token);
    field.value = "";
    ask.hidden = true;
    start(use);
  };
}

/** One sentence, and one thing to do: words, or a link where there is an `href`. */
function showTrouble(notice, trouble) {
  const { says, todo, href } = typeof trouble === "string" ? { says: trouble, todo: "" } : trouble;
  const [sentence, link] = notice.children;
  sentence.textContent = href ? says : `${says} ${todo}`.trim();
  link.textContent = href ? todo : "";
  link.href = href ?? "";
  link.hidden = !href;
}

function keep(token) {
  sessionStorage.setItem(KEY, token);
}

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});
