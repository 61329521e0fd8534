/** The console's list of deliveries: which receivers were told what is final, and all of it again. */

import { counted, fill, second, words } from "../words.js";
import { paged } from "./paged.js";

const say = words.ops.deliveries;

const part = (id) => document.getElementById(id);

let api = null; // asks the HTTP API; set by `start`
let trouble = null; // shows what is wrong
let listed = null; // shows the list with these filters; set by `start`

/** Have the list work: `ask` is how to ask the API, `tell` how to show what is wrong. */
export function start(ask, tell) {
  api = ask;
  trouble = tell;
  listed = paged({
    path: "/api/deliveries",
    name: "deliveries",
    ask,
    parts: {
      rows: part("deliveries-rows"),
      more: part("deliveries-more"),
      found: part("deliveries-found"),
    },
    row,
    say,
    failed: (error) => tell("deliveries", error),
  });
  part("deliveries-status").addEventListener("change", list);
  part("deliveries-all").addEventListener("click", () => press("send", part("deliveries-all")));
}

/** Show the section where receivers are configured, and what is in it when it comes to be seen. */
export function show(check) {
  if (!check) return; // what could not be asked does not vanish
  const section = part("deliveries");
  const was = section.hidden;
  section.hidden = check.finding === "deliveries.none";
  if (was && !section.hidden) list();
}

function list() {
  const status = part("deliveries-status").value;
  return listed(status && { status });
}

function row(delivery) {
  const line = document.createElement("tr");
  line.dataset.status = delivery.status;
  const { session_id: session, version } = delivery;
  const at = (instant) => (instant ? second(Date.parse(instant)) : null);
  const cells = [at(delivery.made_at), session, version, delivery.url, say.status[delivery.status]];
  for (const text of [...cells, delivery.error, at(delivery.next_attempt_at)]) {
    const cell = document.createElement("td");
    const shown = document.createElement("bdi");
    shown.textContent = text ?? "–";
    cell.append(shown);
    line.append(cell);
  }
  const cell = document.createElement("td");
  if (delivery.status !== "dropped") cell.append(again(delivery));
  line.append(cell);
  return line;
}

function again(delivery) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = say.again;
  button.setAttribute("aria-label", fill(say.again_of, { session: delivery.session_id }));
  const path = `-/send?${new URLSearchParams({ delivery_id: delivery.delivery_id })}`;
  button.addEventListener("click", () => press(path, button));
  return button;
}

/** Have one sent again, or all that failed; then show what is left. */
async function press(path, button) {
  button.disabled = true;
  try {
    const answer = await api(`/api/deliveries/${path}`, {});
    await list();
    part("deliveries-found").textContent = counted(say.done, answer.count ?? 1);
  } catch (error) {
    trouble("deliveries", error);
  }
  button.disabled = false;
}
