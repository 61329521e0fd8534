/** Writes to the page that are no writes when nothing is different: neither screen nor reader stirs. */

export function write(element, text) {
  put(element, "textContent", text);
}

export function put(element, property, value) {
  if (element[property] !== value) element[property] = value;
}

/** A custom property of CSS: bars and lines are placed by these. */
export function place(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

export function make(tag, name = "", role = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (role) element.setAttribute("role", role);
  return element;
}

/** Bring `parent`'s children in line with `wanted`; what stays is neither made nor moved anew. */
export function arrange(parent, known, wanted, keyOf, make, fillIn) {
  const focused = document.activeElement;
  const keys = new Set(wanted.map(keyOf));
  for (const [key, child] of known) {
    if (keys.has(key)) continue;
    child.remove();
    known.delete(key);
  }
  let next = parent.firstChild;
  for (const one of wanted) {
    const key = keyOf(one);
    if (!known.has(key)) known.set(key, make());
    const child = known.get(key);
    fillIn(child, one);
    if (child === next) next = next.nextSibling;
    else parent.insertBefore(child, next);
  }
  if (parent.contains(focused)) focused.focus({ preventScroll: true }); // moving drops the focus
}
