/** The demo page: the element live, its two buttons, and the JSON that it goes by. */

import * as token from "./token.js";
import { fill, words } from "./words.js";

const part = (id) => document.getElementById(id);
const element = part("status");

part("snippet").textContent = part("snippet").textContent.replace("https://rollcall.example", location.origin);
part("join").addEventListener("click", () => {
  element.joined({ name: token.claims(element.token)?.name });
});
part("leave").addEventListener("click", () => element.left());
element.addEventListener("attendance-updated", ({ detail }) => {
  part("answer").textContent = JSON.stringify(detail.status, null, 2);
});
element.addEventListener("attendance-token-needed", () => {
  token.request(open, words.ask.expired);
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => copy(button));
}

const kept = token.take();
if (kept) open(kept);
else token.request(open);

function open(given) {
  const told = token.claims(given);
  if (!told) return token.request(open, words.ask.unreadable);
  const own = Boolean(told.room && told.user && told.roomJoin);
  part("live").hidden = false;
  part("own").hidden = part("behind").hidden = !own;
  part("you").textContent = introduce(told, own);
  watch(told, given);
  if (!own) return;
  element.session = told.room;
  element.token = given;
  part("snippet").textContent = part("snippet").textContent.replace('session="98"', `session="${attribute(told.room)}"`);
}

function introduce(told, own) {
  if (own) return fill(words.home.you, { user: told.name || told.user, room: told.room });
  return told.room ? words.home.not_yours : words.home.operator;
}

/** A link for a teacher; it carries the token in its fragment, for a tab of its own. */
function watch(told, given) {
  if (!told.room || !told.roomAdmin) {
    part("watch").textContent = words.home.not_teacher;
    return;
  }
  const odd = told.room.includes("/") || /^\.{1,2}$/.test(told.room);
  const name = encodeURIComponent(told.room);
  const query = new URLSearchParams(location.search);
  query.delete("session");
  if (odd) query.set("session", told.room);
  const link = document.createElement("a");
  link.href = `/sessions/${odd ? "-" : name}?${query}#token=${given}`;
  link.textContent = fill(words.home.watch_link, { room: told.room });
  part("watch").replaceChildren(link);
}

function attribute(text) {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
}

async function copy(button) {
  const code = part(button.dataset.copy);
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    return; // not allowed here: it is selected, for the reader to copy
  }
  const before = button.textContent;
  button.textContent = button.dataset.copied;
  setTimeout(() => (button.textContent = before), 2000);
}
