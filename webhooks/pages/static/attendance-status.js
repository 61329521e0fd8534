/**
 * <attendance-status session="98" token="…" lang="ar">: is this person counted as present?
 *
 * One module without dependencies; any page may embed it. It asks Rollcall once a minute, at once
 * when its page says that LiveKit connected (`joined`), and when the tab is looked at again. In
 * between the time ticks on from the last answer. Attributes, events and styling: docs/frontend.md.
 */

const POLL_MS = 60_000;
const SOONEST_MS = 10_000; // what the server's cache holds: asking sooner tells nothing new
const SLOWEST_MS = 300_000;
const PATIENCE_MS = 10_000;
const STALE = "stale";
const RIGHT_TO_LEFT = ["ar", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"];

const TEXTS = {
  en: {
    present: "In session",
    left: "Left",
    not_joined: "Not joined yet",
    completed: "Attended",
    absent: "Absent",
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
  #token = null;
  #visit = null; // the id of the visit that this page's join made
  #owed = []; // a join, a leave or both that the server has not heard yet
  #answer = null; // the last one, whatever went wrong since
  #answeredAt = 0; // on performance.now()'s clock, which nobody sets back
  #answeredOn = null; // on the wall's, to be shown
  #shown = 0; // seconds: while present never fewer than a moment ago
  #failures = 0;
  #refused = false; // until there is another token
  #askedAt = -Infinity;
  #asking = null;
  #line = Promise.resolve();
  #poll = 0;
  #tick = 0;

  /** Rollcall's last answer, or null. */
  get status() {
    return this.#answer;
  }

  get session() {
    return this.getAttribute("session");
  }

  set session(session) {
    this.setAttribute("session", session);
  }

  /** The LiveKit token; set as a property it never shows in the document. */
  get token() {
    return this.#token;
  }

  set token(token) {
    if (token === this.#token) return;
    this.#token = token || null;
    this.#refused = false;
    this.#askedAt = -Infinity;
    this.#soon();
  }

  /** LiveKit connected. Resolves to the status; null when it will be told later. */
  joined({ participantSid, name, sessionType, academyId } = {}) {
    const told = { participant_sid: participantSid, session_type: sessionType };
    this.#owed = [{ what: "join", body: { ...told, name, academy_id: academyId } }];
    return this.#tell();
  }

  /** LiveKit disconnected and the page stays. A page that goes away says so by itself. */
  left() {
    const joining = this.#owed.filter(({ what }) => what === "join");
    this.#owed = this.#visit || joining.length ? [...joining, { what: "leave" }] : [];
    return this.#tell();
  }

  connectedCallback() {
    for (const name of ["session", "token"]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name]; // set before this script had loaded
      delete this[name];
      this[name] = value;
    }
    addEventListener("pagehide", this.#goAway);
    addEventListener("online", this.#comeBack);
    document.addEventListener("visibilitychange", this.#comeBack);
    this.#show();
    this.#soon();
  }

  disconnectedCallback() {
    removeEventListener("pagehide", this.#goAway);
    removeEventListener("online", this.#comeBack);
    document.removeEventListener("visibilitychange", this.#comeBack);
    clearTimeout(this.#poll);
    clearTimeout(this.#tick);
  }

  attributeChangedCallback(name, before, value) {
    if (before === value) return;
    if (name === "token") this.token = value;
    else if (name === "lang") this.#show();
    else this.#startOver();
  }

  /** Another session, or another server: nothing known is of use. */
  #startOver() {
    this.#asking?.abort(STALE);
    this.#answer = this.#visit = null;
    this.#owed = [];
    this.#failures = this.#shown = 0;
    this.#askedAt = -Infinity;
    this.#show();
    this.#soon();
  }

  #comeBack = () => {
    this.#show();
    this.#soon();
  };

  #goAway = () => {
    if (!this.#visit || !this.#token) return;
    const url = this.#url("meeting/leave");
    const body = JSON.stringify({ ...this.#leave(), access_token: this.#token });
    navigator.sendBeacon(url, body) || fetch(url, { method: "POST", body, keepalive: true });
    this.#visit = null;
  };

  #tell() {
    if (!this.#asking?.telling) this.#asking?.abort(STALE); // its answer would be of before
    return this.#inLine();
  }

  /** Ask once there can be news. */
  #soon() {
    if (this.#asking) return; // its end says when to ask next
    this.#askIn(this.#askedAt + SOONEST_MS - performance.now());
  }

  #askIn(ms) {
    clearTimeout(this.#poll);
    if (this.isConnected) this.#poll = setTimeout(() => this.#inLine(), Math.max(0, ms));
  }

  /** One request at a time, so that a leave never overtakes its join. */
  #inLine() {
    this.#line = this.#line.then(() => this.#ask());
    return this.#line;
  }

  /** Tell what is owed, else look. Resolves to the answer, or to null without one. */
  async #ask() {
    clearTimeout(this.#poll);
    const owed = this.#owed[0];
    if (!this.isConnected || !this.session || !this.#token || this.#refused) return null;
    if (document.hidden && !owed) return null; // coming back asks
    const asking = (this.#asking = new AbortController());
    asking.telling = Boolean(owed);
    this.#askedAt = performance.now();
    const patience = setTimeout(() => asking.abort(), PATIENCE_MS);
    const heard = await this.#send(owed, asking.signal).catch(() => ({ code: 0 }));
    clearTimeout(patience);
    this.#asking = null;
    return asking.signal.reason === STALE ? null : this.#hear(heard, owed);
  }

  async #send(owed, signal) {
    const headers = { Authorization: `Bearer ${this.#token}` };
    const request = { headers, signal, cache: "no-store" };
    if (owed) {
      const joining = { session_id: this.session, ...owed.body };
      headers["Content-Type"] = "application/json";
      request.method = "POST";
      request.keepalive = true;
      request.body = JSON.stringify(owed.what === "join" ? joining : this.#leave());
    }
    const url = owed ? this.#url(`meeting/${owed.what}`) : this.#statusUrl();
    const response = await fetch(url, request);
    const wait = Number(response.headers.get("Retry-After")) * 1000;
    return { code: response.status, wait, answer: response.ok ? await response.json() : null };
  }

  #hear({ code, wait, answer }, owed) {
    if (code === 401) return this.#needToken();
    const settled = answer || code === 400 || code === 404;
    if (owed && settled) {
      this.#visit = (owed.what === "join" && answer?.visit) || null;
      this.#owed = this.#owed.filter((one) => one !== owed && (this.#visit || one.what === "join"));
    }
    if (!answer) return this.#fail(wait || 0);
    // A class opens its page in the same second; it need not ask in the same second for ever.
    this.#askIn(this.#owed.length ? 0 : POLL_MS * (0.9 + Math.random() * 0.2));
    return this.#learn(answer);
  }

  #needToken() {
    this.#refused = true;
    this.#failures += 1;
    this.#show();
    this.#emit("token-needed", { session: this.session });
    return null;
  }

  #fail(wait) {
    const backoff = Math.min(SLOWEST_MS, SOONEST_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#show();
    this.#askIn(Math.max(wait, backoff) * (1 + Math.random() * 0.25));
    return null;
  }

  #learn(answer) {
    const before = this.#answer;
    const inside = answer.is_currently_in_meeting;
    const same = before?.session_id === answer.session_id && before?.user_id === answer.user_id;
    if (!same || !inside) this.#shown = 0;
    this.#answer = answer;
    this.#answeredAt = performance.now();
    this.#answeredOn = new Date();
    this.#failures = 0;
    this.#show();
    this.#emit("updated", { status: answer });
    if (before?.attendance_status !== answer.attendance_status) {
      this.#emit("changed", { status: answer, previous: before });
    }
    if (before && before.is_currently_in_meeting !== inside) {
      this.#emit(inside ? "joined" : "left", { status: answer });
    }
    return answer;
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
    const told = this.#answer?.duration_seconds ?? 0;
    if (!this.#answer?.is_currently_in_meeting) return told;
    const since = this.#runs() ? (performance.now() - this.#answeredAt) / 1000 : 0;
    this.#shown = Math.max(this.#shown, told + since);
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

  #leave() {
    return { session_id: this.session, visit: this.#visit };
  }

  #url(path) {
    const api = this.getAttribute("api") ?? new URL("..", import.meta.url).href;
    return `${api.replace(/\/+$/, "")}/api/sessions/${path}`;
  }

  /** A path carries neither a slash nor `.` and `..`: those go as a query. */
  #statusUrl() {
    const name = encodeURIComponent(this.session);
    const odd = this.session.includes("/") || /^\.{1,2}$/.test(this.session);
    return this.#url(odd ? `-/attendance-status?session=${name}` : `${name}/attendance-status`);
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
