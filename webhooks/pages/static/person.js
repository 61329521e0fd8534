/** The people of a roster as the page shows them: instants as milliseconds, lateness as lengths. */

import { language } from "./words.js";

const names = new Intl.Collator(language, { numeric: true });
const STATUSES = ["present", "left", "not_joined", "completed", "absent"];

const FILTERS = {
  all: () => true,
  late: (one) => one.late !== null,
  early: (one) => one.early !== null,
  below: (one) => one.below,
};

const KEYS = {
  person: (one) => one.title,
  status: (one) => STATUSES.indexOf(one.status) + (one.below ? 0.5 : 0),
  joined: (one) => one.joined,
  left: (one) => one.left,
  minutes: (one) => one.length,
  percentage: (one) => one.percentage,
  visits: (one) => one.visits.length,
};

export function people({ session, attendances }) {
  const start = Date.parse(session.scheduled_at);
  const end = Date.parse(session.ends_at);
  return attendances.map((told) => person(told, start, end));
}

function person(told, start, end) {
  const joined = instant(told.first_joined_at);
  const left = told.is_currently_in_meeting ? null : instant(told.last_left_at);
  return {
    id: told.user_id,
    title: told.name || told.user_id,
    status: told.attendance_status,
    inside: told.is_currently_in_meeting,
    joined,
    left,
    late: told.is_late ? joined - start : null,
    early: told.left_early ? end - left : null,
    length: told.join_count ? told.duration_seconds * 1000 : null,
    percentage: told.attendance_percentage,
    below: told.attendance_status === "completed" && told.meets_minimum === false,
    unconfirmed: told.join_count > 0 && told.cycles.every((cycle) => cycle.source === "client"),
    failed: told.cycles.filter((cycle) => cycle.ended_by === "aborted").length,
    visits: told.cycles.map((cycle) => visit(cycle, told)),
  };
}

function visit(cycle, { user_id }) {
  return {
    ...cycle,
    key: `${user_id}\n${cycle.participant_sid ?? ""}\n${cycle.joined_at}`,
    from: instant(cycle.joined_at),
    to: instant(cycle.left_at),
  };
}

function instant(text) {
  return text ? Date.parse(text) : null;
}

/** Those whom the controls ask for, in their order; who has no value comes last. */
export function chosen(everybody, { status, find, sort, down }) {
  const sought = fold(find.trim());
  const matching = everybody.filter(
    (one) =>
      answers(one, status) &&
      (!sought || fold(one.title).includes(sought) || fold(one.id).includes(sought)),
  );
  const key = KEYS[sort];
  return matching.sort(
    (a, b) => compare(key(a), key(b), down) || names.compare(a.title, b.title) || compare(a.id, b.id),
  );
}

/** Whether a filter shows this person: by a status, or by one of FILTERS. */
export function answers(one, filter) {
  return FILTERS[filter]?.(one) ?? one.status === filter;
}

function compare(a, b, down = false) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? names.compare(a, b) : a - b;
  return down ? -order : order;
}

/** Without case, accents and Arabic vowel signs: what people type is found. */
function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase(language);
}
