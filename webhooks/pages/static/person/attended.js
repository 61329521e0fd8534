/** A person's classes as their page has them, the first first: instants as milliseconds. */

import { markOf } from "../term/marks.js";

const OVER = ["attended", "late", "early", "below", "absent", "excused"];

/** Of the API's list, which has the last first. */
export function own(attendances) {
  return attendances.map(read).reverse();
}

function read(attendance) {
  const { session_id: id, session, attendance_percentage: share } = attendance;
  const began = session.scheduled_at ?? attendance.first_joined_at;
  const mark = markOf(attendance);
  return {
    id,
    title: session.title || id,
    from: began ? Date.parse(began) : null,
    mark,
    host: attendance.is_host,
    joined: attendance.first_joined_at ? Date.parse(attendance.first_joined_at) : null,
    length: attendance.join_count ? attendance.duration_seconds * 1000 : null,
    share: OVER.includes(mark) || mark === "present" ? share : null,
    isOver: OVER.includes(mark),
    minimum: session.minimum_percentage,
  };
}
