/** The people of a roster as the page shows them: instants as milliseconds, lateness as lengths. */

import { compare, fold, names } from "./words.js";

const STATUSES = ["present", "left", "not_joined", "completed", "absent", "excused"];

const MUCH = 1 / 5; // of somebody's time: when LiveKit knows nothing of so much, the page says so
const MINUTE_SECONDS = 60;
const HELD_APART = 5; // percent

const FILTERS = {
  all: () => true,
  late: (person) => person.late !== null,
  early: (person) => person.early !== null,
  below: (person) => person.below,
  guest: (person) => person.guest,
  unconfirmed: (person) => person.unconfirmed,
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

export function people({ session, attendances, uncounted }) {
  const aborted = uncounted.filter(({ reason }) => reason === "aborted");
  const failed = grouped(aborted, ({ user_id }) => user_id);
  const known = {
    start: Date.parse(session.scheduled_at),
    end: Date.parse(session.ends_at),
    expects: attendances.some(({ expected }) => expected), // else everybody would be a guest
  };
  return attendances.map((attendance) => ({
    ...person(attendance, known),
    ...trust(attendance, failed.get(attendance.user_id) ?? []),
  }));
}

function person(attendance, { start, end, expects }) {
  const { name, participant_name: alias, user_id: id } = attendance;
  const joined = instant(attendance.first_joined_at);
  const left = attendance.is_currently_in_meeting ? null : instant(attendance.last_left_at);
  const visits = attendance.cycles.map((cycle) => visit(cycle, attendance));
  const inClass = visits.filter(({ from, to }) => from < end && (from >= start || to === null || to > start));
  return {
    id,
    title: name || id,
    alias: alias && alias !== name ? alias : "",
    host: attendance.is_host,
    guest: expects && !attendance.expected && !attendance.is_host,
    phone: attendance.cycles.some(byPhone),
    corrected: attendance.corrected === true,
    status: attendance.attendance_status,
    factsStatus: attendance.uncorrected_status,
    factsLength: attendance.uncorrected_seconds * 1000,
    inside: attendance.is_currently_in_meeting,
    joined,
    left,
    late: attendance.is_late ? Math.min(...inClass.map(({ from }) => from)) - start : null,
    early: attendance.left_early ? end - Math.max(...inClass.map(({ to }) => to)) : null,
    length: attendance.join_count ? attendance.duration_seconds * 1000 : null,
    percentage: attendance.attendance_percentage,
    held: heldNote(attendance),
    below: attendance.attendance_status === "completed" && attendance.meets_minimum === false,
    visits,
  };
}

/** The share of the time in which the class was held, where it says something else. */
function heldNote({ held_percentage: held, attendance_percentage: share, join_count: visits }) {
  const isKnown = held !== null && visits > 0;
  return isKnown && (share === null || Math.abs(held - share) >= HELD_APART) ? held : null;
}

/** What LiveKit confirmed of it, and how many connections never came up. */
function trust({ confirmed, confirmed_seconds, duration_seconds, cycles }, failed) {
  const missing = duration_seconds - confirmed_seconds;
  const partly = confirmed && missing >= MINUTE_SECONDS && missing >= duration_seconds * MUCH;
  return {
    unconfirmed: confirmed === false,
    confirmed: partly ? confirmed_seconds * 1000 : null,
    failed: failed.length + cycles.filter((cycle) => cycle.ended_by === "aborted").length,
  };
}

/** Lists by what `keyOf` says of each; `Map.groupBy` is too new for some browsers. */
export function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}

export function byPhone({ kind }) {
  return kind === "SIP";
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
    (person) =>
      answers(person, status) &&
      [person.title, person.alias, person.id].some((name) => fold(name).includes(sought)),
  );
  const key = KEYS[sort];
  return matching.sort(
    (a, b) => compare(key(a), key(b), down) || names.compare(a.title, b.title) || compare(a.id, b.id),
  );
}

/** Whether a filter shows this person: by one of FILTERS, or by a status, in which no host counts. */
export function answers(person, filter) {
  return FILTERS[filter]?.(person) ?? (person.status === filter && !person.host);
}
