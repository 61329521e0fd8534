/** The page of a course: who was what in each class, and who missed too much of it. */

import { put, write } from "../dom.js";
import { download } from "../export.js";
import { questions } from "../question.js";
import * as token from "../token.js";
import { counted, language, number, words, zone } from "../words.js";
import { askAll, at } from "./api.js";
import { paint, showColumns } from "./grid.js";
import { classesPage } from "./links.js";
import { showLegend } from "./marks.js";
import { refusal } from "./refusal.js";
import { chosen, FILTERS, joined } from "./report.js";
import { followPointer } from "./tip.js";

const POLL_MS = 120_000;
const REPORT = at("/api/reports/attendance");

const say = words.course;
const question = questions();
const part = (id) => document.getElementById(id);
const course = part("course").dataset.course;
const controls = part("controls");

let held = null; // the token
let report = null; // the last answer
let down = false; // sorted from the greatest
let poll = 0;

controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("input", ({ target }) => {
  if (target.name === "sort") down = target.value !== "person";
  show();
});
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => sortBy(button.dataset.sort));
}
part("print").addEventListener("click", () => print());
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => take(button.dataset.format));
}
document.addEventListener("visibilitychange", () => document.hidden || (held && look()));
followPointer(part("people"));
token.start(open);

function open(given) {
  held = given;
  part("page").hidden = false;
  part("list").href = classesPage({ course });
  part("list").hidden = false;
  look();
}

async function look() {
  clearTimeout(poll);
  if (!held) return;
  const isLatest = question();
  const pages = [];
  const query = { course_id: course, grid: "1", limit: "1000" };
  const { code } = await askAll(REPORT, query, held, (body) => pages.push(body));
  if (!isLatest()) return;
  if (code === 401 || code === 403) return refuse(code);
  if (code === 200) report = joined(pages);
  write(part("trouble"), code === 200 ? "" : words.trouble.never);
  poll = setTimeout(() => document.hidden || look(), POLL_MS);
  show();
}

function refuse(code) {
  const why = refusal(code, held);
  held = null;
  part("page").hidden = report === null;
  token.request(open, why);
}

function show() {
  if (!report) return;
  const isKnown = report.sessions.length > 0;
  put(part("unknown"), "hidden", isKnown);
  put(part("page"), "hidden", !isKnown);
  if (!isKnown) return;
  const { filter, find, sort } = controls.elements;
  const wanted = { filter: filter.value, find: find.value, sort: sort.value, down, course };
  const people = chosen(report.people, wanted);
  showFacts();
  showCounts(people);
  showColumns(report.sessions);
  paint(people, wanted);
  showLegend(part("legend"), new Set(report.people.flatMap(({ marks }) => marks)));
}

function showFacts() {
  const times = report.sessions.map(({ from }) => from).filter((from) => from !== null);
  const dates = new Intl.DateTimeFormat(language, { dateStyle: "long" });
  write(part("span"), times.length ? dates.formatRange(times[0], times.at(-1)) : "");
  put(part("span"), "hidden", times.length === 0);
  write(part("held"), counted(words.sessions.count, report.sessions.length));
  put(part("held"), "hidden", false);
}

function showCounts(people) {
  for (const count of document.querySelectorAll("[data-count]")) {
    const filter = count.dataset.count;
    const n = report.people.filter(FILTERS[filter]).length;
    write(count, number(n));
    const isChosen = controls.elements.filter.value === filter;
    put(count.closest("label"), "hidden", filter === "excused" && n === 0 && !isChosen);
  }
  const quarter = report.people.filter(FILTERS.quarter).length;
  const everybody = counted(say.people, report.people.length);
  const missed = quarter ? counted(say.quarter, quarter) : say.nobody_quarter;
  write(part("counts"), `${everybody}: ${missed}.`);
  put(part("nobody"), "hidden", people.length > 0);
  write(part("nobody"), report.people.length ? words.roster.none_match : say.nobody);
}

/** Numbers from the greatest first: the reader looks for who missed most, not least. */
function sortBy(column) {
  const { sort } = controls.elements;
  down = sort.value === column ? !down : column !== "person";
  sort.value = column;
  show();
}

async function take(format) {
  if (!held) return;
  const form = { format, tz: zone(), lang: document.documentElement.lang };
  const query = new URLSearchParams({ course_id: course, ...form });
  const code = await download(`${REPORT}?${query}`, held).catch(() => 0);
  if (code === 401 || code === 403) refuse(code);
  else write(part("trouble"), code === 200 ? "" : words.trouble.export);
}
