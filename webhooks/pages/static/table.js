/** The roster's rows, kept from one answer to the next: only what differs is written. */

import { make, put, write } from "./dom.js";
import { chosen } from "./person.js";
import { describe, keepStop, showBars, why } from "./timeline.js";
import { counted, number, percent, second, span, time, words } from "./words.js";

const body = document.getElementById("people");
const visits = document.getElementById("visits");
const rows = new Map(); // by person
const lines = new Map(); // by visit

/** Show the people that are wanted; `shown` is the timeline's range. */
export function paint(everybody, wanted, shown) {
  const some = chosen(everybody, wanted);
  arrange(body, rows, some, (one) => one.id, newRow, (row, one) => fillRow(row, one, shown));
  keepStop();
  const nobody = document.getElementById("nobody");
  put(nobody, "hidden", some.length > 0);
  write(nobody, everybody.length ? words.roster.none_match : words.roster.empty);
  for (const header of document.querySelectorAll("[aria-sort]")) {
    const own = header.classList.contains(wanted.sort);
    put(header, "ariaSort", own ? (wanted.down ? "descending" : "ascending") : "none");
  }
  if (wanted.visits) paintVisits(some);
}

function paintVisits(some) {
  const all = some.flatMap((one) => one.visits.map((visit) => ({ ...visit, title: one.title })));
  arrange(visits, lines, all, (visit) => visit.key, newLine, fillLine);
}

/** Bring `parent`'s children in line with `wanted`; what stays is neither made nor moved anew. */
function arrange(parent, known, wanted, keyOf, make, fillIn) {
  const focused = document.activeElement;
  const keys = new Set(wanted.map(keyOf));
  for (const [key, child] of known) {
    if (keys.has(key)) continue;
    child.remove();
    known.delete(key);
  }
  let next = parent.firstChild;
  for (const one of wanted) {
    const key = keyOf(one);
    if (!known.has(key)) known.set(key, make());
    const child = known.get(key);
    fillIn(child, one);
    if (child === next) next = next.nextSibling;
    else parent.insertBefore(child, next);
  }
  if (parent.contains(focused)) focused.focus({ preventScroll: true }); // moving drops the focus
}

function newRow() {
  const row = make("tr", "", "row");
  const who = make("th", "person", "rowheader");
  who.scope = "row";
  who.append(make("bdi", "name"), make("bdi", "id"));
  row.append(who);
  for (const name of ["status", "joined", "left", "minutes", "percentage", "visits", "timeline"]) {
    const cell = make("td", name, "cell");
    const label = make("span", "label");
    label.textContent = words.roster.columns[name];
    label.ariaHidden = "true"; // the column's header says it; this is for narrow screens
    cell.append(label, make("span", "value"), make("span", "note"));
    row.append(cell);
  }
  const track = make("div", "track");
  row.querySelector(".timeline").replaceChildren(track);
  return row;
}

function fillRow(row, one, shown) {
  const [who, ...cells] = row.children;
  write(who.children[0], one.title);
  put(who, "title", one.title); // a very long one is cut
  write(who.children[1], one.title === one.id ? "" : one.id);
  const [status, joined, left, minutes, percentage, count, timeline] = cells;
  put(row.dataset, "status", one.below ? "below" : one.status);
  const state = one.below ? words.roster.below_minimum : words.state[one.status];
  fillCell(status, state ?? one.status, one.unconfirmed && words.roster.unconfirmed);
  fillCell(joined, one.joined && time(one.joined), one.late !== null && said("late", one.late));
  fillCell(left, one.left && time(one.left), one.early !== null && said("early", one.early));
  fillCell(minutes, one.length !== null && span(one.length));
  fillCell(percentage, one.percentage !== null && percent(one.percentage));
  fillCell(count, number(one.visits.length), one.failed && counted(words.roster.failed, one.failed));
  showBars(timeline.firstChild, one, shown);
}

function said(what, length) {
  return words.roster[what].replace("{span}", span(Math.max(length, 1000))); // not "0 sec late"
}

function newLine() {
  const line = make("tr");
  const who = make("th");
  who.scope = "row";
  who.append(make("bdi"));
  line.append(who);
  for (let column = 0; column < 5; column += 1) line.append(make("td"));
  return line;
}

function fillLine(line, visit) {
  const { length } = describe(visit);
  const [who, joined, left, lasted, reason, source] = line.children;
  write(who.firstChild, visit.title);
  write(joined, second(visit.from));
  write(left, visit.to === null ? "–" : second(visit.to));
  write(lasted, length);
  write(reason, why(visit));
  write(source, words.source[visit.source] ?? visit.source ?? "");
}

function fillCell(cell, value, note) {
  const [, shown, aside] = cell.children;
  write(shown, value || value === 0 ? String(value) : "–");
  write(aside, note || "");
}
