"""`<attendance-status>` in Chromium: each stay has one join and one leave.

What is counted arrived at Rollcall. What is left over of the element is counted in the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.arrivals import Arrivals
from tests.browser.conftest import Class, Open, pupil, served
from tests.browser.test_element import (
    counting,
    element,
    joined,
    passes,
    state,
    with_token,
)
from tests.faults import until

LEFT_OVER = """
  window.kept = { timers: new Map(), listeners: new Set() };
  const ours = () => new Error().stack.includes("attendance-status.js");
  const { setTimeout: later, clearTimeout: never } = window;
  window.setTimeout = (call, ms, ...more) => {
    const id = later((...given) => (kept.timers.delete(id), call(...given)), ms, ...more);
    if (ours()) kept.timers.set(id, ms);
    return id;
  };
  window.clearTimeout = (id) => (kept.timers.delete(id), never(id));
  for (const target of [window, document]) {
    const { addEventListener: add, removeEventListener: remove } = target;
    target.addEventListener = function (type, ...more) {
      if (ours()) kept.listeners.add(type);
      return add.call(this, type, ...more);
    };
    target.removeEventListener = function (type, ...more) {
      if (ours()) kept.listeners.delete(type);
      return remove.call(this, type, ...more);
    };
  }
  window.leftOver = () => [...kept.listeners, ...kept.timers.values()];
"""
"""`leftOver()`: the element's listeners on the window and the document, and its timers."""

Academy = Callable[..., str]


@pytest.fixture
def arrivals(app: Flask) -> Arrivals:
    return Arrivals(app)


@pytest.fixture
def site(arrivals: Arrivals) -> Iterator[str]:
    """Where Rollcall answers, and what arrives is counted."""
    with served(arrivals) as address:
        yield address


def watched(page: Page) -> None:
    page.add_init_script(LEFT_OVER)


def idle(page: Page) -> None:
    """Nothing of the element is left in the page."""
    until(lambda: page.evaluate("leftOver()") == [])


REMOVALS = {
    "left, then removed": "element.left(); element.remove();",
    "removed": "element.remove();",
    "its surroundings removed": "document.body.replaceChildren();",
    "left while removed": "element.remove(); element.left();",
    "removed in a task after left": "element.left(); setTimeout(() => element.remove());",
    "left twice and removed": "element.left(); element.left(); element.remove();",
}


@pytest.mark.parametrize("removal", REMOVALS.values(), ids=REMOVALS.keys())
def test_an_element_that_is_removed_leaves_once_and_leaves_nothing_behind(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals, removal: str
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=watched)
    joined(page)
    assert page.evaluate("leftOver()") != []
    element(page).evaluate(f"(element) => {{ {removal} }}")
    until(lambda: arrivals.leaves == 1)
    idle(page)
    assert (arrivals.joins, arrivals.leaves) == (1, 1)
    assert quran.person("5")["cycles"][0]["ended_by"] == "client_left"


def test_a_join_that_is_on_its_way_when_the_element_goes_is_left(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=watched)
    expect(state(page)).to_have_text("Not joined yet")
    with arrivals.held("join"):
        element(page).evaluate("(element) => { window.kept.element = element; element.joined(); }")
        until(lambda: arrivals.joins == 1)
        page.evaluate("kept.element.remove()")
    idle(page)
    assert arrivals.leaves == 1
    assert quran.person("5")["cycles"][0]["ended_by"] == "client_left"


def test_a_leave_that_nobody_heard_is_sent_again_by_the_removed_element(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)

    def before(page: Page) -> None:
        counting(page)
        watched(page)

    page = opened(academy(with_token()), before=before, expect_errors=True)
    page.clock.run_for(100)
    joined(page)
    page.route("**/meeting/leave", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        element(page).evaluate("(element) => { element.left(); element.remove(); }")
        page.clock.run_for(100)
    page.unroute("**/meeting/leave")
    page.clock.run_for(15_000)
    until(lambda: arrivals.leaves == 1)
    idle(page)


def test_an_element_that_is_moved_does_not_leave(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=counting)
    passes(page, 100, step=100)
    joined(page)
    element(page).evaluate(
        """async (element) => {
          document.body.append(element);
          element.remove();
          await null;
          document.body.prepend(element);
        }"""
    )
    passes(page, 11_000, step=1_000)
    asked = page.evaluate("asked")
    expect(state(page)).to_have_text("In session")
    passes(page, 40_000)
    assert page.evaluate("asked") == asked  # its minute goes on
    assert (arrivals.joins, arrivals.leaves) == (1, 0)


def test_another_session_leaves_the_one_before(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=watched)
    joined(page)
    element(page).evaluate(
        "(element, token) => { element.session = 'math-7'; element.token = token; }",
        pupil(room="math-7"),
    )
    until(lambda: arrivals.leaves == 1)
    expect(state(page)).to_have_text("Not joined yet")
    until(lambda: quran.person("5")["cycles"][0]["ended_by"] == "client_left")
    joined(page)
    expect(state(page)).to_have_text("In session")
    element(page).evaluate("(element) => element.remove()")
    until(lambda: arrivals.leaves == 2)
    idle(page)
    assert arrivals.joins == 2


def test_another_person_leaves_as_the_one_before(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token(pupil("5"))))
    joined(page)
    element(page).evaluate("(element, token) => { element.token = token; }", pupil("6"))
    until(lambda: arrivals.leaves == 1)
    expect(state(page)).to_have_text("Not joined yet")
    until(lambda: quran.person("5")["cycles"][0]["ended_by"] == "client_left")
    assert quran.person("6") == {}


def test_a_fresh_token_of_the_same_person_goes_on_with_their_stay(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token(pupil("5", name="Ada"))))
    joined(page)
    fresh = pupil("5", name="Ada Lovelace")
    element(page).evaluate("(element, token) => { element.token = token; }", fresh)
    expect(state(page)).to_have_text("In session")
    assert arrivals.leaves == 0
    element(page).evaluate("(element) => element.left()")
    assert (arrivals.joins, arrivals.leaves) == (1, 1)


def test_a_page_that_closed_before_its_join_was_answered_goes_on_with_its_visit(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    """It could not name the visit to leave; who joins again is told it, and leaves it."""
    quran.registered(began=10)
    host = academy(with_token())
    page = opened(host, expect_errors=True)
    expect(state(page)).to_have_text("Not joined yet")
    with arrivals.held("join"):
        element(page).evaluate("(element) => { element.joined(); }")
        until(lambda: arrivals.joins == 1)
        page.goto(academy())
    until(lambda: quran.person("5") != {})
    assert (quran.person("5")["is_currently_in_meeting"], arrivals.leaves) == (True, 0)
    page.goto(host)
    joined(page)
    page.goto(academy())
    until(lambda: arrivals.leaves == 1)
    until(lambda: not quran.person("5")["is_currently_in_meeting"])
    assert [visit["ended_by"] for visit in quran.person("5")["cycles"]] == ["client_left"]


@pytest.mark.parametrize("before_closing", ["", "element.remove()", "element.left()"])
def test_a_tab_that_is_closed_leaves_once(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals, before_closing: str
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()))
    joined(page)
    element(page).evaluate(f"(element) => {{ {before_closing}; location = '/elsewhere'; }}")
    until(lambda: arrivals.leaves >= 1)
    page.wait_for_url("**/elsewhere")
    page.close(run_before_unload=True)
    until(lambda: quran.person("5")["cycles"][0]["ended_by"] == "client_left")
    assert (arrivals.joins, arrivals.leaves) == (1, 1)


def test_a_join_and_a_leave_of_one_task_are_not_sent(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    """React's StrictMode runs each effect, undoes it, and runs it again."""
    quran.registered(began=10)
    page = opened(academy(with_token()))
    status = element(page).evaluate(
        """(element) => {
          element.joined();
          element.left();
          element.joined();
          return element.joined();
        }"""
    )
    assert status["attendance_status"] == "present"
    assert (arrivals.joins, arrivals.leaves) == (1, 0)


def test_a_leave_without_a_visit_asks_nothing(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()), before=counting)
    passes(page, 100, step=100)
    status = element(page).evaluate("(element) => element.left()")
    assert status["attendance_status"] == "not_joined"
    passes(page, 20_000)
    assert page.evaluate("asked") == 1
    assert arrivals.leaves == 0


def restored(page: Page) -> None:
    """The page goes and comes back. Chromium without a window keeps no page to go back to: this is
    what such a page sees."""
    for event in ("pagehide", "pageshow"):
        page.evaluate(
            "(event) => dispatchEvent(new PageTransitionEvent(event, { persisted: true }))", event
        )


def test_a_page_that_comes_back_joins_again_if_it_says_so(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()))
    joined(page)
    page.evaluate(
        "addEventListener('attendance-restored', (event) => {"
        " window.again = event.target.joined(); })"
    )
    restored(page)
    until(lambda: (arrivals.joins, arrivals.leaves) == (2, 1))
    page.evaluate("window.again")  # a leave names the visit that the join was answered with
    expect(state(page)).to_have_text("In session")
    page.goto(academy())
    until(lambda: arrivals.leaves == 2)


def test_a_page_that_comes_back_and_says_nothing_has_left(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()))
    joined(page)
    looks = arrivals.looks
    restored(page)
    expect(state(page)).to_have_text("Left")
    until(lambda: arrivals.looks == looks + 1)
    assert (arrivals.joins, arrivals.leaves) == (1, 1)


def test_a_page_that_comes_back_without_a_stay_says_nothing(
    opened: Open, academy: Academy, quran: Class, arrivals: Arrivals
) -> None:
    quran.registered(began=10)
    page = opened(academy(with_token()))
    joined(page)
    element(page).evaluate("(element) => element.left()")
    page.evaluate("addEventListener('attendance-restored', ({ target }) => target.joined())")
    looks = arrivals.looks
    restored(page)
    until(lambda: arrivals.looks == looks + 1)
    assert (arrivals.joins, arrivals.leaves) == (1, 1)
