/** The teacher's page: asks for the roster every ten seconds and shows what is different. */

import { sessionPath } from "./address.js";
import { correct } from "./correct/dialog.js";
import { put, write } from "./dom.js";
import { download } from "./export.js";
import { answers, people } from "./person.js";
import { questions } from "./question.js";
import { root } from "./root.js";
import { paint } from "./table.js";
import { showAround } from "./term/around.js";
import { range, showAxis } from "./timeline.js";
import * as token from "./token.js";
import { showUncounted } from "./uncounted.js";
import { both, counted, day, fill, number, percent, second, start, time, words, zone } from "./words.js";

const POLL_MS = 10_000;
const SLOWEST_MS = 120_000;
const ORDER = ["present", "left", "not_joined", "completed", "absent", "excused"];

const question = questions();
const part = (id) => document.getElementById(id);
const session = part("session").dataset.session;
const controls = part("controls");

let held = null; // the token
let roster = null; // the last answer
let ahead = 0; // the server's clock before ours, in milliseconds
let failures = 0;
let down = false; // sorted from the greatest
let poll = 0;

controls.addEventListener("input", (event) => {
  if (event.target === controls.elements.sort) down = false;
  show();
});
controls.addEventListener("submit", (event) => event.preventDefault());
part("print").addEventListener("click", () => print());
for (const button of document.querySelectorAll("[data-export]")) {
  button.addEventListener("click", () => take(button.dataset.export, button.dataset.format));
}
part("every").addEventListener("toggle", show);
part("people").addEventListener("click", ({ target }) => {
  const id = target.closest(".correct")?.closest("tr").dataset.user;
  const everybody = id === undefined ? [] : people(roster);
  const whom = everybody.find((person) => person.id === id);
  if (whom) correct(whom, { roster, everybody, token: held, after: look });
});
document.addEventListener("visibilitychange", () => document.hidden || look());
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => sortBy(button.dataset.sort));
}

token.start(open);

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
  const isLatest = question();
  const answer = await ask().catch(() => ({ code: 0 }));
  if (!isLatest()) return;
  const took = performance.now() - began;
  if (answer.code === 401 || answer.code === 403) return refuse(answer.code);
  if (answer.roster) learn(answer.roster);
  else failures += 1;
  const unknown = answer.code === 404;
  put(part("unknown"), "hidden", !unknown);
  put(part("roster"), "hidden", unknown && !roster);
  write(part("trouble"), failures && !unknown ? trouble() : "");
  // A slow server is asked less often, so that a watched class never makes it slower.
  const pause = Math.max(POLL_MS * 2 ** failures, took * 10);
  clearTimeout(poll);
  poll = setTimeout(look, Math.min(SLOWEST_MS, pause));
}

async function ask() {
  const response = await fetch(address({ uncounted: "1" }), {
    headers: { Authorization: `Bearer ${held}` },
    signal: AbortSignal.timeout(POLL_MS),
    cache: "no-store",
  });
  return { code: response.status, roster: response.ok ? await response.json() : null };
}

function address(wanted = {}) {
  return sessionPath("/api/sessions/", session, { after: "/attendance", query: wanted });
}

async function take(what, format) {
  if (!held) return;
  const form = { format, tz: zone(), lang: document.documentElement.lang };
  const url = address({ ...form, ...(what === "visits" && { cycles: "1" }) });
  const code = await download(url, held).catch(() => 0);
  if (code === 401 || code === 403) refuse(code);
  else write(part("trouble"), code === 200 ? "" : words.trouble.export);
}

function refuse(code) {
  const trouble = code === 401 ? token.refusal(held) : noClass(token.claims(held));
  held = null;
  part("roster").hidden = roster === null;
  token.request(open, trouble);
}

/** A token that is genuine and opens another class, or none: where it leads. */
function noClass({ room, roomJoin, roomAdmin }) {
  const query = { lang: document.documentElement.lang };
  if (room && roomAdmin) {
    const { says, todo } = words.ask.other_room;
    const href = sessionPath("/sessions/", room, { query });
    return { says: fill(says, { room }), todo: fill(todo, { room }), href };
  }
  if (!room || !roomJoin) return words.ask.no_class;
  return { ...words.ask.participant, href: `${root}/?${new URLSearchParams(query)}` };
}

function learn(answer) {
  failures = 0;
  if (!roster) showAround(answer.session, held);
  roster = answer;
  ahead = Date.parse(answer.as_of) - Date.now();
  showSession(answer);
  show();
}

function trouble() {
  if (!roster) return words.trouble.never;
  return fill(words.trouble.offline, { time: second(Date.parse(roster.as_of) - ahead) });
}

function showSession({ session: shown, attendances }) {
  if (shown.session_id) write(part("session"), shown.title || shown.session_id);
  const own = shown.room_name && shown.room_name !== shown.session_id;
  write(part("room"), own ? fill(words.roster.room, { name: shown.room_name }) : "");
  write(part("schedule"), schedule(shown, attendances));
  write(part("minimum"), minimum(shown));
  for (const fact of ["room", "schedule", "minimum"].map(part)) {
    put(fact, "hidden", !fact.textContent);
  }
  document.body.classList.toggle("scheduled", Boolean(shown.scheduled_at));
}

/** When it takes place; without a schedule, the day of the first visit. */
function schedule({ scheduled_at, ends_at }, attendances) {
  if (scheduled_at) {
    const span = { start: start(Date.parse(scheduled_at)), end: time(Date.parse(ends_at)) };
    return fill(words.roster.schedule, span);
  }
  const joins = attendances.map((one) => one.first_joined_at).filter(Boolean);
  return joins.length ? day(Math.min(...joins.map(Date.parse))) : "";
}

/** From which share of the schedule somebody has attended. */
function minimum({ scheduled_at, minimum_percentage: least }) {
  const counts = scheduled_at && least !== null;
  return counts ? fill(words.roster.minimum, { share: percent(least) }) : "";
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
    down,
    visits: part("every").open,
  };
  showCounts(roster.summary, everybody);
  showAxis(document.querySelector("table.roster"), shown, now);
  paint(everybody, wanted, shown);
  showUncounted(roster, everybody);
}

function showCounts(summary, everybody) {
  const below = everybody.filter((one) => one.below).length;
  const statuses = ORDER.filter((word) => summary[word] > 0);
  const sentences = statuses.map((word) => {
    const sentence = counted(words.roster.counts[word], summary[word]);
    const some = word === "completed" && below > 0;
    return some ? `${sentence} (${counted(words.roster.counts.below, below)})` : sentence;
  });
  write(part("counts"), sentences.length ? `${both(sentences)}.` : words.roster.empty);
  for (const count of document.querySelectorAll("[data-count]")) {
    const word = count.dataset.count;
    const n = summary[word] ?? everybody.filter((one) => answers(one, word)).length;
    write(count, number(n));
    const chosen = controls.elements.status.value === word;
    put(count.closest("label"), "hidden", n === 0 && word !== "all" && !chosen);
  }
}

function sortBy(column) {
  const { sort } = controls.elements;
  down = sort.value === column && !down;
  sort.value = column;
  show();
}
