"""A frontend as others write it: livekit-client and the element, by the recipe of the manual."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import served
from tests.e2e import npm
from tests.e2e.conftest import Deployment
from tests.e2e.people import EXACT, token
from tests.faults import until

MANUAL = Path(__file__).parents[2] / "docs" / "frontend.md"
CLIENT = "livekit-client/dist/livekit-client.esm.mjs"

PROMPT = timedelta(seconds=3)
"""What a pupil may wait, once LiveKit connected, to see that they are counted."""

CLOCKS = timedelta(seconds=1)
"""A page's leave travels after the page; a join is stamped when it arrives."""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Academy</title>
<script type="module" src="{rollcall}/static/attendance-status.js"></script>
<attendance-status session="{room}" token="{token}"></attendance-status>
<script type="module">
import {{ Room, RoomEvent }} from "/livekit-client.mjs";
const status = document.querySelector("attendance-status");
const room = new Room();
room.on(RoomEvent.Connected, () => (window.connected = Date.now()));
status.addEventListener("attendance-changed", ({{ detail }}) => {{
  if (detail.status.attendance_status === "present") window.shown = Date.now();
}});
{recipe}
window.connect = () => room.connect("{livekit}", "{token}");
window.ready = true;
</script>"""


@pytest.fixture
def visitor(deployment: Deployment, browser: Browser) -> Iterator[Callable[[str], Page]]:
    """`visitor(room)`: a pupil's page for that room, not connected yet."""
    rollcall = f"http://127.0.0.1:{deployment.port}"
    pages: dict[str, bytes] = {"/livekit-client.mjs": npm.file(CLIENT).read_bytes()}

    def academy(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        kind = "text/javascript" if path.endswith(".mjs") else "text/html; charset=utf-8"
        start_response("200 OK" if path in pages else "404 Not Found", [("Content-Type", kind)])
        return [pages.get(path, b"")]

    with served(academy) as address, browser.new_context() as context:

        def visit(room: str) -> Page:
            page = PAGE.format(
                rollcall=rollcall,
                livekit=deployment.livekit.ws,
                room=room,
                token=token(room, "pupil"),
                recipe=recipe(),
            )
            pages[f"/{room}"] = page.encode()
            opened = context.new_page()
            opened.goto(f"{address}/{room}")
            opened.wait_for_function("window.ready")
            return opened

        yield visit


def recipe() -> str:
    """The two lines that docs/frontend.md tells people to write."""
    found = re.search(r"```js\n(room\.on\(.*?)```", MANUAL.read_text(), re.DOTALL)
    assert found
    return found[1]


def connects(page: Page) -> datetime:
    """The pupil connects and sees that they are in session; when livekit-client was connected."""
    page.evaluate("window.connect()")
    expect(page.locator("attendance-status").get_by_role("status")).to_have_text("In session")
    connected, shown = page.evaluate("[window.connected, window.shown]")
    assert timedelta(milliseconds=shown - connected) < PROMPT
    return datetime.fromtimestamp(connected / 1000, UTC)


def closes(page: Page) -> datetime:
    """The pupil closes the tab."""
    now = datetime.now(UTC)
    page.close(run_before_unload=True)
    return now


def visits(deployment: Deployment, room: str) -> list[dict[str, Any]]:
    """The pupil's visits, as the roster has them."""
    url = f"http://127.0.0.1:{deployment.port}/api/sessions/{room}/attendance"
    request = Request(url, headers={"Authorization": f"Bearer {token(room, admin=True)}"})
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
        people = orjson.loads(answer.read())["attendances"]
    return [cycle for one in people for cycle in one["cycles"]]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_pupil_sees_that_they_are_in_session_and_the_roster_has_their_times(
    deployment: Deployment, visitor: Callable[[str], Page]
) -> None:
    page = visitor("academy-1")
    connected_at = connects(page)
    until(lambda: [one["source"] for one in visits(deployment, "academy-1")] == ["livekit"])
    closed_at = closes(page)
    until(lambda: visits(deployment, "academy-1")[0]["left_at"])
    (told,) = visits(deployment, "academy-1")
    assert (told["ended_by"], told["estimated"]) == ("left", False)
    assert abs(connected_at - instant(told["joined_at"])) < timedelta(seconds=2)
    assert abs(instant(told["left_at"]) - closed_at) <= EXACT


def test_without_webhooks_the_page_alone_carries_it(
    deployment: Deployment, visitor: Callable[[str], Page]
) -> None:
    with silenced(deployment):
        page = visitor("academy-2")
        connected_at = connects(page)
        closed_at = closes(page)
        until(lambda: visits(deployment, "academy-2")[0]["left_at"])
        (told,) = visits(deployment, "academy-2")
    assert (told["source"], told["ended_by"]) == ("client", "client_left")
    assert abs(instant(told["joined_at"]) - connected_at) < CLOCKS
    assert abs(instant(told["left_at"]) - closed_at) < CLOCKS


@contextmanager
def silenced(deployment: Deployment) -> Iterator[None]:
    """LiveKit's webhooks reach nobody."""
    deployment.door.close()
    yield
    deployment.door.open()
