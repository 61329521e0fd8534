/** The operators' console: what is well, what failed and why, and all of it once more. */

import * as token from "./token.js";
import { counted, fill, number, second, words } from "./words.js";

const LOOK_MS = 5_000;
const PAGE = 50;
const say = words.ops;

const part = (id) => document.getElementById(id);
const filters = part("filters");

let held = null; // the token
let next = null; // where the next page of the ledger begins
let asked = {}; // the filters of what is shown
let look = 0;

filters.addEventListener("submit", (event) => {
  event.preventDefault();
  list();
});
filters.addEventListener("change", list);
part("more").addEventListener("click", () => page());
part("replay").addEventListener("click", () => replay(asked));
part("replaying-close").addEventListener("click", () => part("replaying").close());
part("event-close").addEventListener("click", () => part("event").close());
document.addEventListener("visibilitychange", () => document.hidden || health());

const kept = token.take();
if (kept) open(kept);
else token.request(open);

function open(given) {
  held = given;
  part("console").hidden = false;
  health();
  list();
}

/** An answer of the API; throws a sentence for people when it is none. */
async function api(path, body) {
  const headers = { Authorization: `Bearer ${held}` };
  if (body) headers["Content-Type"] = "application/json";
  const request = { headers, method: body ? "POST" : "GET", body: body && JSON.stringify(body) };
  const answer = await fetch(path, request).catch(() => null);
  if (!answer) throw new Error(words.trouble.never);
  if (answer.status === 401 || answer.status === 403) refuse(answer.status);
  const told = await answer.json();
  if (!answer.ok && path !== "/readyz") throw new Error(told.detail);
  return told;
}

function refuse(code) {
  clearTimeout(look);
  held = null;
  part("console").hidden = true;
  token.request(open, code === 401 ? words.ask.expired : say.refused);
}

function trouble(error) {
  part("trouble").textContent = error ? error.message : "";
}

/** What can be wrong, every few seconds while somebody looks. */
async function health() {
  clearTimeout(look);
  if (!held || document.hidden) return;
  try {
    const { checks } = await api("/readyz");
    const shown = Object.entries(checks).map(([what, { well, seen }]) => {
      const line = document.createElement("li");
      line.className = well ? "well" : "unwell";
      const name = document.createElement("b");
      name.textContent = say.checks[what] ?? what;
      const state = document.createElement("span");
      state.className = "hidden";
      state.textContent = well ? say.well : say.unwell;
      const told = document.createElement("span");
      told.dir = "ltr";
      told.textContent = seen;
      line.append(name, " ", state, told);
      return line;
    });
    part("checks").replaceChildren(...shown);
    trouble(null);
  } catch (error) {
    trouble(error);
  }
  look = setTimeout(health, LOOK_MS);
}

/** The filters that are filled in; local times as instants. */
function chosen() {
  const given = [...new FormData(filters)].filter(([, value]) => value);
  const instants = ["since", "until"];
  const plain = ([name, value]) => [
    name,
    instants.includes(name) ? new Date(value).toISOString() : value,
  ];
  return Object.fromEntries(given.map(plain));
}

/** Show the ledger anew, from its newest event. */
async function list() {
  asked = chosen();
  next = null;
  part("events").replaceChildren();
  await page();
}

async function page() {
  const query = new URLSearchParams({ ...asked, limit: PAGE, ...(next && { after: next }) });
  try {
    const told = await api(`/api/events?${query}`);
    next = told.next;
    part("events").append(...told.events.map(row));
    part("more").hidden = !next;
    const shown = part("events").childElementCount;
    part("found").textContent = shown ? counted(say.shown, shown) : say.none;
    trouble(null);
  } catch (error) {
    if (held) trouble(error);
  }
}

function row(event) {
  const line = document.createElement("tr");
  line.dataset.status = event.status;
  const name = document.createElement("button");
  name.type = "button";
  name.textContent = event.event ?? say.unread;
  name.title = event.event_id;
  name.addEventListener("click", () => show(event.event_id));
  const received = second(Date.parse(event.received_at));
  const status = say.status[event.status] ?? event.status;
  for (const content of [received, name, status, event.room_name, event.user_id, event.error]) {
    const cell = document.createElement("td");
    if (content instanceof Element) cell.append(content);
    else {
      const text = document.createElement("bdi");
      text.textContent = content ?? "–";
      cell.append(text);
    }
    line.append(cell);
  }
  return line;
}

/** One event, whole. */
async function show(id) {
  try {
    // A path can't carry every id: what it can't goes into the query.
    const told = await api(`/api/events/-?event_id=${encodeURIComponent(id)}`);
    part("event-title").textContent = `${told.event ?? say.unread} · ${told.event_id}`;
    part("event-error").textContent = told.error ?? "";
    part("event-payload").textContent = JSON.stringify(told.payload, null, 2);
    part("event-changed").textContent = JSON.stringify(told.changed, null, 2);
    part("event-replay").hidden = ["pending", "unreadable"].includes(told.status);
    part("event-replay").onclick = () => {
      part("event").close();
      replay({ event_ids: [told.event_id] });
    };
    part("event").showModal();
  } catch (error) {
    if (held) trouble(error);
  }
}

/** Count first, ask, then put everything back, a part at a time. */
async function replay(which) {
  const told = part("replaying-told");
  const done = part("replaying-done");
  const go = part("replaying-go");
  done.hidden = true;
  go.hidden = true;
  told.textContent = say.replay.counting;
  part("replaying").showModal();
  try {
    const { matched } = await api("/api/events/replay", { ...which, dry_run: true });
    told.textContent = counted(say.replay.matched, matched);
    go.hidden = matched === 0;
    go.onclick = () => {
      go.hidden = true;
      putBack(which, matched).catch((error) => (told.textContent = error.message));
    };
  } catch (error) {
    told.textContent = error.message;
  }
}

async function putBack(which, matched) {
  const told = part("replaying-told");
  const done = part("replaying-done");
  done.max = matched;
  done.value = 0;
  done.hidden = false;
  let after = null;
  let requeued = 0;
  while (part("replaying").open) {
    const answer = await api("/api/events/replay", { ...which, ...(after && { after }) });
    requeued += answer.requeued;
    done.value = requeued;
    const gaps = { requeued: number(requeued), matched: number(matched) };
    told.textContent = fill(say.replay.progress, gaps);
    after = answer.next;
    if (!after) break;
  }
  told.textContent = counted(say.replay.done, requeued);
  health();
  list();
}
