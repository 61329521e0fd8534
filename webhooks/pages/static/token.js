/**
 * The token of this tab: from the address's `#token=…`, else as it was given in this tab before.
 *
 * A fragment never reaches a server. It is taken out of the address, so that an address that is
 * copied or photographed gives nothing away. A link never replaces a token that is in use: whoever
 * sent it could have somebody act with a token of theirs. It asks.
 */

import { make } from "./dom.js";
import { fill, words } from "./words.js";

const KEY = "rollcall.token";
const ask = document.getElementById("ask");

let unreadable = false; // whether what the tab had was no token at all

/** Give the tab's token to `use`, or ask for one. */
export function start(use) {
  const given = fromAddress();
  const before = kept();
  if (given && before && isInUse(before)) offer(given, before);
  else if (given) keep(given);
  const token = kept();
  if (token) use(token);
  else request(use);
}

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(history.state, "", location.pathname + location.search);
  return given;
}

/** The tab's token, or null. What cannot be one is dropped, and said when a token is asked for. */
function kept() {
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
    const payload = JSON.parse(new TextDecoder().decode(bytes));
    return { user: payload.sub, name: payload.name, expires: payload.exp, ...payload.video };
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

function isInUse(token) {
  const { expires } = claims(token);
  return !expires || expires * 1000 > Date.now();
}

/** Ask whether the token of the address is to replace the one that the tab has. */
function offer(given, before) {
  const claimed = claims(given);
  if (given === before || !claimed) return;
  const whose = [claimed.name || claimed.user, claimed.room].filter(Boolean).join(" · ") || words.nav.ops;
  const question = make("section", "card ask", "alert");
  const sentence = make("p");
  sentence.textContent = fill(words.ask.another, { whose: `\u2068${whose}\u2069` });
  const buttons = make("p", "buttons");
  buttons.append(
    button(words.ask.keep, () => question.remove()),
    button(words.ask.replace, () => {
      keep(given);
      location.reload();
    }),
  );
  question.append(sentence, buttons);
  ask.before(question);
}

function button(text, press) {
  const made = make("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", press);
  return made;
}

function keep(token) {
  sessionStorage.setItem(KEY, token);
}

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});
