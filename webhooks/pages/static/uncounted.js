/** The connections that do not count: a line for each person and reason, under the people. */

import { arrange, make, put, write } from "./dom.js";
import { grouped } from "./person.js";
import { counted, fill, isolate, names, number, time, words } from "./words.js";

const list = document.getElementById("uncounted");
const body = document.getElementById("uncounted-lines");
const lines = new Map(); // by person and reason

export function showUncounted({ uncounted }, everybody) {
  const titles = new Map(everybody.map(({ id, title }) => [id, title]));
  const title = ({ user_id, name }) => titles.get(user_id) ?? (name || user_id);
  const groups = grouped(uncounted, keyOf);
  const wanted = [...groups].map(([key, group]) => line(key, group, title(group.at(-1))));
  wanted.sort((a, b) => names.compare(a.title, b.title) || (a.key < b.key ? -1 : 1));
  put(list, "hidden", uncounted.length === 0);
  write(list.querySelector("summary"), counted(words.uncounted.count, uncounted.length));
  arrange(body, lines, wanted, ({ key }) => key, newLine, fillLine);
}

function keyOf({ user_id, reason, kind }) {
  return [user_id, reason, reason === "kind" ? kind : ""].join("\n");
}

function line(key, group, title) {
  const [{ reason, kind }] = group;
  const last = Math.max(...group.map(({ began_at }) => Date.parse(began_at)));
  return { key, title, why: why(reason, kind), count: group.length, last };
}

function why(reason, kind) {
  const sentence = words.uncounted.why[reason] ?? reason;
  return fill(sentence, { kind: words.uncounted.kind[kind] ?? isolate(kind ?? "–") });
}

function newLine() {
  const row = make("tr");
  const who = make("th");
  who.scope = "row";
  who.append(make("bdi"));
  row.append(who, make("td"), make("td"), make("td"));
  return row;
}

function fillLine(row, { title, why: reason, count, last }) {
  const [who, shownReason, shownCount, shownLast] = row.children;
  write(who.firstChild, title);
  write(shownReason, reason);
  write(shownCount, number(count));
  write(shownLast, time(last));
}
