"""`<attendance-status>` in Chromium: what it shows, how often it asks, what it tells its page."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import orjson
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Class, Open, pupil
from tests.faults import until

MINUTE_MS = 60_000


def with_token(token: str = "") -> str:
    return f'token="{token or pupil()}"'


def element(page: Page) -> Any:
    return page.locator("attendance-status")


def state(page: Page) -> Any:
    return element(page).get_by_role("status")


def joined(page: Page) -> Any:
    return element(page).evaluate("(element) => element.joined({ participantSid: 'PA_9' })")


FROZEN = """
  window.asked = window.heard = 0;
  window.told = [];
  const fetched = window.fetch;
  window.fetch = (...request) => (asked += 1, fetched(...request));
  for (const what of ["updated", "changed", "joined", "left", "token-needed"]) {
    const count = what === "updated" ? () => (heard += 1) : () => told.push(what);
    addEventListener(`attendance-${what}`, count);
  }
"""


def counting(page: Page) -> None:
    """Requests and events are counted, and time passes when the test says so."""
    page.clock.install()
    page.add_init_script(FROZEN)


def passes(page: Page, ms: int, *, step: int = 5_000) -> None:
    """Let so much time pass for the page; each answer is heard before it goes on."""
    for _ in range(ms // step):
        page.clock.run_for(step)
        until(lambda: page.evaluate("asked === heard"))


def test_it_shows_whether_its_person_is_present(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()))
    expect(state(page)).to_have_text("Not joined yet")
    assert joined(page)["attendance_status"] == "present"
    expect(state(page)).to_have_text("In session")
    assert quran.person("5")["attendance_status"] == "present"
    element(page).evaluate("(element) => element.left()")
    expect(state(page)).to_have_text("Left")
    assert quran.person("5")["cycles"][0]["ended_by"] == "client_left"


@pytest.mark.usefixtures("in_chromium")
def test_the_dot_does_not_pulse_for_who_prefers_reduced_motion(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()))
    joined(page)
    pulse = "(box) => getComputedStyle(box.querySelector('.dot'), '::after').animationName"
    assert element(page).locator(".box").evaluate(pulse) == "pulse"
    page.emulate_media(reduced_motion="reduce")
    assert element(page).locator(".box").evaluate(pulse) == "none"


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ('lang="ar"', "لم ينضم بعد"),
        ('lang="ar-EG"', "لم ينضم بعد"),
        ('lang="fr" text-not-joined="Pas encore là"', "Pas encore là"),
        ('lang="xx"', "Not joined yet"),
        ('lang="no language at_all"', "Not joined yet"),
    ],
)
def test_it_speaks_its_pages_language(
    opened: Open, academy: Callable[..., str], quran: Class, attributes: str, text: str
) -> None:
    quran.registered(began=10)
    page = opened(academy(f"{with_token()} {attributes}"))
    expect(state(page)).to_have_text(text)
    expect(element(page).locator(".box")).to_have_css(
        "direction", "rtl" if 'lang="ar' in attributes else "ltr"
    )


def test_it_asks_once_a_minute_when_nothing_happens(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=counting)
    passes(page, MINUTE_MS // 2)
    assert page.evaluate("asked") == 1
    passes(page, 10 * MINUTE_MS)
    assert 9 <= page.evaluate("asked") - 1 <= 11


def answering(page: Page, *answers: dict[str, Any]) -> None:
    """Rollcall's next answers; the last one stays."""
    left = list(answers)
    status = {
        "session_id": "98",
        "user_id": "5",
        "attendance_status": "present",
        "is_currently_in_meeting": True,
        "join_count": 1,
        "duration_seconds": 0,
    }

    def answer(route: Route) -> None:
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
        if route.request.method == "OPTIONS":
            route.fulfill(status=204, headers=headers)
            return
        told = left.pop(0) if len(left) > 1 else left[0]
        route.fulfill(
            status=told.get("code", 200), headers=headers, body=orjson.dumps(status | told)
        )

    page.route("**/attendance-status", answer)


def shown_seconds(page: Page) -> int:
    text = element(page).locator("time").inner_text()
    seconds = 0
    for unit in text.split(":"):
        seconds = seconds * 60 + int(unit)
    return seconds


def test_the_time_ticks_on_and_never_jumps_back(opened: Open, academy: Callable[..., str]) -> None:
    """The second answer is of a server whose clock is five seconds behind what was shown."""

    def before(page: Page) -> None:
        counting(page)
        answering(page, {"duration_seconds": 745}, {"duration_seconds": 795})

    page = opened(academy(with_token()), before=before)
    page.clock.run_for(100)
    expect(element(page).locator("time")).to_have_text("12:25")
    shown = []
    for _ in range(80):
        passes(page, 1_000, step=1_000)
        shown.append(shown_seconds(page))
    assert page.evaluate("asked") == 2
    assert shown == sorted(shown)
    steps = {later - earlier for earlier, later in pairwise(shown)}
    assert steps <= {0, 1, 2}
    assert shown[40] == pytest.approx(745 + 41, abs=1)
    assert shown[-1] == pytest.approx(795 + 80 - 60, abs=8)


def test_changes_of_state_are_announced_and_ticks_are_not(
    opened: Open, academy: Callable[..., str]
) -> None:
    def before(page: Page) -> None:
        counting(page)
        gone = {"attendance_status": "left", "is_currently_in_meeting": False}
        answering(page, {"duration_seconds": 5}, {"duration_seconds": 65}, gone)

    page = opened(academy(with_token()), before=before)
    page.clock.run_for(100)
    expect(state(page)).to_have_text("In session")
    element(page).evaluate(
        """(element) => {
          window.announced = [];
          const region = element.shadowRoot.querySelector("[role=status]");
          new MutationObserver(() => announced.push(region.textContent))
            .observe(region, { subtree: true, childList: true, characterData: true });
          const time = element.shadowRoot.querySelector("time");
          window.silent = !time.closest("[role=status], [aria-live]");
        }"""
    )
    passes(page, 100_000)
    assert page.evaluate("announced") == []
    passes(page, 50_000)
    assert page.evaluate("announced") == ["Left"]
    assert page.evaluate("silent")
    assert page.evaluate("told") == ["changed", "changed", "left"]


def test_on_errors_it_keeps_what_it_knows_says_so_and_backs_off(
    opened: Open, academy: Callable[..., str]
) -> None:
    def before(page: Page) -> None:
        counting(page)
        answering(page, {"duration_seconds": 100}, {"code": 503})

    page = opened(academy(with_token()), before=before, expect_errors=True)
    page.clock.run_for(100)
    expect(state(page)).to_have_text("In session")
    for _ in range(62):
        page.clock.run_for(10_000)
    expect(state(page)).to_have_text("In session")
    expect(element(page)).to_contain_text("not up to date since")
    assert page.evaluate("asked") <= 8
    stood = shown_seconds(page)
    page.clock.run_for(3_000)
    assert shown_seconds(page) == stood  # who knows whether they are still there
    page.unroute("**/attendance-status")
    answering(page, {"duration_seconds": 800})
    page.evaluate("dispatchEvent(new Event('online'))")
    page.clock.run_for(1_000)
    expect(element(page)).not_to_contain_text("not up to date")


def test_a_token_that_ran_out_is_asked_of_its_page(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy('token="run.out.x"'), before=counting, expect_errors=True)
    page.clock.run_for(100)
    until(lambda: page.evaluate("told.includes('token-needed')"))
    page.clock.run_for(30 * MINUTE_MS)
    page.evaluate("dispatchEvent(new Event('online'))")  # nothing new: it is still the same token
    page.clock.run_for(1_000)
    assert page.evaluate("[asked, told]") == [1, ["token-needed"]]
    element(page).evaluate("(element, token) => { element.token = token; }", pupil())
    page.clock.run_for(100)
    expect(state(page)).to_have_text("Not joined yet")
    assert pupil() not in page.content()


def test_coming_back_to_the_tab_asks_at_once_but_not_sooner_than_there_is_news(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=counting)
    passes(page, 5_000)
    look_away(page, away=True)
    page.clock.run_for(5 * MINUTE_MS)
    assert page.evaluate("asked") == 1
    look_away(page, away=False)
    passes(page, 100, step=100)
    assert page.evaluate("asked") == 2
    for _ in range(5):
        look_away(page, away=True)
        look_away(page, away=False)
        passes(page, 1_000, step=1_000)
    assert page.evaluate("asked") == 2
    passes(page, 5_000)
    assert page.evaluate("asked") == 3


def look_away(page: Page, *, away: bool) -> None:
    """Headless Chromium never hides a tab; this is what a page sees of it."""
    page.evaluate(
        """(away) => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => away });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        away,
    )


def test_a_page_that_goes_away_says_so(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()))
    joined(page)
    visit = quran.person("5")["cycles"][0]
    assert visit["left_at"] is None
    page.goto(academy())
    until(lambda: quran.person("5")["cycles"][0]["ended_by"] == "client_left")


def test_a_join_that_nobody_heard_is_told_again(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=counting, expect_errors=True)
    page.clock.run_for(100)
    page.route("**/meeting/join", lambda route: route.abort())
    assert joined(page) is None
    assert quran.roster()["summary"]["present"] == 0
    page.unroute("**/meeting/join")
    page.clock.run_for(15_000)
    expect(state(page)).to_have_text("In session")
    assert quran.person("5")["join_count"] == 1


def test_a_leave_never_overtakes_its_join(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()))
    element(page).evaluate(
        """async (element) => {
          element.joined();
          await new Promise((resolve) => setTimeout(resolve));
          return element.left();
        }"""
    )
    expect(state(page)).to_have_text("Left")
    assert quran.person("5")["attendance_status"] == "left"


def test_a_session_with_a_slash_in_its_name(
    opened: Open, academy: Callable[..., str], quran: Class
) -> None:
    page = opened(academy(with_token(pupil(room="a/b")), session="a/b"))
    expect(state(page)).to_have_text("Not joined yet")
    joined(page)
    expect(state(page)).to_have_text("In session")
