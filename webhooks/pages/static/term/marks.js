/**
 * The mark of a person in a class: a colour, a shape and a word. A strip, a grid and their legends
 * show the same ones.
 */

import { make, put, write } from "../dom.js";
import { words } from "../words.js";

export const MARKS = ["attended", "late", "early", "below", "absent", "excused", "present", "left", "waiting", "none"];

/** Of what the API says of somebody in a class; null when it says nothing. */
export function markOf(attendance) {
  if (!attendance) return "none";
  const status = attendance.attendance_status;
  if (status === "not_joined") return "waiting";
  if (status !== "completed") return MARKS.includes(status) ? status : "none";
  if (attendance.is_late) return "late";
  if (attendance.meets_minimum === false) return "below";
  return attendance.left_early ? "early" : "attended";
}

export const wordOf = (mark) => words.marks[mark];

/** Give an element a mark; its text is the word, which the looks hide behind the shape. */
export function showMark(element, mark) {
  put(element, "className", `mark-of ${mark}`);
  write(element, wordOf(mark));
}

/** The marks that a page shows, each with its word. */
export function showLegend(list, shown) {
  const wanted = MARKS.filter((mark) => shown.has(mark));
  if (list.dataset.shown === wanted.join()) return;
  list.dataset.shown = wanted.join();
  list.replaceChildren(...wanted.map(entry));
}

function entry(mark) {
  const item = make("li");
  const shape = make("i", `mark-of ${mark}`);
  item.append(shape, wordOf(mark));
  return item;
}
