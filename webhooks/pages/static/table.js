/** The roster's rows, kept from one answer to the next: only what differs is written. */

import { arrange, make, put, write } from "./dom.js";
import { byPhone, chosen } from "./person.js";
import { personPage } from "./term/links.js";
import { describe, keepStop, showBars, why } from "./timeline.js";
import { both, counted, fill, isolate, number, percent, second, span, time, words } from "./words.js";

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

function newRow() {
  const row = make("tr", "", "row");
  const who = make("th", "person", "rowheader");
  who.scope = "row";
  const about = make("div", "about");
  const marks = ["host", "guest", "phone", "corrected"].map(mark);
  const correct = make("button", "correct");
  correct.type = "button";
  correct.textContent = words.correcting.open;
  about.append(make("bdi", "id"), make("span", "alias"), ...marks, correct);
  const link = make("a", "own");
  link.append(make("bdi", "name"));
  who.append(link, about);
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

function mark(name) {
  const made = make("span", `mark ${name}`);
  made.textContent = words.roster.mark[name];
  return made;
}

function fillRow(row, person, shown) {
  const { below, joined, late, left, early, length, percentage, held, visits, failed } = person;
  const [who, ...cells] = row.children;
  fillWho(who, person);
  put(row.dataset, "user", person.id);
  put(row.dataset, "status", below ? "below" : person.status);
  const state = below ? words.roster.below_minimum : words.state[person.status];
  fillCell(cells[0], state ?? person.status, [doubt(person), facts(person)].filter(Boolean).join(" · "));
  fillCell(cells[1], joined && time(joined), late !== null && said("late", late));
  fillCell(cells[2], left && time(left), early !== null && said("early", early));
  fillCell(cells[3], length !== null && span(length), held !== null && heldShare(held));
  fillCell(cells[4], percentage !== null && percent(percentage));
  fillCell(cells[5], number(visits.length), failed && counted(words.roster.failed, failed));
  showBars(cells[6].firstChild, person, shown);
}

function fillWho(who, { title, id, alias, host, guest, phone, corrected }) {
  const [link, about] = who.children;
  const [shownId, shownAlias, ...rest] = about.children;
  const joinedAs = alias && fill(words.roster.joined_as, { name: isolate(alias) });
  write(link.firstChild, title);
  put(link, "href", new URL(personPage(id), location.href).href);
  write(shownId, title === id ? "" : id);
  write(shownAlias, joinedAs);
  put(who, "title", [title, joinedAs].filter(Boolean).join("\n")); // very long ones are cut
  [host, guest, phone, corrected].forEach((marked, nth) => put(rest[nth], "hidden", !marked));
}

/** What LiveKit did not confirm of somebody's time. */
function doubt({ unconfirmed, confirmed }) {
  if (unconfirmed) return words.roster.unconfirmed;
  return confirmed !== null && fill(words.roster.partly, { span: span(confirmed) });
}

/** What is shown without corrections, where that is something else. */
function facts({ corrected, status, length, factsStatus, factsLength }) {
  if (!corrected) return "";
  const state = words.state[factsStatus] ?? factsStatus;
  if (factsStatus !== status) return fill(words.correcting.facts, { state });
  return factsLength === (length ?? 0) ? "" : fill(words.correcting.facts, { state: span(factsLength) });
}

function heldShare(held) {
  return fill(words.roster.held, { share: percent(held) });
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
  const by = words.source[visit.source] ?? visit.source ?? "";
  write(source, byPhone(visit) ? both([by, words.roster.mark.phone]) : by);
}

function fillCell(cell, value, note) {
  const [, shown, aside] = cell.children;
  write(shown, value || value === 0 ? String(value) : "–");
  write(aside, note || "");
}
