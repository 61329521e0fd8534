/** What the page says, in its language; numbers, times and lengths as that language writes them. */

export const words = JSON.parse(document.getElementById("words").textContent);

/** The page's language, as the reader's own country writes it. */
export const language = ((page) => {
  const own = navigator.languages.find((one) => one.split("-")[0] === page);
  return own ?? page;
})(document.documentElement.lang);

/** The order of names in this language, numbers in them by their size. */
export const names = new Intl.Collator(language, { numeric: true });

const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);
const shares = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const list = new Intl.ListFormat(language, { type: "conjunction" });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const precise = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const dated = new Intl.DateTimeFormat(language, { dateStyle: "full" });
const begun = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" });
const units = Object.fromEntries(
  ["hour", "minute", "second"].map((unit) => [unit, unitFormat(unit)]),
);

function unitFormat(unit) {
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" });
}

export const number = (value) => numbers.format(value);
/** A share of 0 to 100. */
export const percent = (value) => shares.format(value / 100);
export const both = (parts) => list.format(parts);

/** Instants are milliseconds since 1970. */
export const time = (at) => clock.format(at);
export const second = (at) => precise.format(at);
export const day = (at) => dated.format(at);
export const start = (at) => begun.format(at);
export const zone = () => precise.resolvedOptions().timeZone;

/** A length in whole minutes, or in seconds when it is shorter than one. */
export function span(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return units.second.format(Math.floor(ms / 1000));
  if (minutes < 60) return units.minute.format(minutes);
  const rest = minutes % 60;
  const hours = units.hour.format(Math.floor(minutes / 60));
  return rest ? `${hours} ${units.minute.format(rest)}` : hours;
}

/** A name within a sentence: whatever its script is, the words around it keep their order. */
export const isolate = (text) => `\u2068${text}\u2069`;

/** A sentence with its {gaps} filled. */
export function fill(sentence, gaps) {
  return sentence.replace(/\{(\w+)\}/g, (gap, name) => gaps[name] ?? gap);
}

/** The form for this many, of a language that may have six. */
export function counted(forms, n) {
  return fill(forms[plurals.select(n)] ?? forms.other, { n: number(n) });
}

/** Without case, accents and Arabic vowel signs: what people type is found. */
export function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase(language);
}

/** The order of two names or numbers; who has none (null) comes last, also from the greatest down. */
export function compare(a, b, down = false) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? names.compare(a, b) : a - b;
  return down ? -order : order;
}
