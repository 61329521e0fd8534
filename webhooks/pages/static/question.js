/** Questions of which the latest counts: an answer that a later one overtook is left. */

/** `const ask = questions()`, then for each `const isLatest = ask()` before its answer comes. */
export function questions() {
  let latest = 0;
  return () => {
    const own = ++latest;
    return () => own === latest;
  };
}
