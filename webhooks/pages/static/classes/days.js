/** Days, weeks and months as the reader's own clock and language have them. */

import { language } from "../words.js";

const MONDAY = 1;
const QUARTER_DAYS = 91;
const STEP_DAYS = { day: 1, week: 7, half: QUARTER_DAYS };

/** The day of an instant, as an address and a field of the page write it: 2026-11-23. */
export function dayOf(at) {
  const date = new Date(at);
  const parts = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  return parts.map((part) => String(part).padStart(2, "0")).join("-");
}

/** Whether a text names a day. */
export function isDay(text) {
  return /^\d{4}-\d{2}-\d{2}$/.test(text ?? "") && !Number.isNaN(midnight(text));
}

/** When a day begins here; days are not all 24 hours long, so nobody adds hours. */
export function midnight(day, later = 0) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later).getTime();
}

/** From when to when (exclusive) the day, its week, its month or the half year around it reaches. */
export function bounds(day, span) {
  const [year, month] = day.split("-").map(Number);
  if (span === "day") return [midnight(day), midnight(day, 1)];
  if (span === "half") return [midnight(day, -QUARTER_DAYS), midnight(day, QUARTER_DAYS + 1)];
  if (span === "month") return [new Date(year, month - 1, 1), new Date(year, month, 1)].map(Number);
  const begun = (new Date(midnight(day)).getDay() - (firstDay() % 7) + 7) % 7;
  return [midnight(day, -begun), midnight(day, 7 - begun)];
}

/** A day of the span before (-1) or after (1): of a month the same, of a shorter one its last. */
export function moved(day, span, way) {
  if (span !== "month") return dayOf(midnight(day, way * STEP_DAYS[span]));
  const [year, month, date] = day.split("-").map(Number);
  const last = new Date(year, month + way, 0).getDate();
  return dayOf(new Date(year, month - 1 + way, Math.min(date, last)));
}

/** The first day of the week where the reader lives, 1 to 7 from Monday. */
function firstDay() {
  const locale = new Intl.Locale(language);
  const info = locale.getWeekInfo?.() ?? locale.weekInfo;
  return info?.firstDay ?? MONDAY;
}
