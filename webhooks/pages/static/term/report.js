/** The report of a course as its page has it: sessions by time, and people with a mark in each. */

import { compare, fold, names } from "../words.js";
import { markOf } from "./marks.js";

export const MUCH = 1 / 4; // of the classes: who missed more of them is asked for most

export const FILTERS = {
  all: () => true,
  quarter: (person) => person.missed > person.sessions * MUCH,
  below: (person) => person.below,
  late: (person) => person.late > 0,
  excused: (person) => person.excused > 0,
};

const KEYS = {
  person: (person) => person.title,
  attended: (person) => person.attended,
  late: (person) => person.late,
  missed: (person) => person.missed,
  share: (person) => person.share,
};

/** One page of the report after another, as one; the sessions come by their start. */
export function joined(pages) {
  const sessions = new Map();
  for (const { sessions: some } of pages) {
    for (const session of some) sessions.set(session.session_id, session);
  }
  const byTime = [...sessions.values()].map(readSession);
  const people = pages.flatMap((page) => page.people).map((person) => readPerson(person, byTime));
  return { sessions: byTime, people };
}

function readSession({ session_id: id, title, scheduled_at, summary }) {
  return { id, title: title || id, from: scheduled_at ? Date.parse(scheduled_at) : null, summary };
}

function readPerson(line, sessions) {
  const { user_id: id, name, sessions: counted, attended, late, absent, excused = 0 } = line;
  return {
    id,
    title: name || id,
    sessions: counted,
    attended,
    late,
    excused,
    missed: absent + excused,
    share: line.attendance_percentage,
    below: line.below_minimum === true,
    marks: marksOf(line.attendances, sessions),
  };
}

function marksOf(attendances, sessions) {
  const bySession = new Map(attendances.map((each) => [each.session_id, each]));
  return sessions.map(({ id }) => markOf(bySession.get(id)));
}

/** Those whom the controls ask for, in their order; who has no value comes last. */
export function chosen(people, { filter, find, sort, down }) {
  const sought = fold(find.trim());
  const key = KEYS[sort];
  return people
    .filter((person) => FILTERS[filter](person))
    .filter(({ title, id }) => [title, id].some((name) => fold(name).includes(sought)))
    .sort((a, b) => compare(key(a), key(b), down) || names.compare(a.title, b.title));
}
