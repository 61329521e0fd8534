/** The operators' console: what is well, what failed and why, and all of it once more. */

import * as deliveries from "./ops/deliveries.js";
import { paged } from "./ops/paged.js";
import { root } from "./root.js";
import * as token from "./token.js";
import { counted, fill, number, second, words } from "./words.js";

const LOOK_MS = 5_000;
const WATCH_MS = 500;
const NOT_REPLAYED = ["pending", "unreadable"];
const say = words.ops;

const part = (id) => document.getElementById(id);
const findings = JSON.parse(part("findings").textContent);
const filters = part("filters");
const ledger = paged({
  path: "/api/events",
  name: "events",
  ask: api,
  parts: { rows: part("events"), more: part("more"), found: part("found") },
  row,
  say,
  failed,
});

let held = null; // the token
let asked = {}; // the filters of what is shown
let look = 0;
const troubles = {};

filters.addEventListener("submit", (event) => {
  event.preventDefault();
  list();
});
filters.addEventListener("change", list);
part("replay").addEventListener("click", () => replay({ status: "any", ...asked }));
part("replaying-close").addEventListener("click", () => part("replaying").close());
part("event-close").addEventListener("click", () => part("event").close());
part("checks").addEventListener("click", ({ target }) => {
  const { status } = target.closest("button")?.dataset ?? {};
  if (!status) return;
  filters.reset();
  filters.elements.status.value = status;
  list();
});
document.addEventListener("visibilitychange", () => document.hidden || health());

deliveries.start(api, (of, error) => held && trouble(of, error));
token.start(open);

function open(given) {
  held = given;
  part("console").hidden = false;
  health();
  list();
}

/** An answer of the API; throws a sentence for people when it is none. */
async function api(path, body) {
  const used = held;
  const headers = { Authorization: `Bearer ${used}` };
  if (body) headers["Content-Type"] = "application/json";
  const request = { headers, method: body ? "POST" : "GET", body: body && JSON.stringify(body) };
  const answer = await fetch(root + path, request).catch(() => null);
  if (!answer) throw new Error(words.trouble.never);
  if (answer.status === 401 || answer.status === 403) refuse(answer.status, used);
  const answered = await answer.json();
  if (answered.reason === "database-down") throw new Error(say.outage);
  if (!answer.ok) throw new Error(answered.detail);
  return answered;
}

/** Ask for another token; two requests are refused together, and only the first asks. */
function refuse(code, used) {
  if (used !== held) return;
  clearTimeout(look);
  held = null;
  part("console").hidden = true;
  token.request(open, code === 401 ? token.refusal(used) : say.refused);
}

/** Show what is wrong with health or with the list; null when nothing is any more. */
function trouble(of, error) {
  troubles[of] = error?.message;
  part("trouble").textContent = troubles.list ?? troubles.deliveries ?? troubles.health ?? "";
}

/** What was found, every few seconds while somebody looks. */
async function health() {
  clearTimeout(look);
  if (!held || document.hidden) return;
  let found = {};
  try {
    const { checks } = await api("/api/health");
    found = Object.fromEntries(checks.map((check) => [check.what, check]));
    trouble("health", null);
  } catch (error) {
    if (!held) return;
    trouble("health", error);
  }
  // What was not looked at, since it could not be asked, is unknown: it does not vanish.
  for (const shown of part("checks").children) {
    const made = tile(shown.dataset.what, found[shown.dataset.what]);
    if (!made.isEqualNode(shown)) shown.replaceWith(made);
  }
  deliveries.show(found.deliveries);
  look = setTimeout(health, LOOK_MS);
}

function tile(what, check) {
  const line = document.createElement("li");
  line.dataset.what = what;
  line.className = check ? (check.well ? "well" : "unwell") : "unknown";
  const name = document.createElement(say.status[what] ? "button" : "b");
  name.textContent = say.checks[what];
  if (say.status[what]) {
    name.type = "button";
    name.dataset.status = what; // shows the events of this status
  }
  const state = document.createElement("span");
  state.className = check ? "hidden" : "";
  state.textContent = check ? (check.well ? say.well : say.unwell) : say.unknown;
  line.append(name, " ", state);
  if (check) line.append(sentence(check, "seen"));
  if (check?.todo) line.append(sentence(check, "todo"));
  return line;
}

/** What was seen, or is to do, in the page's language; values stay as they are. */
function sentence(check, which) {
  const said = document.createElement("p");
  said.className = which;
  const isolate = document.dir === "rtl" ? (text) => `\u2068${text}\u2069` : String;
  const isolated = ([name, value]) => [name, isolate(value)];
  const gaps = Object.fromEntries(Object.entries(check.values).map(isolated));
  said.textContent = fill(findings[check.finding][which], gaps);
  return said;
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
function list() {
  asked = chosen();
  part("replay").disabled = NOT_REPLAYED.includes(asked.status);
  ledger(asked);
}

function failed(error) {
  if (error && !held) return;
  if (error) part("found").textContent = say.unknown;
  trouble("list", error);
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
    const event = await api(`/api/events/-?event_id=${encodeURIComponent(id)}`);
    if (part("event").open) return;
    part("event-title").textContent = `${event.event ?? say.unread} · ${event.event_id}`;
    part("event-error").textContent = event.error ?? "";
    part("event-payload").textContent = JSON.stringify(event.payload, null, 2);
    part("event-changed").textContent = JSON.stringify(event.changed, null, 2);
    part("event-replay").hidden = NOT_REPLAYED.includes(event.status);
    part("event-replay").onclick = () => {
      part("event").close();
      replay({ event_ids: [event.event_id] });
    };
    part("event").showModal();
  } catch (error) {
    if (held) trouble("list", error);
  }
}

/** Count first, ask, then put everything back, a part at a time. */
async function replay(which) {
  const line = part("replaying-status");
  const done = part("replaying-done");
  const go = part("replaying-go");
  done.hidden = true;
  go.hidden = true;
  line.textContent = say.replay.counting;
  part("replaying").showModal();
  try {
    const { matched } = await api("/api/events/replay", { ...which, dry_run: true });
    line.textContent = counted(say.replay.matched, matched);
    go.hidden = matched === 0;
    go.onclick = () => {
      go.hidden = true;
      putBack(which, matched).catch((error) => (line.textContent = error.message));
    };
  } catch (error) {
    line.textContent = error.message;
  }
}

async function putBack(which, matched) {
  const line = part("replaying-status");
  const done = part("replaying-done");
  done.max = matched;
  done.value = 0;
  done.hidden = false;
  const before = await failures(which);
  let after = null;
  let requeued = 0;
  while (part("replaying").open) {
    const answer = await api("/api/events/replay", { ...which, ...(after && { after }) });
    requeued += answer.requeued;
    done.value = requeued;
    const gaps = { requeued: number(requeued), matched: number(matched) };
    line.textContent = fill(say.replay.progress, gaps);
    after = answer.next;
    if (!after) break;
  }
  line.textContent = counted(say.replay.done, requeued);
  health();
  list();
  await settled(which);
  if (!part("replaying").open) return;
  const replaysFailed = ["any", "failed", undefined].includes(which.status);
  const again = (await failures(which)) - (replaysFailed ? 0 : before);
  line.textContent = again > 0 ? counted(say.replay.again, again) : say.replay.applied;
  health();
  list();
}

/** How many of these events are failed now. */
async function failures(which) {
  const failed = { ...which, status: "failed", dry_run: true };
  return (await api("/api/events/replay", failed)).matched;
}

/** Wait until none of these waits for a worker, or nobody looks any more. */
async function settled(which) {
  const received = new Date().toISOString();
  while (part("replaying").open && (await waits(which, received))) {
    await new Promise((resume) => setTimeout(resume, WATCH_MS));
  }
}

async function waits({ event_ids, ...which }, received) {
  if (event_ids) {
    const id = encodeURIComponent(event_ids[0]); // the console replays one, or by filters
    return (await api(`/api/events/-?event_id=${id}`)).status === "pending";
  }
  const pending = { until: received, ...which, status: "pending", limit: 1 };
  return (await api(`/api/events?${new URLSearchParams(pending)}`)).events.length > 0;
}
