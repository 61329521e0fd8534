/**
 * The picture of a term: a column for each class with its share, its mark and its day, and over
 * them the average of the last few classes.
 */

import { arrange, make, place, put, write } from "../dom.js";
import { fill, isolate, language, percent, start, words } from "../words.js";
import { classPage } from "../term/links.js";
import { showMark, wordOf } from "../term/marks.js";

export const AVERAGED = 4; // classes

const list = document.getElementById("strip");
const line = document.querySelector("#average polyline");
const dayFormat = new Intl.DateTimeFormat(language, { day: "numeric" });
const monthFormat = new Intl.DateTimeFormat(language, { month: "short" });
const columns = new Map(); // by session

export function showStrip(classes) {
  let month = "";
  arrange(list, columns, classes, ({ id }) => id, newColumn, (column, one) => {
    const own = one.from === null ? "" : monthFormat.format(one.from);
    fillColumn(column, one, own === month ? "" : own);
    month = own;
  });
  if (!list.querySelector('a[tabindex="0"]') && list.firstChild) list.firstChild.firstChild.tabIndex = 0;
  const minimum = classes.findLast((one) => one.minimum !== null)?.minimum ?? null;
  put(list.parentElement, "className", minimum === null ? "picture" : "picture with-minimum");
  place(list.parentElement, "--count", String(classes.length));
  place(list.parentElement, "--minimum", String(minimum ?? 0));
  showAverage(classes);
}

function newColumn() {
  const column = make("li");
  const link = make("a");
  link.tabIndex = -1;
  const [spoken, bar, mark, date] = [make("span", "hidden"), make("i"), make("i"), make("span", "date")];
  for (const shown of [bar, mark, date]) shown.ariaHidden = "true";
  const box = make("span", "share");
  box.ariaHidden = "true";
  box.append(bar);
  date.append(make("b"), make("span"));
  link.append(spoken, box, mark, date);
  column.append(link);
  return column;
}

function fillColumn(column, one, month) {
  const link = column.firstChild;
  const [spoken, box, mark, date] = link.children;
  const said = sentence(one);
  put(link, "href", new URL(classPage(one.id), location.href).href);
  put(link, "title", said);
  write(spoken, said);
  place(box.firstChild, "--share", String(one.share ?? 0));
  put(box.firstChild, "className", `bar-of ${one.mark}`);
  showMark(mark, one.mark);
  write(date.firstChild, one.from === null ? "" : dayFormat.format(one.from));
  write(date.lastChild, month);
}

/** When, what and how much, in words. */
function sentence({ title, from, mark, share, host }) {
  const when = from === null ? isolate(title) : `${isolate(title)}, ${start(from)}`;
  const what = host ? words.roster.mark.host : wordOf(mark);
  return share === null ? `${when}: ${what}` : fill(words.person.in_class, { when, what, share: percent(share) });
}

/** A point at each class that is over: the mean of the shares of the last few. */
function showAverage(classes) {
  const shares = [];
  const points = [];
  classes.forEach(({ share, isOver, mark }, nth) => {
    if (!isOver || share === null || mark === "excused") return;
    shares.push(share);
    const last = shares.slice(-AVERAGED);
    const mean = last.reduce((sum, each) => sum + each, 0) / last.length;
    points.push(`${((nth + 0.5) / classes.length).toFixed(4)},${(100 - mean).toFixed(1)}`);
  });
  line.setAttribute("points", points.length > 1 ? points.join(" ") : "");
}

/** One stop for Tab in the whole strip; arrows go on from there. */
list.addEventListener("keydown", (event) => {
  const here = event.target.closest("li");
  const next = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!here || !(next || event.key === "Home" || event.key === "End")) return;
  const forward = getComputedStyle(list).direction === "rtl" ? -next : next;
  const there = next
    ? forward > 0 ? here.nextElementSibling : here.previousElementSibling
    : event.key === "Home" ? list.firstChild : list.lastChild;
  event.preventDefault();
  there?.firstChild.focus();
});
list.addEventListener("focusin", ({ target }) => {
  for (const before of list.querySelectorAll('a[tabindex="0"]')) before.tabIndex = -1;
  target.closest("a").tabIndex = 0;
});
