/** What a page says to a token that does not open it, and where that token leads. */

import { fill, words } from "../words.js";
import * as token from "../token.js";
import { classesPage, personPage } from "./links.js";

/** For a page of many people, or of a course: the code is 401 or 403. */
export function refusal(code, held) {
  if (code === 401) return token.refusal(held);
  const { user, room, roomJoin, roomAdmin } = token.claims(held);
  if (room && roomAdmin) {
    const { says, todo } = words.term.other_room;
    return { says: fill(says, { room }), todo, href: classesPage() };
  }
  if (!user || !roomJoin) return words.term.no_class;
  return { ...words.term.participant, href: personPage(user) };
}
