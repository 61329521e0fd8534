/** From every page to the others: each link keeps the page's language; the tab keeps the token. */

import { pathOf } from "../address.js";
import { root } from "../root.js";

const lang = document.documentElement.lang;

export function classPage(session) {
  return pathOf("/sessions/", session, { named: "session", query: { lang } });
}

/** `course` is where the reader comes from: the person's other courses are a choice there. */
export function personPage(user, course) {
  return pathOf("/people/", user, { named: "user_id", query: { ...(course && { course }), lang } });
}

export function coursePage(course) {
  return pathOf("/courses/", course, { named: "course_id", query: { lang } });
}

/** The list of classes, such as those of one course: `{ course: "quran-autumn" }`. */
export function classesPage(wanted = {}) {
  return `${root}/sessions?${new URLSearchParams({ ...wanted, lang })}`;
}
