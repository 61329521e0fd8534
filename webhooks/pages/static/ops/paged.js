/**
 * A list of the API that is shown a page at a time. An answer that was overtaken is left: by another
 * list, or by one to the same press twice.
 */

import { counted } from "../words.js";

const PAGE = 50;

/**
 * `ask` asks for a `path`, whose answer has the items under `name` and where the `next` page begins.
 * They become rows of `parts.rows`. `failed` is told what was wrong, and null once nothing is.
 */
export function paged({ path, name, ask, parts, row, say, failed }) {
  let filters = {};
  let next = null;

  async function more() {
    const [own, after] = [filters, next];
    const query = new URLSearchParams({ ...own, limit: PAGE, ...(after && { after }) });
    try {
      const answer = await ask(`${path}?${query}`);
      if (own !== filters || after !== next) return;
      next = answer.next;
      parts.rows.append(...answer[name].map(row));
      parts.more.hidden = !next;
      const shown = parts.rows.childElementCount;
      parts.found.textContent = shown ? counted(say.shown, shown) : say.none;
      failed(null);
    } catch (error) {
      if (own === filters) failed(error);
    }
  }

  /** Show it anew, from its first page, with these filters. */
  function list(wanted) {
    filters = { ...wanted };
    next = null;
    parts.rows.replaceChildren();
    return more();
  }

  parts.more.addEventListener("click", more);
  return list;
}
