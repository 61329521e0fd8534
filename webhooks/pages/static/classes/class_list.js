/**
 * The list of classes: those that run now, then a heading for each day; a row for each class, kept
 * from look to look.
 */

import { arrange, make, place, put, write } from "../dom.js";
import { grouped } from "../person.js";
import { counted, day, fill, isolate, number, span, time, words } from "../words.js";
import { status } from "../term/classes.js";
import { dayOf } from "./days.js";
import { classPage, coursePage } from "../term/links.js";
import { watch } from "./presence.js";

const say = words.sessions;
const days = new Map(); // the section of each day
const rows = new WeakMap(); // the rows of each section, by session
const links = new Map(); // by course

/** Show these sessions, which come in their order; `roster` asks for the attendance of one. */
export function showClasses(parent, sessions, { now, roster }) {
  const running = sessions.filter((session) => status(session, now) === "running");
  const others = sessions.filter((session) => !running.includes(session));
  const groups = grouped(others, ({ from }) => (from === null ? "" : dayOf(from)));
  const wanted = [["now", running], ...groups].map(([key, group]) => ({ key, group }));
  if (running.length === 0) wanted.shift();
  arrange(parent, days, wanted, ({ key }) => key, newDay, (section, { key, group }) => {
    const [heading, list] = section.children;
    write(heading, headingOf(key, group[0]));
    arrange(list, rows.get(section), group, ({ id }) => id, newRow, (row, session) => {
      fillRow(row, session, now);
      watch(row, session, { now, roster });
    });
  });
}

function headingOf(key, { from }) {
  if (key === "now") return say.status.running;
  return from === null ? say.unscheduled : day(from);
}

/** A link to each course of these sessions. */
export function showCourses(parent, sessions) {
  const courses = new Set(sessions.map(({ course }) => course).filter(Boolean));
  const wanted = [...courses].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  put(parent, "hidden", wanted.length === 0);
  const newLink = () => make("a", "course");
  arrange(parent.lastElementChild, links, wanted, (course) => course, newLink, (link, course) => {
    write(link, course);
    put(link, "dir", "auto");
    put(link, "href", new URL(coursePage(course), location.href).href);
  });
}

function newDay() {
  const section = make("section", "day");
  rows.set(section, new Map());
  section.append(make("h2"), make("ul", "classes"));
  return section;
}

function newRow() {
  const row = make("li");
  const what = make("div", "what");
  const title = make("a", "name");
  title.dir = "auto";
  const course = make("a", "course");
  course.dir = "auto";
  const about = make("p", "about");
  about.append(course, make("span", "room"), make("span", "hosts"));
  what.append(title, about);
  const progress = make("span", "progress");
  progress.ariaHidden = "true";
  row.append(make("span", "time"), what, make("span", "state"), make("p", "presence"), progress);
  return row;
}

function fillRow(row, session, now) {
  const [when, what, state, , progress] = row.children;
  const word = status(session, now);
  put(row, "className", word ?? "unscheduled");
  write(when, word ? times(session) : "");
  fillWhat(what, session);
  write(state, word ? stateOf(session, word, now) : "");
  if (word === "running") {
    const share = (now - session.from) / (session.to - session.from);
    place(progress, "--share", share.toFixed(3));
  }
  put(progress, "hidden", word !== "running");
}

function times({ from, to }) {
  return fill(say.times, { start: time(from), end: time(to) });
}

function stateOf({ from, to }, word, now) {
  if (word === "running") return fill(say.running, { left: span(Math.max(to - now, 1000)) });
  if (word === "upcoming" && from - now < 3_600_000) return fill(say.soon, { span: span(from - now) });
  return say.status[word];
}

function fillWhat(what, { id, title, course, room, hosts }) {
  const [name, about] = what.children;
  const [ofCourse, inRoom, held] = about.children;
  write(name, title);
  put(name, "href", new URL(classPage(id), location.href).href);
  put(ofCourse, "hidden", !course);
  if (course) {
    write(ofCourse, course);
    put(ofCourse, "href", new URL(coursePage(course), location.href).href);
  }
  write(inRoom, room === title ? "" : fill(words.roster.room, { name: isolate(room) }));
  write(held, hostsOf(hosts));
}

function hostsOf(hosts) {
  if (hosts.length === 0) return "";
  if (hosts.length === 1) return fill(say.host, { name: isolate(hosts[0]) });
  return counted(say.hosts, hosts.length);
}
