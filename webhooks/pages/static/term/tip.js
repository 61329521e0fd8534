/** What a cell under the pointer says in words; whoever listens hears them of the cell itself. */

import { make } from "../dom.js";
import { sayCell } from "./grid.js";

const tip = document.getElementById("tip");

export function followPointer(body) {
  body.addEventListener("pointerover", ({ target }) => {
    const cell = target.closest("td");
    const lines = cell && sayCell(cell);
    if (lines) show(cell, lines);
    else tip.hidden = true;
  });
  body.addEventListener("pointerleave", () => (tip.hidden = true));
  addEventListener("scroll", () => (tip.hidden = true), { capture: true, passive: true });
  addEventListener("keydown", ({ key }) => key === "Escape" && (tip.hidden = true));
}

function show(cell, lines) {
  tip.replaceChildren(...lines.map(line));
  tip.hidden = false;
  const { left, right, top, bottom } = cell.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const middle = (left + right) / 2 - width / 2;
  tip.style.left = `${Math.max(8, Math.min(middle, innerWidth - width - 8))}px`;
  tip.style.top = `${top - height - 8 > 8 ? top - height - 8 : bottom + 8}px`;
}

function line(text, nth) {
  const made = make(nth ? "span" : "bdi");
  made.textContent = text;
  return made;
}
