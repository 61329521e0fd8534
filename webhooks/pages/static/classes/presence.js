/**
 * Who is in a class of the list: asked for the classes that are in sight, one after another, those
 * that run again and again, those that are over once.
 */

import { write } from "../dom.js";
import { both, counted, words } from "../words.js";
import { status } from "../term/classes.js";

const AGAIN_MS = 20_000;
const PAUSE_MS = 1_000;
const SETTLES_MS = 30 * 60_000;
const ORDER = ["present", "left", "not_joined", "completed", "absent", "excused"];

const known = new WeakMap(); // by row: what is asked for, and when it was last
const inSight = new Set();
let asking = false;

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inSight.add(target);
    else inSight.delete(target);
  }
  look();
});

/** Keep this row up to date while it is in sight; `roster` asks for its attendance. */
export function watch(row, session, { roster }) {
  const before = known.get(row);
  if (!before) observer.observe(row);
  known.set(row, { askedAt: -Infinity, isDone: false, ...before, session, roster });
}

async function look() {
  if (asking) return;
  asking = true;
  for (let row = next(); row && !document.hidden; row = next()) await refresh(row);
  asking = false;
}

setInterval(() => document.hidden || look(), PAUSE_MS);

/** A row in sight that is due; rows that left the page are forgotten. */
function next() {
  for (const row of inSight) {
    if (!row.isConnected) inSight.delete(row);
    else if (isDue(known.get(row))) return row;
  }
  return null;
}

function isDue({ session, askedAt, isDone }) {
  const isUpcoming = status(session, Date.now()) === "upcoming";
  return !isUpcoming && !isDone && Date.now() - askedAt >= AGAIN_MS;
}

async function refresh(row) {
  const { session, roster } = known.get(row);
  // Until it has settled, somebody may be inside.
  const isOver = session.to !== null && Date.now() >= session.to + SETTLES_MS;
  known.set(row, { ...known.get(row), askedAt: Date.now() });
  const { body } = await roster(session);
  if (!body) return; // asked again like one that runs
  known.set(row, { ...known.get(row), isDone: isOver });
  write(row.querySelector(".presence"), sentence(body.summary));
}

function sentence(summary) {
  const counts = words.roster.counts;
  const there = ORDER.filter((word) => summary[word] > 0);
  return both(there.map((word) => counted(counts[word], summary[word])));
}
