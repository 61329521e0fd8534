/** What stands around a class: its course, the class before and the one after. */

import { put, write } from "../dom.js";
import { fill, isolate, start, words } from "../words.js";
import { askAll, at } from "./api.js";
import { byTime, classes } from "./classes.js";
import { classesPage, classPage, coursePage } from "./links.js";

const DAY_MS = 86_400_000;
const REACHES = [8 * DAY_MS, 120 * DAY_MS]; // most courses have a class a week: little is asked for

const part = (id) => document.getElementById(id);

/** Show them for the session of a roster; where nothing is known of them, there are no links. */
export async function showAround({ session_id: id, room_name: room, scheduled_at }, held) {
  if (!room) return;
  show("of-room", classesPage({ room }), fill(words.around.room, { name: isolate(room) }));
  put(part("around"), "hidden", false);
  if (!scheduled_at) return;
  const from = Date.parse(scheduled_at);
  const here = (await list({ room_name: room }, from, from + 1, held)).find((one) => one.id === id);
  if (!here) return;
  const { course } = here;
  if (course) show("of-course", coursePage(course), fill(words.around.course, { name: isolate(course) }));
  await showNeighbours(here, held);
}

async function showNeighbours(here, held) {
  const which = here.course ? { course_id: here.course } : { room_name: here.room };
  let [before, after] = [null, null];
  for (const reach of REACHES) {
    const near = await list(which, here.from - reach, here.from + reach, held);
    const nth = near.findIndex((one) => one.id === here.id);
    [before, after] = nth < 0 ? [null, null] : [near[nth - 1], near[nth + 1]];
    if (before && after) break;
  }
  if (before) show("previous", classPage(before.id), words.around.previous, before);
  if (after) show("next", classPage(after.id), words.around.next, after);
}

async function list(which, from, to, held) {
  const sessions = [];
  const span = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  const query = { ...which, ...span, limit: "1000" };
  await askAll(at("/api/sessions"), query, held, (body) => sessions.push(...body.sessions));
  return byTime(classes(sessions).sessions.filter((one) => one.from !== null));
}

function show(id, href, text, session = null) {
  const link = part(id);
  put(link, "href", new URL(href, location.href).href);
  write(link, text);
  if (session) link.title = `${session.title}\n${start(session.from)}`;
  put(link, "hidden", false);
}
