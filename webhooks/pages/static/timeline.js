/**
 * The timeline: a bar a visit, placed by CSS from its instants, so that the passing of time
 * changes one number of the table and not five hundred rows.
 */

import { make, place, put } from "./dom.js";
import { byPhone } from "./person.js";
import { fill, second, span, time, words } from "./words.js";

const MINUTE = 60_000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((n) => n * MINUTE);
const TICKS = 6;
const SHORTEST = 5 * MINUTE;

const tip = document.getElementById("tip");
const body = document.getElementById("people");
const said = new WeakMap(); // what each bar says

/** From when to when the timeline reaches, in steps that only change now and then. */
export function range(everybody, session, now) {
  const visits = everybody.flatMap((one) => one.visits);
  const starts = [Date.parse(session.scheduled_at), ...visits.map((one) => one.from)].filter(Boolean);
  const ends = [Date.parse(session.ends_at), ...visits.map((one) => one.to ?? now)].filter(Boolean);
  const from = starts.reduce((a, b) => Math.min(a, b), now);
  const to = Math.max(from + SHORTEST, ends.reduce((a, b) => Math.max(a, b), from));
  const step = STEPS.find((one) => (to - from) / one <= TICKS) ?? nextDays(to - from);
  const zone = new Date(from).getTimezoneOffset() * MINUTE;
  const round = (at, way) => way((at - zone) / step) * step + zone;
  const window = session.scheduled_at
    ? [Date.parse(session.scheduled_at), Date.parse(session.ends_at)]
    : [from, from];
  return { from: round(from, Math.floor), to: round(to, Math.ceil), step, window };
}

function nextDays(length) {
  const day = STEPS.at(-1);
  return Math.ceil(length / TICKS / day) * day;
}

/** The range, the scheduled window and now, as numbers that the table's CSS places things by. */
export function showAxis(table, shown, now) {
  const seconds = (at) => ((at - shown.from) / 1000).toFixed(1);
  place(table, "--span", seconds(shown.to));
  place(table, "--step", (shown.step / 1000).toFixed(1));
  place(table, "--now", seconds(Math.min(Math.max(now, shown.from), shown.to)));
  place(table, "--window-from", seconds(shown.window[0]));
  place(table, "--window-to", seconds(shown.window[1]));
  table.classList.toggle("past", now > shown.to);
  const axis = document.getElementById("axis");
  const key = `${shown.from} ${shown.to}`;
  if (axis.dataset.key === key) return;
  axis.dataset.key = key;
  axis.replaceChildren(...ticks(shown, seconds));
}

function ticks(shown, seconds) {
  const made = [];
  for (let at = shown.from; at < shown.to; at += shown.step) {
    const tick = make("span");
    tick.textContent = time(at);
    place(tick, "--from", seconds(at));
    made.push(tick);
  }
  return made;
}

/** One person's visits on their track; bars are kept, so a focused one stays focused. */
export function showBars(track, person, shown) {
  while (track.children.length > person.visits.length) track.lastChild.remove();
  person.visits.forEach((visit, nth) => {
    const bar = track.children[nth] ?? track.appendChild(newBar());
    showBar(bar, visit, person, shown);
  });
}

function newBar() {
  const bar = make("button");
  bar.type = "button";
  bar.tabIndex = -1;
  return bar;
}

function showBar(bar, visit, person, shown) {
  const seconds = (at) => ((at - shown.from) / 1000).toFixed(1);
  place(bar, "--from", seconds(visit.from));
  place(bar, "--to", visit.to === null ? "var(--now)" : seconds(visit.to));
  const kind = ["bar"];
  if (visit.to === null) kind.push("open");
  if (visit.estimated) kind.push("estimated");
  if (visit.source === "client") kind.push("client");
  put(bar, "className", kind.join(" "));
  const worded = { ...visit, title: person.title };
  const wording = JSON.stringify(worded); // words are dearer than to see that they would be the same
  if (said.get(bar)?.wording === wording) return;
  bar.ariaLabel = [`${person.title}: ${describe(visit).sentence}`, ...reasons(visit)].join(". ");
  said.set(bar, { ...worded, wording });
  if (tip.dataset.for === visit.key) showTip(bar);
}

/** When and how long, in words. */
export function describe(visit) {
  const start = second(visit.from);
  if (visit.to === null) return { sentence: fill(words.timeline.since, { start }), length: "–" };
  const length = span(visit.to - visit.from);
  return { sentence: fill(words.timeline.span, { start, end: second(visit.to), length }), length };
}

/** Why the visit ended, as precisely as anybody said. */
export function why({ ended_by, disconnect_reason, estimated }) {
  if (!ended_by) return words.ended_by.open;
  const reason = ended_by === "left" && words.reason[disconnect_reason];
  const because = reason || words.ended_by[ended_by] || ended_by;
  return estimated ? `${because} (${words.roster.estimated})` : because;
}

function reasons(visit) {
  const phone = byPhone(visit) ? [words.roster.mark.phone] : [];
  return visit.ended_by ? [...phone, why(visit)] : phone;
}

function showTip(bar) {
  const visit = said.get(bar);
  if (!visit) return;
  const sentences = [visit.title, describe(visit).sentence, ...reasons(visit)];
  const lines = sentences.map((text, nth) => {
    const line = make(nth ? "span" : "bdi");
    line.textContent = text;
    return line;
  });
  tip.replaceChildren(...lines);
  tip.dataset.for = visit.key;
  tip.hidden = false;
  const { left, right, top, bottom } = bar.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const middle = (Math.max(left, 0) + Math.min(right, innerWidth)) / 2 - width / 2;
  const above = top - height - 8;
  tip.style.left = `${Math.max(8, Math.min(middle, innerWidth - width - 8))}px`;
  tip.style.top = `${above > 8 ? above : bottom + 8}px`;
}

function hideTip() {
  tip.hidden = true;
  tip.dataset.for = "";
}

/** One stop for Tab in the whole timeline; arrows go on from there. */
export function keepStop() {
  if (body.querySelector('.bar[tabindex="0"]')) return;
  const first = body.querySelector(".bar");
  if (first) first.tabIndex = 0;
}

function move(event) {
  const bar = event.target.closest(".bar");
  const to = bar && neighbour(bar, event.key);
  if (!to) return;
  event.preventDefault();
  to.focus();
}

function neighbour(bar, key) {
  const forward = getComputedStyle(bar).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  if (key === "ArrowLeft" || key === "ArrowRight") {
    return key === forward ? bar.nextElementSibling : bar.previousElementSibling;
  }
  const tracks = [...body.querySelectorAll(".track:not(:empty)")];
  const here = tracks.indexOf(bar.parentElement);
  const nth = [...bar.parentElement.children].indexOf(bar);
  const there = {
    ArrowDown: tracks[here + 1],
    ArrowUp: tracks[here - 1],
    Home: tracks[0],
    End: tracks.at(-1),
  }[key];
  return there && (there.children[nth] ?? there.lastElementChild);
}

body.addEventListener("keydown", move);
body.addEventListener("focusin", (event) => {
  const bar = event.target.closest(".bar");
  if (!bar) return;
  for (const one of body.querySelectorAll('.bar[tabindex="0"]')) one.tabIndex = -1;
  bar.tabIndex = 0;
  showTip(bar);
});
body.addEventListener("focusout", hideTip);
body.addEventListener("pointerover", (event) => {
  const bar = event.target.closest(".bar");
  if (bar) showTip(bar);
});
body.addEventListener("pointerout", (event) => {
  if (event.target.closest(".bar") && event.relatedTarget !== tip) hideTip();
});
tip.addEventListener("pointerleave", hideTip);
addEventListener("scroll", () => tip.hidden || hideTip(), { capture: true, passive: true });
addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
