/**
 * <attendance-status session="98" token="…" lang="ar">: is this person counted as present?
 *
 * One module without dependencies; any page may embed it. It asks Rollcall once a minute, at once
 * when its page says that LiveKit connected (`joined`), and when the tab is looked at again. In
 * between the time ticks on from the last answer. Attributes, events and styling: docs/frontend.md.
 *
 * Two promises. A leave is never lost: it is owed from the moment that a join was sent, and it is
 * sent also after the element was removed. An answer counts only for the *subject* that it was
 * asked about, a session and a person: another subject forgets it, and ignores what is in flight.
 */

const POLL_MS = 60_000;
const SOONEST_MS = 10_000; // what the server's cache holds: asking sooner tells nothing new
const SLOWEST_MS = 300_000;
const TIMEOUT_MS = 10_000;
const LOOK_AGAIN_MS = [2_000, 10_000]; // after a join or a leave: LiveKit's webhook comes later
const FINAL = (code) => code >= 400 && code < 500 && ![401, 408, 429].includes(code);
const RIGHT_TO_LEFT = ["ar", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"];

const TEXTS = {
  en: {
    present: "In session",
    left: "Left",
    not_joined: "Not joined yet",
    completed: "Attended",
    absent: "Absent",
    excused: "Excused",
    asking: "Checking attendance…",
    unavailable: "Attendance is not available",
    stale: "not up to date since {time}",
  },
  ar: {
    present: "في الجلسة الآن",
    left: "غادر",
    not_joined: "لم ينضم بعد",
    completed: "حضر",
    absent: "غائب",
    excused: "غائب بعذر",
    asking: "جارٍ التحقق من الحضور…",
    unavailable: "الحضور غير متاح الآن",
    stale: "غير محدَّث منذ {time}",
  },
};

const CSS = `
  :host { display: inline-block; }
  :host([hidden]) { display: none; }
  .box { display: inline-flex; flex-wrap: wrap; align-items: baseline; gap: 0 var(--attendance-gap, .5em); }
  .dot {
    position: relative; align-self: center; flex: none;
    width: var(--attendance-dot-size, .7em); height: var(--attendance-dot-size, .7em);
    border-radius: 50%; box-sizing: border-box;
    border: .15em solid var(--attendance-color, var(--attendance-idle, #76808c));
  }
  .present .dot, .completed .dot { background: var(--attendance-color, var(--attendance-present, #1f9d5b)); border: 0; }
  .absent .dot { border-color: var(--attendance-color, var(--attendance-absent, #d1453b)); }
  .present .dot::after {
    content: ""; position: absolute; inset: 0; border-radius: 50%; background: inherit;
    animation: pulse 2s ease-out infinite;
  }
  .stale .dot::after { display: none; }
  .stale .dot { opacity: .6; }
  .state { font-weight: 600; }
  .duration { font-variant-numeric: tabular-nums; }
  .note { font-size: .85em; }
  .note:empty, .duration:empty { display: none; }
  @keyframes pulse { from { opacity: .6; transform: none; } to { opacity: 0; transform: scale(2.4); } }
  @media (prefers-reduced-motion: reduce) { .present .dot::after { animation: none; display: none; } }
  @media (forced-colors: active) { .dot { background: CanvasText; } }
`;

export class AttendanceStatus extends HTMLElement {
  static observedAttributes = ["api", "lang", "session", "token"];

  #parts = build(this.attachShadow({ mode: "open" }));
  #subject = { api: null, session: null, token: null };
  #stay = null; // from joined() to left(); keeps the subject that it began with
  #owed = []; // joins and leaves that the server has not answered yet
  #answer = null; // the last one, whatever went wrong since
  #answeredAt = 0; // on performance.now()'s clock, which nobody sets back
  #answeredOn = null; // on the wall's, to be shown
  #leftAt = -Infinity;
  #looks = []; // when to ask sooner than in a minute
  #shown = 0; // seconds: while present never fewer than a moment ago
  #failures = 0;
  #refused = false; // until the token is set again
  #wentAway = false; // pagehide ended a stay
  #askedAt = -Infinity;
  #asking = null;
  #line = Promise.resolve();
  #poll = 0;
  #tick = 0;
  #removal = 0;

  /** Rollcall's last answer, or null. */
  get status() {
    return this.#answer;
  }

  get session() {
    return this.getAttribute("session");
  }

  set session(session) {
    if (session == null) this.removeAttribute("session");
    else this.setAttribute("session", session);
  }

  /** The LiveKit token; set as a property it never shows in the document. */
  get token() {
    return this.#subject.token;
  }

  set token(token) {
    const before = this.#subject.token;
    token ||= null;
    if (token === before) return this.#retryToken();
    if (!before || !token || person(before) !== person(token)) return this.#turnTo({ token });
    this.#subject.token = token; // the same person: what is known, and their stay, go on
    this.#refused = false;
    this.#askAnew();
  }

  /** LiveKit connected. Resolves to the status; null when it will be sent later. */
  joined({ participantSid, name, sessionType, academyId } = {}) {
    const claims = { participant_sid: participantSid, session_type: sessionType };
    const body = { ...claims, name, academy_id: academyId };
    const known = this.#stay?.claims === JSON.stringify(body) && this.#answer?.is_currently_in_meeting;
    if (known) return Promise.resolve(this.#answer); // pages say it again after each navigation
    this.#leftAt = -Infinity;
    this.#stay ??= { subject: this.#subject, visit: null };
    return this.#tell(this.#oweJoin(body));
  }

  /** LiveKit disconnected and the page stays. A page that goes away says so by itself. */
  left() {
    const leave = this.#endStay();
    if (!leave) return Promise.resolve(this.#answer);
    if (this.#answer) this.#become(this.#asOf(this.#answer, this.#leftAt));
    return this.#tell(leave);
  }

  connectedCallback() {
    if (this.#removal) {
      clearTimeout(this.#removal); // it was moved
      this.#removal = 0;
      return;
    }
    for (const name of ["session", "token"]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name]; // set before this script had loaded
      delete this[name];
      this[name] = value;
    }
    this.#listen();
    this.#show();
    this.#soon();
  }

  /** A task later, since an element that is moved is disconnected and connected in one task. */
  disconnectedCallback() {
    this.#removal = setTimeout(() => {
      this.#removal = 0;
      clearTimeout(this.#tick);
      const leave = this.#endStay();
      if (leave) this.#tell(leave);
      else this.#stopIfIdle();
    });
  }

  attributeChangedCallback(name, before, value) {
    if (name === "token") this.token = value;
    else if (before === value) return;
    else if (name === "lang") this.#show();
    else this.#turnTo({ [name]: value });
  }

  #listen() {
    addEventListener("pagehide", this.#goAway);
    addEventListener("pageshow", this.#restore);
    addEventListener("online", this.#comeBack);
    document.addEventListener("visibilitychange", this.#comeBack);
  }

  /** A removed element stays awake until what it owes is sent. */
  #stopIfIdle() {
    if (this.isConnected || this.#removal || this.#sendable(this.#owed[0])) return;
    removeEventListener("pagehide", this.#goAway);
    removeEventListener("pageshow", this.#restore);
    removeEventListener("online", this.#comeBack);
    document.removeEventListener("visibilitychange", this.#comeBack);
    clearTimeout(this.#poll);
    clearTimeout(this.#tick);
    this.#dropLook();
  }

  /** Another session, server or person: nothing known is of use, and the stay there is over. */
  #turnTo(change) {
    const { session, token } = this.#subject;
    this.#subject = { ...this.#subject, ...change };
    const begun = this.#stay && session && token;
    if (this.#stay && !begun) this.#stay.subject = this.#subject; // joined() came before both
    const leave = begun && this.#endStay();
    this.#answer = null;
    this.#leftAt = -Infinity;
    this.#looks = [];
    this.#failures = this.#shown = 0;
    this.#refused = this.#wentAway = false;
    this.#show();
    this.#askAnew();
    if (leave) this.#tell(leave);
  }

  /** The token that was refused was set again: the page knows no other, so try it, but not at once. */
  #retryToken() {
    if (!this.#refused) return;
    this.#refused = false;
    this.#askIn(this.#backoff());
  }

  #askAnew() {
    this.#dropLook();
    this.#askedAt = -Infinity;
    this.#soon();
  }

  #comeBack = () => {
    this.#show();
    this.#soon();
  };

  /** The page goes: nothing can be awaited any more. */
  #goAway = () => {
    this.#wentAway ||= Boolean(this.#stay);
    this.#endStay();
    const leaves = this.#owed.filter((owed) => owed.what === "leave" && owed !== this.#asking?.owed);
    for (const leave of leaves.filter((owed) => owed.stay.visit && this.#sendable(owed))) {
      const { url, body } = this.#leave(leave.stay);
      navigator.sendBeacon(url, body) || fetch(url, { method: "POST", body, keepalive: true });
      this.#settle(leave, null);
    }
  };

  /** The page is back from the browser's cache of pages; whether the person is, its page knows. */
  #restore = ({ persisted }) => {
    if (!persisted) return;
    const wasJoined = this.#wentAway;
    this.#wentAway = false;
    this.#askAnew();
    if (wasJoined) this.#emit("restored", { session: this.session });
  };

  /** The join of this stay; what was not sent yet is replaced by what is newer. */
  #oweJoin(body) {
    const stay = this.#stay;
    const owed = this.#owed.find((one) => one.stay === stay && one.what === "join");
    if (owed && JSON.stringify(owed.body) === JSON.stringify(body)) return owed;
    if (owed && owed !== this.#asking?.owed) return Object.assign(owed, { body });
    const join = { what: "join", stay, body, sent: false };
    this.#owed.push(join);
    return join;
  }

  /** The leave that is owed now; null where no join was sent. */
  #endStay() {
    const stay = this.#stay;
    this.#stay = null;
    this.#owed = this.#owed.filter((owed) => owed.stay !== stay || owed.sent);
    if (!stay?.visit && !this.#owed.some((owed) => owed.stay === stay)) return null;
    const leave = { what: "leave", stay, sent: false };
    this.#owed.push(leave);
    this.#leftAt = performance.now();
    return leave;
  }

  /** Send it, after what was owed before it. Resolves to the status that it was answered with. */
  #tell(owed) {
    this.#dropLook(); // its answer would be of before
    owed.telling ??= this.#sendUpTo(owed).finally(() => (owed.telling = null));
    return owed.telling;
  }

  async #sendUpTo(owed) {
    let answer = null;
    for (let first; this.#owed.includes(owed) && first !== this.#owed[0]; ) {
      first = this.#owed[0];
      answer = await this.#inLine(first);
      if (first === owed) return answer;
    }
    return null; // taken back, or what was owed before it has to wait
  }

  #dropLook() {
    if (!this.#asking || this.#asking.owed) return;
    this.#asking.abort();
    this.#asking = null;
  }

  /** Ask once there can be news. */
  #soon() {
    if (this.#asking) return; // its end says when to ask next
    this.#askIn(this.#owed.length ? 0 : this.#askedAt + SOONEST_MS - performance.now());
  }

  #askIn(ms) {
    clearTimeout(this.#poll);
    if (!this.isConnected && !this.#sendable(this.#owed[0])) return;
    this.#poll = setTimeout(() => this.#inLine(this.#owed[0]), Math.max(0, ms));
  }

  /** One request at a time, so that a leave never overtakes its join. */
  #inLine(owed) {
    this.#line = this.#line.then(() => this.#ask(owed));
    return this.#line;
  }

  /** Send what is owed, else look. Resolves to the answer, or to null without one. */
  async #ask(owed) {
    clearTimeout(this.#poll);
    if (owed ? !this.#owed.includes(owed) || !this.#sendable(owed) : !this.#mayLook()) return null;
    const subject = owed ? owed.stay.subject : this.#subject;
    const asking = (this.#asking = new AbortController());
    Object.assign(asking, { owed, subject, token: subject.token, at: performance.now() });
    if (subject === this.#subject) this.#askedAt = asking.at;
    if (owed) owed.sent = true;
    const timeout = setTimeout(() => asking.abort(), TIMEOUT_MS);
    const heard = await this.#send(asking).catch(() => ({ code: 0 }));
    clearTimeout(timeout);
    const dropped = this.#asking !== asking;
    if (!dropped) this.#asking = null;
    const answer = dropped ? null : this.#hear(asking, heard);
    this.#stopIfIdle();
    return answer;
  }

  #sendable(owed) {
    if (!owed) return false;
    const { subject } = owed.stay;
    const refused = this.#refused && subject === this.#subject;
    return Boolean(subject.session && subject.token && !refused);
  }

  /** Coming back to a hidden tab asks. */
  #mayLook() {
    const { session, token } = this.#subject;
    return this.isConnected && session && token && !this.#refused && !document.hidden;
  }

  async #send({ owed, subject, token, signal }) {
    const request = { signal, cache: "no-store" };
    let url = this.#statusUrl(subject);
    if (owed?.what === "leave") {
      const leave = this.#leave(owed.stay); // as a beacon does: no preflight, and it outlives the page
      url = leave.url;
      Object.assign(request, { method: "POST", body: leave.body, keepalive: true });
    } else {
      request.headers = { Authorization: `Bearer ${token}` };
    }
    if (owed?.what === "join") {
      url = endpoint(subject, "meeting/join");
      request.method = "POST";
      request.headers["Content-Type"] = "application/json";
      request.body = JSON.stringify({ session_id: subject.session, ...owed.body });
    }
    const response = await fetch(url, request);
    const wait = Number(response.headers.get("Retry-After")) * 1000;
    return { code: response.status, wait, answer: response.ok ? await response.json() : null };
  }

  #hear(asked, { code, wait, answer }) {
    const { owed, subject } = asked;
    const current = subject === this.#subject;
    const over = answer || FINAL(code) || (code === 401 && !current);
    if (owed && over) this.#settle(owed, answer);
    if (code === 401 && current) return this.#needToken(asked);
    if (!over || (!answer && !owed)) return this.#fail(wait || 0, current);
    if (answer && current) return this.#learn(asked, answer);
    this.#askIn(0);
    return null;
  }

  /** It is owed no more; without a visit there is none to leave either. */
  #settle(owed, answer) {
    const { stay } = owed;
    if (owed.what === "join" && answer) {
      Object.assign(stay, { visit: answer.visit, claims: JSON.stringify(owed.body) });
    }
    const known = owed.what === "join" && stay.visit;
    this.#owed = this.#owed.filter((one) => one !== owed && (known || one.stay !== stay || one.what === "join"));
    if (owed.what === "join" && !known && this.#stay === stay) this.#stay = null;
    const now = performance.now();
    if (stay.subject === this.#subject) this.#looks = LOOK_AGAIN_MS.map((ms) => now + ms);
  }

  #needToken({ subject, token }) {
    if (token !== subject.token) {
      this.#askIn(0); // there is another already
      return null;
    }
    this.#refused = true;
    this.#failures += 1;
    this.#show();
    this.#emit("token-needed", { session: this.session });
    return null;
  }

  #fail(wait, current) {
    const backoff = this.#backoff();
    this.#failures += 1;
    if (current) this.#show();
    this.#askIn(Math.max(wait, backoff) * (1 + Math.random() * 0.25));
    return null;
  }

  #backoff() {
    return Math.min(SLOWEST_MS, SOONEST_MS * 2 ** this.#failures);
  }

  /** When to ask next. A class opens its page in the same second; it need not ask in step for ever. */
  #askNext() {
    const now = performance.now();
    this.#looks = this.#looks.filter((at) => at > now);
    const look = (this.#looks[0] ?? Infinity) - now;
    const minute = POLL_MS * (0.9 + Math.random() * 0.2);
    this.#askIn(this.#owed.length ? 0 : Math.min(look, minute));
  }

  #learn(asked, answer) {
    this.#failures = 0;
    this.#answeredAt = performance.now();
    this.#answeredOn = new Date();
    this.#askNext();
    this.#become(this.#asOf(answer, asked.at));
    this.#emit("updated", { status: this.#answer });
    return this.#answer;
  }

  /** Who left is shown as gone: until LiveKit's webhook has come, Rollcall may not know it. */
  #asOf(answer, askedAt) {
    const early = askedAt < this.#leftAt + LOOK_AGAIN_MS[1];
    if (!early || !answer.is_currently_in_meeting) return answer;
    const seconds = Math.max(answer.duration_seconds, Math.floor(this.#seconds()));
    const left = { attendance_status: "left", is_currently_in_meeting: false };
    return { ...answer, ...left, duration_seconds: seconds };
  }

  #become(answer) {
    const before = this.#answer;
    const inside = answer.is_currently_in_meeting;
    const same = before?.session_id === answer.session_id && before?.user_id === answer.user_id;
    if (!same || !inside) this.#shown = 0;
    this.#answer = answer;
    this.#show();
    if (before?.attendance_status !== answer.attendance_status) {
      this.#emit("changed", { status: answer, previous: before });
    }
    if (before && before.is_currently_in_meeting !== inside) {
      this.#emit(inside ? "joined" : "left", { status: answer });
    }
  }

  #emit(what, detail) {
    this.dispatchEvent(
      new CustomEvent(`attendance-${what}`, { detail, bubbles: true, composed: true }),
    );
  }

  #show() {
    const { box, state, note } = this.#parts;
    const language = this.#language();
    const word = this.#answer?.attendance_status;
    const stale = this.#failures > 0;
    const kind = word ?? (stale ? "unavailable" : "asking");
    box.className = box.part = `box ${kind}${stale ? " stale" : ""}`;
    box.dir = RIGHT_TO_LEFT.includes(primary(language)) ? "rtl" : "ltr";
    write(state, this.#text(kind));
    write(note, stale && word ? this.#text("stale").replace("{time}", this.#answeredTime()) : "");
    this.#count();
  }

  /** The time, now and at each full second while it runs. */
  #count() {
    clearTimeout(this.#tick);
    const { duration } = this.#parts;
    const seconds = this.#seconds();
    write(duration, this.#answer?.join_count ? clock(seconds, this.#language()) : "");
    duration.dateTime = `PT${Math.floor(seconds)}S`;
    if (!this.#runs() || document.hidden || !this.isConnected) return;
    this.#tick = setTimeout(() => this.#count(), 1000 * (1 - (seconds % 1)));
  }

  #runs() {
    return Boolean(this.#answer?.is_currently_in_meeting && !this.#failures);
  }

  #seconds() {
    const answered = this.#answer?.duration_seconds ?? 0;
    if (!this.#answer?.is_currently_in_meeting) return answered;
    const since = this.#runs() ? (performance.now() - this.#answeredAt) / 1000 : 0;
    this.#shown = Math.max(this.#shown, answered + since);
    return this.#shown;
  }

  #answeredTime() {
    return this.#answeredOn.toLocaleTimeString(this.#language(), { timeStyle: "short" });
  }

  #language() {
    const { lang } = document.documentElement;
    return known(this.closest("[lang]")?.lang || lang || navigator.language);
  }

  /** The page's own `text-…` attribute, else the language's, else English, else the bare word. */
  #text(key) {
    const own = this.getAttribute(`text-${key.replace("_", "-")}`);
    return own ?? (TEXTS[primary(this.#language())] ?? TEXTS.en)[key] ?? key;
  }

  #leave({ subject, visit }) {
    const { session, token } = subject;
    const body = JSON.stringify({ session_id: session, visit, access_token: token });
    return { url: endpoint(subject, "meeting/leave"), body };
  }

  /** A path carries neither a slash nor `.` and `..`: those go as a query. */
  #statusUrl(subject) {
    const name = encodeURIComponent(subject.session);
    const odd = subject.session.includes("/") || /^\.{1,2}$/.test(subject.session);
    const path = odd ? `-/attendance-status?session=${name}` : `${name}/attendance-status`;
    return endpoint(subject, path);
  }
}

function endpoint({ api }, path) {
  const base = api ?? new URL("..", import.meta.url).href;
  return `${base.replace(/\/+$/, "")}/api/sessions/${path}`;
}

/** Whom a token is for; a token that cannot be read is for somebody of its own. */
function person(token) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(claims)).sub ?? token;
  } catch {
    return token;
  }
}

function build(root) {
  const sheet = new CSSStyleSheet(); // no <style>: a strict policy would refuse it
  sheet.replaceSync(CSS);
  root.adoptedStyleSheets = [sheet];
  const parts = {};
  for (const [name, tag] of Object.entries({ box: "span", dot: "span", state: "span", duration: "time", note: "span" })) {
    const part = (parts[name] = document.createElement(tag));
    part.className = part.part = name;
    (parts.box === part ? root : parts.box).append(part);
  }
  parts.dot.ariaHidden = "true";
  parts.state.setAttribute("role", "status"); // the state is announced, the ticking time is not
  return parts;
}

function write(part, text) {
  if (part.textContent !== text) part.textContent = text;
}

/** 1:02:03, in the digits of the language. */
function clock(seconds, language) {
  const whole = Math.floor(seconds);
  const units = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = units[0] ? units : units.slice(1);
  return shown.map((unit, place) => digits(unit, place ? 2 : 1, language)).join(":");
}

function digits(number, least, language) {
  return number.toLocaleString(language, { minimumIntegerDigits: least, useGrouping: false });
}

/** Pages write `en_US` and worse; the browser's formats refuse what is no language. */
function known(language) {
  try {
    return Intl.getCanonicalLocales(language.replaceAll("_", "-"))[0] ?? "en";
  } catch {
    return "en";
  }
}

function primary(language) {
  return language.toLowerCase().split("-")[0];
}

if (!customElements.get("attendance-status")) {
  customElements.define("attendance-status", AttendanceStatus);
}
