/** Classes of the API's list as the page has them: instants as milliseconds, and what is sought. */

import { sessionPath } from "../address.js";
import { fold, names } from "../words.js";

/** The list, and the moment of the answer. */
export function classes(sessions) {
  return { sessions: sessions.map(read), asOf: Date.now() };
}

function read(session) {
  const { session_id: id, title, room_name: room, course_id: course, hosts } = session;
  return {
    id,
    title: title || id,
    room,
    course,
    hosts,
    labels: session.labels,
    from: session.scheduled_at ? Date.parse(session.scheduled_at) : null,
    to: session.ends_at ? Date.parse(session.ends_at) : null,
    expected: session.expected.length,
    path: sessionPath("/api/sessions/", id, { after: "/attendance" }),
  };
}

/** By the schedule at `now`; null for a session without one. */
export function status({ from, to }, now) {
  if (from === null) return null;
  if (now < from) return "upcoming";
  return now < to ? "running" : "over";
}

export function matching(sessions, { find, status: wanted, now }) {
  const sought = fold(find.trim());
  return sessions.filter(
    (session) =>
      (wanted === "all" || status(session, now) === wanted) &&
      words(session).some((text) => fold(text).includes(sought)),
  );
}

function words({ id, title, room, course, hosts, labels }) {
  return [id, title, room, course ?? "", ...hosts, ...labels];
}

/** By their start; those without a schedule at the end. */
export function byTime(sessions) {
  return [...sessions].sort(
    (a, b) => (a.from ?? Infinity) - (b.from ?? Infinity) || names.compare(a.title, b.title),
  );
}
