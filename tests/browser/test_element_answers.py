"""`<attendance-status>` in Chromium: an answer counts for whom and when it was asked.

Rollcall's answers are played by the page's own `fetch`, which ends when the test says so: at the
headers, at the body, whether or not the element gave the request up.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Class, Open, pupil
from tests.browser.test_element import counting, element, joined, passes, state, with_token
from tests.faults import until

Academy = Callable[..., str]
ADA, BOB = pupil("ada"), pupil("bob")

SLOW = """
  window.requests = [];
  window.painted = [];
  const claims = (token) =>
    JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  const gate = () => {
    let open;
    const passed = new Promise((resolve) => (open = resolve));
    return { passed, open };
  };
  window.fetch = async (url, { method = "GET", headers = {}, body } = {}) => {
    const sent = body && JSON.parse(body);
    const token = sent?.access_token ?? headers.Authorization.slice("Bearer ".length);
    const { sub } = claims(token);
    const request = { url, token, sub, atHeaders: gate(), atBody: gate() };
    request.code = 200;
    requests.push(request);
    await request.atHeaders.passed;
    const answer = {
      session_id: "98", user_id: sub, attendance_status: sub === "bob" ? "absent" : "present",
      is_currently_in_meeting: sub !== "bob", join_count: 1, duration_seconds: 60, visit: "VI_1",
    };
    return {
      ok: request.code === 200, status: request.code, headers: new Headers(),
      json: async () => (await request.atBody.passed, answer),
    };
  };
  window.answer = (request) => (request.atHeaders.open(), request.atBody.open());
  window.toldOf = [];
  addEventListener("attendance-updated", ({ detail }) => toldOf.push(detail.status.user_id));
  window.watch = () => {
    const region = document.querySelector("attendance-status").shadowRoot;
    new MutationObserver(() => painted.push(region.textContent))
      .observe(region, { subtree: true, childList: true, characterData: true });
  };
"""
"""Ada is present and Bob absent: what is painted says whose status it is."""


def slow(page: Page) -> None:
    page.add_init_script(SLOW)


def asked(page: Page, number: int) -> None:
    """So many requests have begun."""
    page.wait_for_function("(number) => requests.length >= number", arg=number)


WAITS = ["atHeaders", "atBody"]
ACTS = ["", "element.joined()", "element.joined(); setTimeout(() => element.left())"]


@pytest.mark.parametrize("act", ACTS, ids=["polling", "joining", "leaving"])
@pytest.mark.parametrize("wait", WAITS)
def test_no_status_of_one_person_is_painted_for_another(
    opened: Open, academy: Academy, wait: str, act: str
) -> None:
    """Ada's requests, polls, joins and leaves, are answered after Bob took her place."""
    page = opened(academy(with_token(ADA)), before=slow)
    asked(page, 1)
    element(page).evaluate(f"(element) => {{ {act} }}")
    page.wait_for_timeout(50)
    if wait == "atBody":
        page.evaluate("requests.forEach((request) => request.atHeaders.open())")
    page.evaluate("watch()")
    element(page).evaluate("(element, token) => { element.token = token; }", BOB)
    page.wait_for_timeout(50)
    drive(page)
    expect(state(page)).to_have_text("Absent")
    page.evaluate("requests.forEach(answer)")
    page.wait_for_timeout(50)
    assert page.evaluate("toldOf.filter((user) => user !== 'bob')") == []
    assert [text for text in page.evaluate("painted") if "In session" in text] == []
    assert element(page).evaluate("(element) => element.status.user_id") == "bob"


def drive(page: Page) -> None:
    """Answer all there is, oldest first, until Bob's own has been answered."""
    page.evaluate(
        """async () => {
          while (!toldOf.includes("bob")) {
            requests.forEach(answer);
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        }"""
    )


@pytest.mark.parametrize("wait", WAITS)
def test_no_status_of_one_session_is_painted_for_another(
    opened: Open, academy: Academy, wait: str
) -> None:
    page = opened(academy(with_token(ADA)), before=slow)
    asked(page, 1)
    if wait == "atBody":
        page.evaluate("requests[0].atHeaders.open()")
    element(page).evaluate("(element) => { element.session = 'math-7'; }")
    page.evaluate("answer(requests[0])")
    asked(page, 2)
    assert page.evaluate("toldOf") == []
    expect(state(page)).to_have_text("Checking attendance…")
    page.evaluate("answer(requests[1])")
    expect(state(page)).to_have_text("In session")
    assert page.evaluate("requests.map(({ url }) => url.split('/').at(-2))") == ["98", "math-7"]


def test_the_promise_of_a_join_resolves_to_nobody_elses_status(
    opened: Open, academy: Academy
) -> None:
    page = opened(academy(with_token(ADA)), before=slow)
    asked(page, 1)
    element(page).evaluate("(element) => { window.joining = element.joined(); }")
    page.evaluate("answer(requests[0])")
    asked(page, 2)
    element(page).evaluate("(element, token) => { element.token = token; }", BOB)
    drive(page)
    assert page.evaluate("joining") is None


@pytest.mark.parametrize("wait", WAITS)
def test_a_token_that_is_replaced_in_flight_is_not_refused_for_the_one_before(
    opened: Open, academy: Academy, wait: str
) -> None:
    """The page answers `attendance-token-needed` with the token that it has set already."""
    fresh = pupil("ada", name="Ada Lovelace")
    page = opened(academy(with_token(ADA)), before=slow)
    asked(page, 1)
    element(page).evaluate(
        """(element, fresh) => {
          addEventListener("attendance-token-needed", () => { element.token = fresh; });
          requests[0].code = 401;
          element.token = fresh;
        }""",
        fresh,
    )
    page.evaluate("answer(requests[0])")
    asked(page, 2)
    assert page.evaluate("requests[1].token") == fresh
    page.evaluate("answer(requests[1])")
    expect(state(page)).to_have_text("In session")


def test_a_join_that_is_refused_for_a_token_replaced_meanwhile_is_sent_with_the_new_token(
    opened: Open, academy: Academy
) -> None:
    fresh = pupil("ada", name="Ada Lovelace")
    page = opened(academy(with_token(ADA)), before=slow)
    asked(page, 1)
    element(page).evaluate("(element) => { element.joined(); }")
    page.evaluate("answer(requests[0])")
    asked(page, 2)
    page.evaluate("requests[1].code = 401")
    element(page).evaluate("(element, token) => { element.token = token; }", fresh)
    page.evaluate("answer(requests[1])")
    asked(page, 3)
    sent = page.evaluate("[requests[2].token, requests[2].url.split('/').at(-1)]")
    assert sent == [fresh, "join"]
    page.evaluate("answer(requests[2])")
    expect(state(page)).to_have_text("In session")


def test_the_same_token_set_again_after_it_was_refused_is_tried_but_not_at_once(
    opened: Open, academy: Academy, quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy('token="run.out.x"'), before=counting, expect_errors=True)
    page.clock.run_for(100)
    until(lambda: page.evaluate("told.length") == 1)
    element(page).evaluate("(element) => { element.token = 'run.out.x'; }")
    page.clock.run_for(9_000)
    assert page.evaluate("asked") == 1
    page.clock.run_for(20_000)
    until(lambda: page.evaluate("told") == ["token-needed"] * 2)


def test_who_leaves_has_left_at_once_and_it_is_asked_again_after_2_and_10_seconds(
    opened: Open, academy: Academy, quran: Class
) -> None:
    """LiveKit's webhooks had told of the join; what it tells of the leave comes later."""
    quran.registered(began=10)
    quran.happens(*quran.visit("5", 5, name="Ada"))
    page = opened(academy(with_token()), before=counting)
    passes(page, 100, step=100)
    joined(page)
    passes(page, 15_000, step=1_000)
    before = page.evaluate("asked")
    gone = element(page).evaluate(
        "(element) => { element.left(); return element.shadowRoot.textContent; }"
    )
    assert "Left" in gone
    assert page.evaluate("told").count("left") == 1
    asked_after: list[int] = []
    for second in range(1, 40):
        passes(page, 1_000, step=1_000)
        asked_after += [second] * (page.evaluate("asked") - before - 1 - len(asked_after))
        if second < 9:
            expect(state(page)).to_have_text("Left")
    first, second_time = asked_after
    assert first in (2, 3)
    assert second_time in (10, 11)


def test_after_a_join_it_is_asked_again_after_2_and_10_seconds(
    opened: Open, academy: Academy, quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=counting)
    passes(page, 100, step=100)
    joined(page)
    before = page.evaluate("asked")
    passes(page, 40_000, step=1_000)
    assert page.evaluate("asked") - before == 2
