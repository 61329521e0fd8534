/** A person's classes in a table, the last first: what the picture shows, in words. */

import { arrange, make, put, write } from "../dom.js";
import { percent, span, start, time, words } from "../words.js";
import { classPage } from "../term/links.js";
import { showMark, wordOf } from "../term/marks.js";

const body = document.getElementById("lines");
const lines = new Map(); // by session

export function showLines(classes) {
  arrange(body, lines, classes.toReversed(), ({ id }) => id, newLine, fillLine);
}

function newLine() {
  const line = make("tr");
  const name = make("th");
  name.scope = "row";
  const link = make("a");
  link.append(make("bdi"));
  name.append(link);
  const cells = Array.from({ length: 5 }, () => make("td"));
  cells[1].className = "what";
  const shape = make("i");
  shape.ariaHidden = "true";
  cells[1].append(shape, make("span"));
  line.append(name, ...cells);
  return line;
}

function fillLine(line, { id, title, from, mark, host, joined, length, share }) {
  const [name, when, what, joinedAt, minutes, shown] = line.children;
  write(name.firstChild.firstChild, title);
  put(name.firstChild, "href", new URL(classPage(id), location.href).href);
  write(when, from === null ? "–" : start(from));
  showMark(what.firstChild, mark);
  write(what.lastChild, host ? words.roster.mark.host : wordOf(mark));
  write(joinedAt, joined === null ? "–" : time(joined));
  write(minutes, length === null ? "–" : span(length));
  write(shown, share === null ? "–" : percent(share));
}
