/** The page of a person: what they were in each class, as a picture, in figures and in a table. */

import { make, put, write } from "../dom.js";
import { questions } from "../question.js";
import * as token from "../token.js";
import { fill, language, number, percent, words, zone } from "../words.js";
import { ask, askAll, at } from "../term/api.js";
import { pathOf } from "../address.js";
import { own } from "./attended.js";
import { coursePage, personPage } from "../term/links.js";
import { showLegend } from "../term/marks.js";
import { refusal } from "../term/refusal.js";
import { showLines } from "./lines.js";
import { showStrip } from "./strip.js";

const POLL_MS = 120_000;

const say = words.person;
const question = questions();
const part = (id) => document.getElementById(id);
const person = part("person").dataset.person;
const course = new URLSearchParams(location.search).get("course") ?? "";
const PATH = pathOf("/api/users/", person, { named: "user_id", after: "/attendance" });

let held = null; // the token
let known = null; // the last answer
let poll = 0;

document.addEventListener("visibilitychange", () => document.hidden || (held && look()));
token.start(open);

async function open(given) {
  held = given;
  part("page").hidden = false;
  write(part("zone"), fill(words.roster.zone, { zone: zone() }));
  await look();
  if (held && known) introduce();
}

async function look() {
  clearTimeout(poll);
  if (!held) return;
  const isLatest = question();
  const attendances = [];
  let summary = null;
  const query = { limit: "1000", ...(course && { course_id: course }) };
  const { code } = await askAll(PATH, query, held, (body) => {
    attendances.push(...body.attendances);
    summary = body.summary;
  });
  if (!isLatest()) return;
  if (code === 401 || code === 403) return refuse(code);
  if (code === 200) known = { summary, classes: own(attendances) };
  write(part("trouble"), code === 200 ? "" : words.trouble.never);
  poll = setTimeout(() => document.hidden || look(), POLL_MS);
  if (known) show();
}

function refuse(code) {
  const why = refusal(code, held);
  held = null;
  part("page").hidden = known === null;
  token.request(open, why);
}

/** Their name and their courses, which only the lists of classes say: not for a participant. */
async function introduce() {
  const { user, name, room, roomAdmin } = token.claims(held);
  if (user === person && name && room) title(name);
  if (room && !roomAdmin) return showCourses([course]);
  const { body } = await ask(at("/api/sessions"), { user_id: person, limit: "1000" }, held);
  const sessions = body?.sessions ?? [];
  const registered = sessions.flatMap(({ expected }) => expected);
  title(registered.findLast(({ user_id, name: called }) => user_id === person && called)?.name);
  showCourses(sessions.map(({ course_id }) => course_id));
}

function title(name) {
  if (!name) return;
  write(part("person"), name);
  write(part("id"), person);
  put(part("id"), "hidden", name === person);
}

/** Each course of theirs: the one that is shown leads to its own page, the others to theirs here. */
function showCourses(courses) {
  const wanted = [...new Set(courses.filter(Boolean))].sort();
  put(part("courses"), "hidden", wanted.length === 0);
  const links = wanted.map((name) => {
    const link = make("a", "course");
    link.dir = "auto";
    link.textContent = name;
    link.href = name === course ? coursePage(name) : personPage(person, name);
    if (name === course) link.ariaCurrent = "true";
    return link;
  });
  if (course) {
    const every = make("a");
    every.textContent = say.every_course;
    every.href = personPage(person);
    links.push(every);
  }
  part("courses").lastElementChild.replaceChildren(...links);
}

function show() {
  const isKnown = known.classes.length > 0;
  put(part("unknown"), "hidden", isKnown);
  put(part("page"), "hidden", !isKnown);
  put(part("loading"), "hidden", true);
  put(part("shown"), "hidden", false);
  if (!isKnown) return;
  showFigures(known.summary);
  showSpan(known.classes);
  showStrip(known.classes);
  showLines(known.classes);
  showLegend(part("legend"), new Set(known.classes.map(({ mark }) => mark)));
}

function showFigures({ sessions, attended, late, absent, excused, ...summary }) {
  const share = summary.attendance_percentage;
  figure("share", share === null ? "–" : percent(share), summary.below_minimum ? say.below : "");
  const all = fill(say.of_all, { all: number(sessions) });
  figure("attended", number(attended), all);
  figure("late", number(late), "");
  const beside = excused ? fill(say.excused, { n: number(excused) }) : "";
  figure("missed", number(absent + excused), beside);
  part("shown").classList.toggle("below", summary.below_minimum === true);
}

function figure(name, value, beside) {
  write(document.querySelector(`[data-figure="${name}"]`), value);
  write(document.querySelector(`[data-beside="${name}"]`), beside);
}

function showSpan(classes) {
  const times = classes.map(({ from }) => from).filter((from) => from !== null);
  const dates = new Intl.DateTimeFormat(language, { dateStyle: "long" });
  write(part("span"), times.length ? dates.formatRange(times[0], times.at(-1)) : "");
  put(part("span"), "hidden", times.length === 0);
}
