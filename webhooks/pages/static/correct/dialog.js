/** The dialog in which a teacher corrects one person's attendance, and undoes corrections. */

import { sessionPath } from "../address.js";
import { make, put, write } from "../dom.js";
import { fill, isolate, second, span, start, words } from "../words.js";

const say = words.correcting;
const part = (id) => document.getElementById(id);
const dialog = part("correcting");
const form = part("correction");
const fields = form.elements;

let person = null; // whose attendance is corrected
let shown = null; // the roster that they are on
let ask = null; // asks the API; rejects with a sentence
let acting = false; // one press is one correction
let changed = null; // called once something was corrected or undone

form.addEventListener("change", showDetails);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  act(() => ask("", { method: "POST", body: JSON.stringify(correction()) }));
});
part("correcting-close").addEventListener("click", () => dialog.close());

/** Open it for one of the people of a roster. `token` opens the roster; `after` is called then. */
export function correct(whom, { roster, everybody, token, after }) {
  [person, shown, changed] = [whom, roster, after];
  ask = (path, request) => asked(roster.session.session_id, token, path, request);
  form.reset();
  write(part("correcting-title"), fill(say.title, { name: isolate(whom.title) }));
  write(part("correction-trouble"), "");
  listCorrections(everybody);
  offerKinds(everybody);
  showDetails();
  dialog.showModal();
}

function listCorrections(everybody) {
  const titles = new Map(everybody.map(({ id, title }) => [id, title]));
  const theirs = shown.corrections.filter(
    ({ user_id: about, as }) => about === person.id || as === person.id,
  );
  put(part("corrected"), "hidden", theirs.length === 0);
  part("corrections").replaceChildren(...theirs.map((each) => line(each, titles)));
}

function line(each, titles) {
  const name = (id) => isolate(titles.get(id) ?? id ?? "");
  const made = make("li");
  const what = make("p");
  const [from, to] = [each.from, each.to].map((at) => at && second(Date.parse(at)));
  what.textContent = fill(say.said[each.kind], { from, to, user: name(each.user_id), as: name(each.as) });
  const reason = make("bdi");
  reason.textContent = each.reason ?? "";
  const by = make("p", "small");
  const when = start(Date.parse(each.made_at));
  by.textContent = fill(say.by, { author: isolate(each.author), when });
  const undo = make("button");
  undo.type = "button";
  undo.textContent = say.undo;
  const elsewhere = each.session_id !== shown.session.session_id; // undone where it was made
  put(undo, "hidden", elsewhere);
  undo.addEventListener("click", () => act(() => ask(`/${each.correction_id}`, { method: "DELETE" })));
  made.append(what, reason, by, undo);
  return made;
}

/** Only what can be said of this person, with what it can be said of; the likely is chosen. */
function offerKinds(everybody) {
  const others = everybody.filter(({ id }) => id !== person.id);
  const visits = person.visits.filter(({ source }) => source !== "operator");
  const possible = {
    excused: ["absent", "not_joined"].includes(person.status) && !person.host, // also ahead of the class
    not_a_visit: visits.length > 0,
    same_person: others.length > 0,
  };
  for (const radio of fields.kind) put(radio.parentElement, "hidden", possible[radio.value] === false);
  fields.kind.value = likely(possible);
  fields.as.replaceChildren(...others.map(({ id, title }) => new Option(title, id)));
  fields.visit.replaceChildren(...visits.map((visit) => new Option(describe(visit), visit.visit)));
  const { scheduled_at: begins, ends_at: ends } = shown.session;
  const now = new Date().toISOString();
  fields.from.value = local(begins ?? now);
  fields.to.value = local(ends && ends < now ? ends : now);
}

function likely({ excused, same_person: some }) {
  if (excused) return "excused";
  return some && (person.guest || person.phone) ? "same_person" : "present";
}

function describe({ from, to }) {
  if (to === null) return fill(words.timeline.since, { start: second(from) });
  return fill(words.timeline.span, { start: second(from), end: second(to), length: span(to - from) });
}

/** An instant as the field for a local time has it. */
function local(text) {
  const at = Date.parse(text);
  const zone = new Date(at).getTimezoneOffset() * 60_000;
  return new Date(at - zone).toISOString().slice(0, 19);
}

function showDetails() {
  for (const details of form.querySelectorAll("[data-kind]")) {
    put(details, "hidden", details.dataset.kind !== fields.kind.value);
  }
}

function correction() {
  const kind = fields.kind.value;
  const more = {
    present: () => ({ from: instant(fields.from.value), to: instant(fields.to.value) }),
    not_a_visit: () => ({ participant_sid: fields.visit.value }),
    same_person: () => ({ as: fields.as.value, always: fields.always.checked }),
  };
  return { user_id: person.id, kind, reason: fields.reason.value.trim(), ...more[kind]?.() };
}

function instant(text) {
  return text ? new Date(text).toISOString() : null;
}

/** Ask the API; the dialog closes once it did what was asked, else it says why not. */
async function act(request) {
  if (acting) return;
  const whom = person;
  acting = true;
  write(part("correction-trouble"), "");
  try {
    await request();
    if (whom === person) dialog.close();
    changed();
  } catch (error) {
    if (whom === person) write(part("correction-trouble"), error.message);
  } finally {
    acting = false;
  }
}

async function asked(session, token, path, request) {
  const url = sessionPath("/api/sessions/", session, { after: `/corrections${path}` });
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const answer = await fetch(url, { ...request, headers }).catch(() => null);
  if (!answer) throw new Error(words.trouble.never);
  if (answer.status === 403) throw new Error(say.forbidden);
  if (!answer.ok) throw new Error((await answer.json()).detail);
}
