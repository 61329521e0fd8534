/** The demo page: the element live, its two buttons, and the JSON that it goes by. */

import { sessionPath } from "./address.js";
import { root } from "./root.js";
import { personPage } from "./term/links.js";
import * as token from "./token.js";
import { fill, words } from "./words.js";

const part = (id) => document.getElementById(id);
const element = part("status");
let here = false; // whether this page said that its person joined
let joining = false; // while that is on its way

part("snippet-origin").textContent = location.origin + root;
part("join").addEventListener("click", join);
part("leave").addEventListener("click", () => {
  here = false;
  element.left();
  showButtons();
});
part("find").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(classPage(part("find-session").value));
});
element.addEventListener("attendance-updated", ({ detail }) => {
  here &&= joining || detail.status.is_currently_in_meeting; // a join may have been refused
  part("answer").textContent = JSON.stringify(detail.status, null, 2);
  showButtons();
});
element.addEventListener("attendance-changed", showButtons);
element.addEventListener("attendance-restored", () => {
  here = false; // the visit ended when the page went into the browser's cache
  showButtons();
});
element.addEventListener("attendance-token-needed", () => {
  token.request(open, token.refusal(element.token));
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => copy(button));
}

token.start(open);

function open(given) {
  const claimed = token.claims(given);
  const own = Boolean(claimed.room && claimed.user && claimed.roomJoin);
  here = false;
  part("live").hidden = false;
  part("own").hidden = part("behind").hidden = !own;
  part("you").textContent = introduce(claimed, own);
  watch(claimed, given);
  if (!own) return;
  element.session = claimed.room;
  part("record").href = personPage(claimed.user);
  element.token = given;
  showButtons();
  part("snippet-session").textContent = attribute(claimed.room);
}

function introduce(claimed, own) {
  if (own) return fill(words.home.you, { user: claimed.name || claimed.user, room: claimed.room });
  return claimed.room ? words.home.not_yours : words.home.operator;
}

async function join() {
  here = joining = true;
  showButtons();
  await element.joined({ name: token.claims(element.token)?.name });
  joining = false;
  showButtons();
}

/** Nobody joins twice, nor leaves from here a visit that LiveKit or another page began. */
function showButtons() {
  const inside = element.status?.is_currently_in_meeting;
  part("join").disabled = here || inside !== false;
  part("leave").disabled = !here;
  part("joining").textContent = inside && !here ? words.home.inside : words.home.joining;
}

/** A teacher's own class; its link carries the token in its fragment, for a tab of its own. */
function watch(claimed, given) {
  const teaches = claimed.room && claimed.roomAdmin;
  part("watch").hidden = !teaches;
  if (!teaches) return;
  const link = part("watch").firstElementChild;
  link.href = `${classPage(claimed.room)}#token=${given}`;
  link.textContent = fill(words.home.watch_link, { room: claimed.room });
}

function classPage(session) {
  const query = new URLSearchParams(location.search);
  query.delete("session");
  return sessionPath("/sessions/", session, { query: Object.fromEntries(query) });
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
