/** The path under which Rollcall answers: empty, or a prefix such as /rollcall. */

export const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
