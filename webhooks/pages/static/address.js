import { root } from "./root.js";

/** Where a session is: a path carries neither a slash nor `.` and `..`, so those go as a query. */
export function sessionPath(before, session, { after = "", query = {} } = {}) {
  const odd = session.includes("/") || /^\.{1,2}$/.test(session);
  const asked = new URLSearchParams({ ...(odd && { session }), ...query }).toString();
  const path = `${root}${before}${odd ? "-" : encodeURIComponent(session)}${after}`;
  return asked ? `${path}?${asked}` : path;
}
