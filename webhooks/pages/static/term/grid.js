/** The grid of a course: a row for each person, a column for each class, rows kept when sorted. */

import { arrange, make, place, put, write } from "../dom.js";
import { fill, isolate, language, number, percent, start, words } from "../words.js";
import { showMark, wordOf } from "./marks.js";
import { classPage, personPage } from "./links.js";

const say = words.course;
const part = (id) => document.getElementById(id);
const dayFormat = new Intl.DateTimeFormat(language, { day: "numeric" });
const monthFormat = new Intl.DateTimeFormat(language, { month: "short" });
const rows = new Map(); // by person
const filled = new WeakMap(); // whom each row shows
const SUMS = ["attended", "late", "missed", "share"];

let columns = []; // the sessions

/** Name the columns; their rows are made anew only when there are other sessions than before. */
export function showColumns(sessions) {
  const same = sessions.map(({ id }) => id).join("\n") === columns.map(({ id }) => id).join("\n");
  columns = sessions;
  place(document.querySelector(".grid"), "--count", String(sessions.length));
  if (!same) {
    for (const old of document.querySelectorAll("#heads .class, #totals .class")) old.remove();
    part("heads").append(...sessions.map((session, nth) => head(session, sessions[nth - 1])));
    part("totals").append(...sessions.map(() => make("td", "class")));
    for (const row of rows.values()) row.remove();
    rows.clear();
  }
  sessions.forEach(({ summary }, nth) => write(part("totals").children[nth + 1], came(summary)));
}

/** A class's attendance as the last row says it: nothing before it is over. */
function came(summary) {
  const total = summary ? summary.completed + summary.absent + (summary.excused ?? 0) : 0;
  return total ? number(summary.completed) : "";
}

/** The month stands on paper only where it changes: there is little room. */
function head({ id, title, from }, before) {
  const month = (at) => (at ? monthFormat.format(at) : null);
  const cell = make("th", month(from) === month(before?.from) ? "class same-month" : "class");
  cell.scope = "col";
  const link = make("a");
  link.href = classPage(id);
  link.title = from === null ? title : `${title}\n${start(from)}`;
  link.append(...(from === null ? [text("bdi", title)] : dated(title, from)));
  cell.append(link);
  return cell;
}

function dated(title, from) {
  const spoken = text("span", `${title}, ${start(from)}`);
  spoken.className = "hidden";
  const shown = make("span", "date");
  shown.ariaHidden = "true";
  shown.append(text("b", dayFormat.format(from)), text("span", monthFormat.format(from)));
  return [spoken, shown];
}

function text(tag, content) {
  const made = make(tag);
  made.textContent = content;
  return made;
}

export function paint(people, { sort, down, course }) {
  arrange(part("people"), rows, people, ({ id }) => id, () => newRow(), (row, person) => {
    fillRow(row, person, course);
  });
  for (const header of document.querySelectorAll("[aria-sort]")) {
    const own = header.classList.contains(sort);
    put(header, "ariaSort", own ? (down ? "descending" : "ascending") : "none");
  }
}

function newRow() {
  const row = make("tr");
  const who = make("th", "person");
  who.scope = "row";
  const link = make("a");
  link.append(make("bdi"));
  who.append(link);
  row.append(who, ...SUMS.map((name) => make("td", name)), ...columns.map(() => make("td")));
  return row;
}

function fillRow(row, person, course) {
  if (filled.get(row) === person) return; // twelve thousand cells are not looked at to sort them
  filled.set(row, person);
  const [who, attended, late, missed, share, ...cells] = row.children;
  const link = who.firstChild;
  write(link.firstChild, person.title);
  put(link, "title", person.title);
  put(link, "href", new URL(personPage(person.id, course), location.href).href);
  write(attended, fill(say.of, { n: number(person.attended), all: number(person.sessions) }));
  write(late, number(person.late));
  write(missed, missedOf(person));
  write(share, person.share === null ? "–" : percent(person.share));
  put(row.dataset, "below", String(person.below));
  cells.forEach((cell, nth) => {
    if (cell.dataset.mark === person.marks[nth]) return;
    cell.dataset.mark = person.marks[nth];
    showMark(cell, person.marks[nth]);
  });
}

function missedOf({ missed, excused }) {
  if (!excused) return number(missed);
  return fill(say.missed_excused, { n: number(missed), excused: number(excused) });
}

/** Which person, class and mark a cell shows: for whoever points at it. */
export function sayCell(cell) {
  const session = columns[cell.cellIndex - SUMS.length - 1];
  const mark = cell.dataset.mark;
  if (!session || !mark) return null;
  const who = cell.parentElement.firstChild.textContent;
  const when = session.from === null ? session.title : `${session.title}, ${start(session.from)}`;
  return [who, isolate(when), wordOf(mark)];
}
