/** The teacher's page: asks for the roster every ten seconds and shows what is different. */

import { people } from "./person.js";
import { paint } from "./table.js";
import { range, showAxis } from "./timeline.js";
import * as token from "./token.js";
import { both, counted, day, fill, second, time, words, zone } from "./words.js";

const POLL_MS = 10_000;
const SLOWEST_MS = 120_000;
const ORDER = ["present", "left", "not_joined", "completed", "absent"];

const part = (id) => document.getElementById(id);
const session = part("session").dataset.session;
const controls = part("controls");

let held = null; // the token
let roster = null; // the last answer
let ahead = 0; // the server's clock before ours, in milliseconds
let failures = 0;
let poll = 0;

controls.addEventListener("input", show);
controls.addEventListener("submit", (event) => event.preventDefault());
part("print").addEventListener("click", () => print());
part("every").addEventListener("toggle", show);
document.addEventListener("visibilitychange", () => document.hidden || look());
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => sortBy(button.dataset.sort));
}
controls.elements.sort.addEventListener("change", () => (part("people").dataset.order = ""));

const kept = token.take();
if (kept) open(kept);
else token.request(open);

function open(given) {
  held = given;
  part("roster").hidden = false;
  part("zone").textContent = fill(words.roster.zone, { zone: zone() });
  look();
}

async function look() {
  clearTimeout(poll);
  if (!held || document.hidden) return; // looking again asks
  const began = performance.now();
  const answer = await ask().catch(() => ({ code: 0 }));
  const took = performance.now() - began;
  if (answer.code === 401 || answer.code === 403) return refuse(answer.code);
  if (answer.roster) learn(answer.roster);
  else failures += 1;
  part("trouble").textContent = failures ? trouble() : "";
  // A slow server is asked less often, so that a watched class never makes it slower.
  const pause = Math.max(POLL_MS * 2 ** failures, took * 10);
  clearTimeout(poll);
  poll = setTimeout(look, Math.min(SLOWEST_MS, pause));
}

async function ask() {
  const odd = session.includes("/") || /^\.{1,2}$/.test(session);
  const name = encodeURIComponent(session);
  const path = odd ? `-/attendance?session=${name}` : `${name}/attendance`;
  const response = await fetch(`/api/sessions/${path}`, {
    headers: { Authorization: `Bearer ${held}` },
    signal: AbortSignal.timeout(POLL_MS),
    cache: "no-store",
  });
  return { code: response.status, roster: response.ok ? await response.json() : null };
}

function refuse(code) {
  held = null;
  part("roster").hidden = roster === null;
  token.request(open, code === 401 ? words.ask.expired : words.ask.refused);
}

function learn(answer) {
  failures = 0;
  roster = answer;
  ahead = Date.parse(answer.as_of) - Date.now();
  showSession(answer.session);
  show();
}

function trouble() {
  if (!roster) return words.trouble.never;
  return fill(words.trouble.offline, { time: second(Date.parse(roster.as_of) - ahead) });
}

function showSession({ session_id, room_name, scheduled_at, ends_at }) {
  if (session_id) write(part("session"), session_id);
  write(part("room"), room_name ? fill(words.roster.room, { name: room_name }) : "");
  const start = Date.parse(scheduled_at);
  const told = { start: day(start || 0), end: time(Date.parse(ends_at) || 0) };
  write(part("schedule"), start ? fill(words.roster.schedule, told) : "");
  part("room").hidden = !room_name || room_name === session_id;
  part("schedule").hidden = !start;
  document.body.classList.toggle("scheduled", Boolean(start));
}

/** Everything from the last answer, as the controls ask for it. */
function show() {
  if (!roster) return;
  const now = Date.now() + ahead;
  const everybody = people(roster);
  const shown = range(everybody, roster.session, now);
  const wanted = {
    status: controls.elements.status.value,
    find: controls.elements.find.value,
    sort: controls.elements.sort.value,
    down: part("people").dataset.order === "descending",
    visits: part("every").open,
  };
  showCounts(roster.summary);
  showAxis(document.querySelector("table.roster"), shown, now);
  paint(everybody, wanted, shown);
}

function showCounts(summary) {
  const told = ORDER.filter((word) => summary[word] > 0);
  const sentences = told.map((word) => counted(words.roster.counts[word], summary[word]));
  write(part("counts"), sentences.length ? `${both(sentences)}.` : words.roster.empty);
  for (const count of document.querySelectorAll("[data-count]")) {
    const word = count.dataset.count;
    const n = word === "all" ? summary.total : summary[word];
    write(count, String(n));
    const chosen = controls.elements.status.value === word;
    count.closest("label").hidden = n === 0 && word !== "all" && !chosen;
  }
}

function sortBy(column) {
  const { sort } = controls.elements;
  const body = part("people");
  const again = sort.value === column;
  body.dataset.order = again && body.dataset.order !== "descending" ? "descending" : "";
  sort.value = column;
  show();
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
