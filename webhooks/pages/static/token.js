/**
 * The token of this tab: from the address's `#token=…`, else as it was given in this tab before.
 *
 * A fragment never reaches a server. It is taken out of the address, so that an address that is
 * copied or photographed gives nothing away.
 */

const KEY = "rollcall.token";
const ask = document.getElementById("ask");

/** The token, or null. */
export function take() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    keep(given);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY);
}

/** What a token says of itself; null when it is none. Only the server checks whether it is true. */
export function claims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    const told = JSON.parse(new TextDecoder().decode(bytes));
    return { user: told.sub, name: told.name, ...told.video };
  } catch {
    return null;
  }
}

/** Show the form that asks for a token, with what is wrong with the last one; `use` gets it. */
export function request(use, trouble = "") {
  const notice = document.getElementById("ask-trouble");
  notice.textContent = trouble;
  notice.hidden = !trouble;
  ask.hidden = false;
  document.getElementById("ask-form").onsubmit = (event) => {
    event.preventDefault();
    const field = document.getElementById("ask-token");
    const token = field.value.trim();
    if (!token) return;
    keep(token);
    field.value = "";
    ask.hidden = true;
    use(token);
  };
}

function keep(token) {
  sessionStorage.setItem(KEY, token);
}

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});
