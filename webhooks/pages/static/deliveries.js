/** The console's list of deliveries: which receivers were told what is final, and all of it again. */

import { counted, fill, second, words } from "./words.js";

const PAGE = 50;
const say = words.ops.deliveries;

const part = (id) => document.getElementById(id);

let api = null; // asks the HTTP API; set by `start`
let trouble = null; // shows what is wrong
let next = null; // where the next page begins
let asked = ""; // the status of what is shown
let lists = 0; // an answer to an earlier list is left

/** Have the list work: `ask` is how to ask the API, `tell` how to show what is wrong. */
export function start(ask, tell) {
  api = ask;
  trouble = tell;
  part("deliveries-status").addEventListener("change", list);
  part("deliveries-more").addEventListener("click", () => page());
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

async function list() {
  asked = part("deliveries-status").value;
  lists += 1;
  next = null;
  part("deliveries-rows").replaceChildren();
  await page();
}

/** An answer that was overtaken, by another status or by the same press twice, is left. */
async function page() {
  const [status, after, nth] = [asked, next, lists];
  const filters = { ...(status && { status }), ...(after && { after }) };
  const query = new URLSearchParams({ limit: PAGE, ...filters });
  try {
    const told = await api(`/api/deliveries?${query}`);
    if (nth !== lists || after !== next) return;
    next = told.next;
    part("deliveries-rows").append(...told.deliveries.map(row));
    part("deliveries-more").hidden = !next;
    const shown = part("deliveries-rows").childElementCount;
    part("deliveries-found").textContent = shown ? counted(say.shown, shown) : say.none;
    trouble("deliveries", null);
  } catch (error) {
    trouble("deliveries", error);
  }
}

function row(delivery) {
  const line = document.createElement("tr");
  line.dataset.status = delivery.status;
  const { session_id: session, version } = delivery;
  const at = (instant) => (instant ? second(Date.parse(instant)) : null);
  const told = [at(delivery.made_at), session, version, delivery.url, say.status[delivery.status]];
  for (const text of [...told, delivery.error, at(delivery.next_attempt_at)]) {
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
    const told = await api(`/api/deliveries/${path}`, {});
    await list();
    part("deliveries-found").textContent = counted(say.done, told.count ?? 1);
  } catch (error) {
    trouble("deliveries", error);
  }
  button.disabled = false;
}
