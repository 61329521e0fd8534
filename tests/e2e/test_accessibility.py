"""Whoever can't see, point, or tell colours apart can use every page: axe finds no violation."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import Class, Open, operator, pupil, teacher
from tests.browser.course import COURSE, Course
from tests.browser.test_roster import aborted
from tests.e2e import npm

PHONE: ViewportSize = {"width": 360, "height": 740}
SCHEMES = ("light", "dark")
LANGUAGES = ("en", "ar")


@pytest.fixture(scope="module")
def axe() -> str:
    return npm.file("axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def lesson(quran: Class) -> Class:
    """Every status before the end, an estimated end, a visit that only a page told of, guests, a
    phone, another name inside, and a connection that never came up."""
    expected = [{"user_id": "9", "name": "Huda"}, {"user_id": "1", "name": "Sara"}]
    quran.registered(began=35, expected=expected, minimum_percentage=75)
    quran.happens(
        *quran.visit("1", 36, 20, name="Ada"),
        *quran.visit("2", 20, name="أحمد المصري", kind="SIP"),
        *aborted(quran, "9", 12),
        *quran.visit("3", 30, 10, name="Zoë", reason="CONNECTION_TIMEOUT"),
    )
    quran.joins("8", name="فاطمة")
    return quran


@pytest.fixture
def ended(quran: Class) -> Class:
    quran.registered(began=100, expected=[{"user_id": "9", "name": "Huda"}], minimum_percentage=75)
    quran.happens(*quran.visit("1", 99, name="Ada"), *quran.visit("2", 80, 60, name="Bob"))
    return quran


def violations(page: Page, axe: str) -> list[str]:
    """What axe finds, each with where; in all states of the page that the caller has made."""
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(({ violations }) => violations)")
    return [
        f"{one['id']} ({one['help']}): {node['html'][:200]} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_roster(opened: Open, lesson: Class, axe: str, *, language: str, scheme: str) -> None:
    page = opened(f"/sessions/98?lang={language}#token={teacher()}", color_scheme=scheme)
    expect(page.locator("#people tr")).to_have_count(5)
    page.locator("#every summary").click()
    page.locator("#uncounted summary").click()
    page.locator(".bar").first.focus()
    assert violations(page, axe) == []
    page.set_viewport_size(PHONE)
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_roster_of_a_session_that_is_over(
    opened: Open, ended: Class, axe: str, *, language: str, scheme: str
) -> None:
    page = opened(f"/sessions/98?lang={language}#token={teacher()}", color_scheme=scheme)
    expect(page.locator("#people tr")).to_have_count(3)
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_demo_page_and_the_element(
    opened: Open, lesson: Class, axe: str, *, language: str, scheme: str
) -> None:
    page = opened(f"/?lang={language}", color_scheme=scheme)
    expect(page.locator("#ask")).to_be_visible()
    assert violations(page, axe) == []
    page = opened(f"/?lang={language}#token={pupil()}", color_scheme=scheme)
    expect(page.locator("#answer")).to_contain_text('"not_joined"')
    assert violations(page, axe) == []
    page.locator("#join").click()
    expect(page.locator("#answer")).to_contain_text('"present"')
    assert violations(page, axe) == []
    page.set_viewport_size(PHONE)
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_refused_token_and_an_outage(
    opened: Open, lesson: Class, axe: str, *, language: str, scheme: str
) -> None:
    refused = f"/sessions/98?lang={language}#token={pupil()}"
    page = opened(refused, color_scheme=scheme, expect_errors=True)
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page, axe) == []
    page = opened(f"/?lang={language}#token={pupil()}", color_scheme=scheme, expect_errors=True)
    expect(page.locator("#answer")).to_contain_text("as_of")
    page.route("**/meeting/join", lambda route: route.abort())
    page.locator("#join").click()
    expect(page.locator("attendance-status").locator(".note")).not_to_be_empty()
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_console(opened: Open, lesson: Class, axe: str, *, language: str, scheme: str) -> None:
    page = opened(f"/ops?lang={language}#token={operator()}", color_scheme=scheme)
    page.locator("select[name=status]").select_option("applied")
    expect(page.locator("#events tr").first).to_be_visible()
    assert violations(page, axe) == []
    page.locator("#events button").first.click()
    expect(page.locator("#event")).to_be_visible()
    assert violations(page, axe) == []
    page.locator("#event-close").click()
    page.locator("#replay").click()
    expect(page.locator("#replaying")).to_be_visible()
    assert violations(page, axe) == []
    page.locator("#replaying-close").click()
    page.set_viewport_size(PHONE)
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_console_with_findings_and_with_unknowns(
    opened: Open, lesson: Class, axe: str, *, language: str, scheme: str
) -> None:
    url = f"/ops?lang={language}#token={operator()}"
    page = opened(url, color_scheme=scheme, expect_errors=True)
    for what in ("workers", "scheduler"):
        expect(page.locator(f"#checks .unwell[data-what={what}] .todo")).not_to_be_empty()
    expect(page.locator("#checks .well").first).to_be_visible()
    assert violations(page, axe) == []
    page.set_viewport_size(PHONE)
    assert violations(page, axe) == []
    page.route("**/api/health", lambda route: route.abort())
    page.reload()
    expect(page.locator("#checks .unknown").first).to_be_visible()
    expect(page.locator("#trouble")).not_to_be_empty()
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_unknown_session(
    opened: Open, lesson: Class, axe: str, *, language: str, scheme: str
) -> None:
    unknown = f"/sessions/nowhere?lang={language}#token={operator()}"
    page = opened(unknown, color_scheme=scheme, expect_errors=True)
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page, axe) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", ["/docs", "/manual/README.md", "/manual/docs/frontend.md"])
def test_the_apis_description_and_the_manual(
    opened: Open, axe: str, *, path: str, scheme: str
) -> None:
    page = opened(path, color_scheme=scheme)
    assert violations(page, axe) == []
    page.set_viewport_size(PHONE)
    assert violations(page, axe) == []


@pytest.fixture
def course(quran: Class) -> Course:
    """Classes that are over, one that runs and one that is to come."""
    held = Course(quran, last_began=30)
    stories = {"p-01": "aals", "p-02": "lae.", "p-06": "...."}
    held.held(stories, hosts=["teacher"])
    Course(quran, name="next", last_began=-60).registered(0, 1, stories)
    return held


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_classes(opened: Open, course: Course, axe: str, *, language: str, scheme: str) -> None:
    query = f"span=half&day={course.quran.now.date()}&lang={language}"
    page = opened(f"/sessions?{query}#token={operator()}", color_scheme=scheme)
    expect(page.locator(".classes .running .presence")).not_to_be_empty()
    assert violations(page, axe) == []
    page.set_viewport_size(PHONE)
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_course(opened: Open, course: Course, axe: str, *, language: str, scheme: str) -> None:
    page = opened(f"/courses/{COURSE}?lang={language}#token={teacher()}", color_scheme=scheme)
    expect(page.locator("#people tr")).to_have_count(3)
    page.locator("td.mark-of").first.hover()
    assert violations(page, axe) == []
    page.set_viewport_size(PHONE)
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_person(opened: Open, course: Course, axe: str, *, language: str, scheme: str) -> None:
    path = f"/people/p-02?course={COURSE}&lang={language}#token={teacher()}"
    page = opened(path, color_scheme=scheme)
    expect(page.locator("#courses a")).to_have_count(3)
    page.locator("#strip a").first.focus()
    assert violations(page, axe) == []
    page.set_viewport_size(PHONE)
    assert violations(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", [f"/courses/{COURSE}", "/people/nobody"])
def test_a_course_and_a_person_that_nobody_knows(
    opened: Open, quran: Class, axe: str, *, language: str, path: str
) -> None:
    page = opened(f"{path}?lang={language}#token={operator()}")
    expect(page.locator("#unknown")).to_be_visible()
    assert violations(page, axe) == []
