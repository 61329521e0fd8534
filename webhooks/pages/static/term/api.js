/** What the term's pages ask of the API: one answer, or all pages of a list. */

import { root } from "../root.js";

const LONGEST_MS = 30_000;
const PAUSE_MS = 1_000;
const TRIES = 4;

/** `{ code, body }`; the code is 0 when nothing answered, the body null unless all is well. */
export async function ask(path, query, held) {
  try {
    const url = new URL(path, location.href); // its path may have a query already
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const response = await fetch(url, {
      headers: { Authorization: `Bearer ${held}` },
      signal: AbortSignal.timeout(LONGEST_MS),
      cache: "no-store",
    });
    return { code: response.status, body: response.ok ? await response.json() : null };
  } catch {
    return { code: 0, body: null };
  }
}

/** As `ask`, for all pages of a list: `add` is given the body of each. The last answer. */
export async function askAll(path, query, held, add) {
  let after = null;
  do {
    const answer = await askAgain(path, { ...query, ...(after !== null && { after }) }, held);
    if (!answer.body) return answer;
    add(answer.body);
    after = answer.body.next;
  } while (after !== null);
  return { code: 200 };
}

/** One is busy only for a moment (429): the same is asked again. */
async function askAgain(path, query, held) {
  for (let nth = 1; ; nth += 1) {
    const answer = await ask(path, query, held);
    if (answer.code !== 429 || nth === TRIES) return answer;
    await new Promise((done) => setTimeout(done, PAUSE_MS * nth));
  }
}

export const at = (path) => `${root}${path}`;
