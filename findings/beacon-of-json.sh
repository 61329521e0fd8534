#!/usr/bin/env bash
# A page sends JSON to another origin with sendBeacon, which answers true. The JSON never comes: the
# browser asks the server first whether it may send this type, gets no consent, and tells nobody.
# The same bytes as plain text come.
#
# Why it matters: a page tells with a beacon that somebody leaves. The receiver's log shows an
# OPTIONS at most, the page takes its true for "sent", and the person stays inside until something
# else says that they left.
#
# What Rollcall does: its element sends the leave as plain text (webhooks/pages/static/attendance-
# status.js), and the service reads JSON whatever its type says (webhooks/api/bodies.py).

set -u

cannot() {
  echo "This cannot be tried here: $1." >&2
  exit 2
}

folder=$(mktemp -d) || cannot "no temporary folder can be made"
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
cd "$folder" || cannot "the temporary folder cannot be entered"
command -v npm >/dev/null || cannot "Node 20 or newer with npm is needed"
echo '{"private": true}' >package.json
timeout --foreground 150 npm install --silent --no-audit --no-fund --ignore-scripts \
  @sparticuz/chromium@147.0.0 playwright-core@1.65.1 || cannot "npm does not install the packages"

cat >trial.mjs <<'JAVASCRIPT'
import http from "node:http";
import packed from "@sparticuz/chromium";
import { chromium } from "playwright-core";

const came = [];

/** A server on 127.0.0.1 that notes what comes; each port is an origin of its own. */
function serve() {
  const server = http.createServer((request, response) => {
    if (request.method !== "GET") came.push(`${request.method} ${request.url}`);
    request.resume();
    request.on("end", () => {
      response.writeHead(request.method === "GET" ? 200 : 204, { "content-type": "text/html" });
      response.end();
    });
  });
  return new Promise((listening) => {
    server.listen(0, "127.0.0.1", () => listening(server));
  });
}

async function until(what, seconds) {
  for (let tenths = 0; tenths < 10 * seconds && !what(); tenths++) {
    await new Promise((later) => setTimeout(later, 100));
  }
}

const servers = [await serve(), await serve()];
const [own, other] = servers.map((server) => `http://127.0.0.1:${server.address().port}`);
const browser = await chromium.launch({
  executablePath: await packed.executablePath(),
  args: ["--no-sandbox"], // root has no sandbox
});
const version = browser.version();
const page = await browser.newPage();
await page.goto(own);
const send = (url, type) =>
  page.evaluate(
    ([where, kind]) => navigator.sendBeacon(where, new Blob(['{"left": true}'], { type: kind })),
    [url, type],
  );
const answers = {
  "/own-json": await send(`${own}/own-json`, "application/json"),
  "/other-text": await send(`${other}/other-text`, "text/plain"),
  "/other-json": await send(`${other}/other-json`, "application/json"),
};
await until(() => came.length >= 3, 20);
await until(() => false, 3); // and whatever comes late
await browser.close();
for (const server of servers) server.close();

console.log(`sendBeacon answers: ${JSON.stringify(answers)}`);
console.log(`versions: Chromium ${version}`);
console.log("expected: three POSTs, or false for the one that cannot be sent");
console.log(`seen:     ${came.join(", ")}`);
const asStated =
  Object.values(answers).every((answer) => answer === true) &&
  came.includes("POST /own-json") &&
  came.includes("POST /other-text") &&
  came.includes("OPTIONS /other-json") &&
  !came.includes("POST /other-json");
console.log(asStated ? "as stated" : "CHANGED");
process.exit(asStated ? 0 : 3);
JAVASCRIPT

# The package unpacks Chromium where temporary files go.
TMPDIR=$folder timeout --foreground --kill-after=10 100 node trial.mjs
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
