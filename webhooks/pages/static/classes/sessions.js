/** The page of classes: those of a day, a week, a month, a course or a room. */

import { put, write } from "../dom.js";
import { questions } from "../question.js";
import * as token from "../token.js";
import {
  counted,
  day as longDay,
  fill,
  isolate,
  language,
  number,
  second,
  words,
  zone,
} from "../words.js";
import { ask, askAll, at } from "../term/api.js";
import { byTime, classes, matching } from "../term/classes.js";
import { showClasses, showCourses } from "./class_list.js";
import { bounds, dayOf, isDay, midnight, moved } from "./days.js";
import { refusal } from "../term/refusal.js";

const POLL_MS = 60_000;
const TICK_MS = 5_000;
const WIDER = { day: "week", week: "month", month: "half" };

const say = words.sessions;
const question = questions();
const part = (id) => document.getElementById(id);
const controls = part("controls");
const address = new URLSearchParams(location.search);
const only = ["course", "room"].find((word) => address.get(word));

let held = null; // the token
let listed = null; // the sessions of the last answer
let poll = 0;

controls.elements.day.value = isDay(address.get("day")) ? address.get("day") : dayOf(Date.now());
controls.elements.span.value = address.get("span") in say.spans ? address.get("span") : "day";
controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("input", ({ target }) => {
  if (["day", "span"].includes(target.name)) go(controls.elements.day.value);
  else show();
});
part("today").addEventListener("click", () => go(dayOf(Date.now())));
for (const button of document.querySelectorAll("[data-move]")) {
  const way = Number(button.dataset.move);
  button.addEventListener("click", () => go(moved(controls.elements.day.value, span(), way)));
}
document.addEventListener("visibilitychange", () => document.hidden || (held && look()));
setInterval(() => document.hidden || show(), TICK_MS);

put(document.querySelector("form .calendar"), "hidden", Boolean(only));
put(document.querySelector("form .spans"), "hidden", Boolean(only));
token.start(open);

function open(given) {
  held = given;
  part("page").hidden = false;
  look({ widen: !address.has("day") && !only });
}

function span() {
  return controls.elements.span.value;
}

/** Show the span around another day; the address says so, for whoever copies it. */
function go(day) {
  if (!isDay(day)) return; // a field that is half written
  controls.elements.day.value = day;
  address.set("day", day);
  address.set("span", span());
  history.replaceState(history.state, "", `?${address}`);
  listed = null;
  write(part("counts"), say.loading);
  look();
}

/** Ask for what is wanted; where nothing is, and nobody chose, for the wider span around it. */
async function look({ widen = false } = {}) {
  clearTimeout(poll);
  const isLatest = question();
  const sessions = [];
  const answer = await askAll(at("/api/sessions"), query(), held, (body) => {
    sessions.push(...body.sessions);
  });
  if (!isLatest()) return;
  if (answer.code === 401 || answer.code === 403) return refuse(answer.code);
  const empty = answer.code === 200 && sessions.length === 0;
  if (empty && widen && span() in WIDER) {
    controls.elements.span.value = WIDER[span()];
    return look({ widen });
  }
  if (answer.code === 200) listed = classes(sessions);
  write(part("trouble"), answer.code === 200 ? "" : trouble());
  poll = setTimeout(() => document.hidden || look(), POLL_MS);
  show();
}

function query() {
  if (only) return { [only === "course" ? "course_id" : "room_name"]: address.get(only), limit: 1000 };
  const [from, to] = bounds(controls.elements.day.value, span());
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: 1000 };
}

function trouble() {
  return listed ? fill(words.trouble.offline, { time: second(listed.asOf) }) : words.trouble.never;
}

function refuse(code) {
  const why = refusal(code, held);
  held = null;
  part("page").hidden = listed === null;
  token.request(open, why);
}

/** Everything from the last answer, as the controls ask for it at this moment. */
function show() {
  if (!held || !listed) return;
  const now = Date.now();
  const { find, status } = controls.elements;
  const found = matching(listed.sessions, { find: find.value, status: "all", now });
  const shown = matching(found, { find: "", status: status.value, now });
  showHeading();
  showCounts(found, shown.length, now);
  showCourses(part("courses"), only === "course" ? [] : listed.sessions);
  showClasses(part("classes"), byTime(shown), { now, roster });
}

function roster(session) {
  return held ? ask(session.path, {}, held) : { body: null };
}

function showHeading() {
  write(part("zone"), fill(words.roster.zone, { zone: zone() }));
  if (only) {
    const name = isolate(address.get(only));
    write(part("heading"), fill(say.of[only], { name }));
    return;
  }
  const day = controls.elements.day.value;
  const today = day === dayOf(Date.now()) && span() === "day";
  part("classes").classList.toggle("of-day", span() === "day");
  write(part("heading"), today ? say.title_today : say.title);
  write(part("when"), span() === "day" ? longDay(midnight(day)) : range(day));
  put(part("when"), "hidden", false);
}

function range(day) {
  const [from, to] = bounds(day, span());
  return new Intl.DateTimeFormat(language, { dateStyle: "long" }).formatRange(from, to - 1);
}

function showCounts(found, shown, now) {
  for (const count of document.querySelectorAll("[data-count]")) {
    const status = count.dataset.count;
    const n = matching(found, { find: "", status, now }).length;
    write(count, number(n));
  }
  const none = listed.sessions.length ? say.none_match : say.none[only ? "ever" : span()];
  write(part("counts"), shown ? counted(say.count, shown) : none);
}
