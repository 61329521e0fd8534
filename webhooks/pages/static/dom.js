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
