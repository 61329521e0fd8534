import { root } from "./root.js";

/** Where a session is: a path carries neither a slash nor `.` and `..`, so those go as a query. */
export function sessionPath(before, session, more = {}) {
  return pathOf(before, session, { named: "session", ...more });
}

/** The same for whatever else has an id; `named` is what the query calls it. */
export function pathOf(before, id, { named, after = "", query = {} }) {
  const odd = id.includes("/") || /^\.{1,2}$/.test(id);
  const asked = new URLSearchParams({ ...(odd && { [named]: id }), ...query }).toString();
  const path = `${root}${before}${odd ? "-" : encodeURIComponent(id)}${after}`;
  return asked ? `${path}?${asked}` : path;
}
