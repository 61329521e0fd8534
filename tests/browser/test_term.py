"""A term in Chromium: the classes of a day, a course's grid, and one person over time."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ROOM, Class, Open, operator, pupil, teacher
from tests.browser.course import COURSE, PUPILS, STORIES, Course
from tests.browser.test_roster import LONGEST, MARKUP

MISSED_MUCH = ["Huda Karim", "فاطمة الزهراء"]
"""Of STORIES: of twelve classes they missed twelve, and four."""

LANGUAGES = ("en", "ar")


@dataclass
class Kept:
    """The database of the first test that held the course, and that test's now."""

    path: Path
    now: datetime | None = None


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("course") / "held.db")


@pytest.fixture
def course(quran: Class, kept: Kept, sqlite_url: str) -> Course:
    """Twelve classes of six weeks, the last one yesterday. They are told once: whoever comes after
    the first begins with a copy of its database."""
    database, held = Path(sqlite_url.removeprefix("sqlite:///")), Course(quran)
    if kept.now is None:
        held.held()
        _copy(database, kept.path)
        kept.now = quran.now
    else:
        _copy(kept.path, database)
        quran.now = kept.now
    return held


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def people(page: Page) -> list[str]:
    return page.locator("#people .person").all_text_contents()


def names(page: Page) -> Locator:
    return page.locator("#people .person")


# --- who missed much ------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [teacher, operator])
def test_from_the_first_page_it_takes_three_clicks_to_see_who_missed_more_than_a_quarter(
    opened: Open, course: Course, token: Callable[[], str]
) -> None:
    page = opened(f"/?lang=en#token={token()}")
    page.get_by_role("link", name="Classes and courses").click()
    page.locator("#courses").get_by_role("link", name=COURSE).click()
    page.get_by_role("radio", name="Missed more than a quarter").check()
    expect(names(page)).to_have_text(MISSED_MUCH)


def test_a_teacher_gets_there_by_their_own_class_too(opened: Open, course: Course) -> None:
    page = opened(f"/?lang=ar#token={teacher()}")
    page.get_by_role("link", name=f"افتح حضور {ROOM}").click()
    page.locator("#of-course").click()
    page.get_by_role("radio", name="غاب عن أكثر من الربع").check()
    expect(names(page)).to_have_text(MISSED_MUCH[::-1])


# --- the classes ----------------------------------------------------------------------------------


@pytest.fixture
def today(quran: Class) -> Class:
    """One class runs, one is over, one is to come, and one that nobody registered."""
    expected = [{"user_id": "1", "name": "Ada"}, {"user_id": "9", "name": "Huda"}]
    quran.registered(began=10, title="Quran", course_id=COURSE, hosts=["t"], expected=expected)
    quran.happens(*quran.visit("1", 9, name="Ada"))
    for session, began, title in (("a", 100, "الجبر"), ("b", -30, "Tajwid")):
        body = {"scheduled_at": quran.ago(began), "title": title, "expected": expected}
        put(quran, session, body | {"room_name": f"room-{session}"})
    return quran


def put(quran: Class, session: str, body: dict[str, object]) -> None:
    answer = quran.client.put(
        f"/api/sessions/{session}",
        data=orjson.dumps(body),
        headers={"Authorization": f"Bearer {operator()}"},
    )
    assert answer.status_code == 201, answer.text


def around(quran: Class) -> str:
    """The days around now, also when the test runs around midnight."""
    return f"/sessions?span=half&day={quran.now.date()}"


def listed(page: Page, title: str) -> Locator:
    return page.locator(".classes li").filter(has_text=title)


def test_the_classes_say_what_runs_and_who_is_there(opened: Open, today: Class) -> None:
    page = opened(f"{around(today)}&lang=en#token={operator()}")
    expect(listed(page, "Quran").locator(".state")).to_have_text(re.compile("^Running, .* left$"))
    expect(listed(page, "Quran").locator(".presence")).to_have_text(
        "1 person is in the session now and 1 has not joined yet"
    )
    expect(listed(page, "الجبر").locator(".presence")).to_have_text("2 were absent")
    expect(listed(page, "Tajwid").locator(".presence")).to_be_empty()


def test_the_classes_that_run_stand_first(opened: Open, today: Class) -> None:
    page = opened(f"{around(today)}&lang=en#token={operator()}")
    expect(page.locator(".classes .name")).to_have_text(["Quran", "الجبر", "Tajwid"])
    expect(page.locator(".day h2").first).to_have_text("Running now")


def test_who_comes_meanwhile_is_counted_without_a_reload(opened: Open, today: Class) -> None:
    page = opened(f"{around(today)}&lang=en#token={operator()}")
    expect(listed(page, "Quran").locator(".presence")).to_contain_text("1 person is")
    today.happens(*today.visit("9", 1, name="Huda"))
    expect(listed(page, "Quran").locator(".presence")).to_have_text(
        "2 people are in the session now", timeout=60_000
    )


def test_classes_are_chosen_by_what_they_are_and_searched(opened: Open, today: Class) -> None:
    page = opened(f"{around(today)}&lang=en#token={operator()}")
    expect(page.locator(".classes .name")).to_have_count(3)
    for choice, titles in {"Running now 1": ["Quran"], "Upcoming 1": ["Tajwid"]}.items():
        page.get_by_role("radio", name=choice).check()
        expect(page.locator(".classes .name")).to_have_text(titles)
    page.get_by_role("radio", name="All 3").check()
    page.get_by_label("Find a class").fill("الجَبر")
    expect(page.locator(".classes .name")).to_have_text(["الجبر"])
    page.get_by_label("Find a class").fill("nothing like it")
    expect(page.locator("#counts")).to_have_text("No class matches.")


def test_a_teacher_sees_the_classes_of_their_room(opened: Open, today: Class) -> None:
    page = opened(f"{around(today)}&lang=en#token={teacher()}")
    expect(page.locator(".classes .name")).to_have_text(["Quran"])


def test_a_day_without_a_class_shows_what_is_around_it(opened: Open, quran: Class) -> None:
    """Who opens the page on a free day still sees their course."""
    Course(quran, last_began=-3 * 24 * 60).registered(0, 1, {"1": "a"})
    page = opened(f"/sessions?lang=en#token={teacher()}")
    expect(page.locator(".classes .name")).to_have_text(["Quran, class 1"])
    expect(page.get_by_role("radio", name="Day")).not_to_be_checked()


def test_a_day_can_be_gone_to_and_its_address_kept(opened: Open, course: Course) -> None:
    day = course.began(3, 12)
    page = opened(f"/sessions?lang=en#token={operator()}")
    expect(page.locator(".classes li").first).to_be_visible()
    page.get_by_role("radio", name="Day").check()
    page.get_by_label("Day", exact=True).first.fill(day.date().isoformat())
    expect(page.locator(".classes .name")).to_have_text(["Quran, class 4"])
    assert f"day={day.date()}&span=day" in page.url
    page.get_by_role("button", name="Later").click()
    expect(page.locator("#counts")).to_have_text("No class on this day.")
    page.get_by_role("button", name="Earlier").click()
    expect(page.locator(".classes .name")).to_have_text(["Quran, class 4"])


def test_the_classes_of_a_course_are_a_list_of_their_own(opened: Open, course: Course) -> None:
    page = opened(f"/courses/{COURSE}?lang=en#token={operator()}")
    page.get_by_role("link", name="All its classes").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(COURSE)
    expect(page.locator(".classes .name")).to_have_text(
        [f"Quran, class {number}" for number in range(1, 13)]
    )


# --- around a class -------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [teacher, operator])
def test_a_class_leads_to_the_one_before_and_the_one_after(
    opened: Open, course: Course, token: Callable[[], str]
) -> None:
    page = opened(f"/sessions/{course.id(5)}?lang=en#token={token()}")
    page.get_by_role("link", name="Next class").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Quran, class 7")
    page.get_by_role("link", name="Previous class").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Quran, class 6")
    page.locator("#of-course").click()
    expect(names(page)).to_have_count(6)


def test_a_session_without_a_schedule_leads_to_its_room(opened: Open, quran: Class) -> None:
    quran.happens(*quran.visit("1", 20, 10, name="Ada"))
    page = opened(f"/sessions/{ROOM}?lang=en#token={teacher()}")
    page.get_by_role("link", name=f"All classes in \u2068{ROOM}\u2069").click()
    expect(page.locator(".classes .presence")).to_contain_text("1 ")


def test_the_first_class_has_none_before_it(opened: Open, course: Course) -> None:
    page = opened(f"/sessions/{course.id(0)}?lang=en#token={operator()}")
    expect(page.get_by_role("link", name="Next class")).to_be_visible()
    expect(page.get_by_role("link", name="Previous class")).to_be_hidden()


def test_a_person_of_a_class_leads_to_their_own_page(opened: Open, course: Course) -> None:
    page = opened(f"/sessions/{course.id(5)}?lang=en#token={teacher()}")
    page.get_by_role("link", name="Tomás Rivera").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Attendance of Tomás Rivera")


# --- a course -------------------------------------------------------------------------------------


def line(page: Page, name: str) -> Locator:
    return page.locator("#people tr").filter(has=page.locator(".person", has_text=name))


def test_the_grid_has_a_mark_for_each_person_in_each_class(opened: Open, course: Course) -> None:
    page = opened(f"/courses/{COURSE}?lang=en#token={teacher()}")
    expect(names(page)).to_have_count(6)
    words = {"a": "Attended", "l": "Late", "e": "Below minimum", "s": "Late", ".": "Absent"}
    for user, story in STORIES.items():
        cells = line(page, PUPILS[user]).locator("td.mark-of")
        assert cells.all_text_contents() == [words[letter] for letter in story], user
    fatima = line(page, "فاطمة الزهراء")
    expect(fatima.locator("td").nth(0)).to_have_text("8 of 12")
    expect(fatima.locator("td").nth(2)).to_have_text("4")
    expect(page.locator("#totals td").first).to_have_text("5")


def test_the_grid_is_sorted_by_any_column(opened: Open, course: Course) -> None:
    page = opened(f"/courses/{COURSE}?lang=en#token={teacher()}")
    expect(names(page)).to_have_count(6)
    page.get_by_role("button", name="Missed", exact=True).click()
    assert people(page)[:2] == MISSED_MUCH
    header = page.locator("th[aria-sort=descending]")
    expect(header).to_have_text("Missed")
    page.get_by_role("button", name="Missed", exact=True).click()
    assert people(page)[-2:] == MISSED_MUCH[::-1]
    page.get_by_role("button", name="Share", exact=True).click()
    assert people(page)[0] == "Ada Lovelace"


def test_who_is_below_the_minimum_can_be_chosen(opened: Open, course: Course) -> None:
    page = opened(f"/courses/{COURSE}?lang=en#token={teacher()}")
    page.get_by_role("radio", name="Below minimum 3").check()
    assert people(page) == ["Huda Karim", "Tomás Rivera", "فاطمة الزهراء"]
    page.get_by_role("radio", name="Late at times 2").check()
    assert people(page) == ["Tomás Rivera", "أحمد المصري"]


def test_a_cell_says_in_words_what_it_shows(opened: Open, course: Course) -> None:
    page = opened(f"/courses/{COURSE}?lang=en#token={teacher()}")
    line(page, "Tomás Rivera").locator("td.mark-of").nth(0).hover()
    expect(page.locator("#tip")).to_contain_text("Quran, class 1")
    expect(page.locator("#tip")).to_contain_text("Late")
    page.keyboard.press("Escape")
    expect(page.locator("#tip")).to_be_hidden()


def test_a_course_is_taken_away_as_a_file(opened: Open, course: Course, in_chromium: None) -> None:
    page = opened(f"/courses/{COURSE}?lang=en#token={teacher()}")
    for button, kind in (("Download CSV", "csv"), ("Download Excel", "xlsx")):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        assert download.value.suggested_filename == f"report-quran-autumn.{kind}"


def excuse(course: Course, session: str, user: str) -> None:
    answer = course.quran.client.post(
        f"/api/sessions/{session}/corrections",
        data=orjson.dumps({"user_id": user, "kind": "excused", "reason": "A doctor's note."}),
        headers={"Authorization": f"Bearer {teacher()}"},
    )
    assert answer.status_code == 201, answer.text


def test_somebody_who_is_excused_is_seen_to_be(opened: Open, course: Course) -> None:
    """By a shape, a colour and a word of its own, not as somebody who was absent."""
    excuse(course, course.id(0), "p-06")
    page = opened(f"/courses/{COURSE}?lang=en#token={teacher()}")
    huda = line(page, "Huda Karim")
    expect(huda.locator("td.excused")).to_have_text(["Excused"])
    expect(huda.locator("td").nth(2)).to_have_text("12 (1 excused)")
    expect(page.locator("#legend")).to_contain_text("Excused")
    looks = "(cell) => getComputedStyle(cell, '::before').backgroundImage"
    shapes = {huda.locator(f"td.{mark}").first.evaluate(looks) for mark in ("excused", "absent")}
    assert len(shapes) == 2
    page.get_by_role("radio", name="Excused at times 1").check()
    assert people(page) == ["Huda Karim"]
    page = opened(f"/people/p-06?lang=ar#token={teacher()}")
    expect(page.locator("#strip .mark-of.excused")).to_have_text(["غائب بعذر"])
    page = opened(f"/sessions/{course.id(0)}?lang=en#token={teacher()}")
    expect(page.locator("#counts")).to_contain_text("1 was excused")
    expect(page.locator("#people [data-status=excused] .mark:visible")).to_have_text("Corrected")
    page.get_by_role("radio", name="Excused 1").check()
    expect(page.locator("#people .name")).to_have_text(["Huda Karim"])


def test_a_large_course_is_shown_whole_and_sorted_at_once(opened: Open, quran: Class) -> None:
    """60 classes of 200 people: a report as it would be, since what is tried is the page."""
    users = [f"pupil-{number:03d}" for number in range(200)]
    sessions = [f"class-{number:02d}" for number in range(60)]
    report = {
        "people": [person(user, nth, sessions) for nth, user in enumerate(users)],
        "sessions": [
            {"session_id": each, "title": each, "scheduled_at": f"2026-09-01T{nth % 24:02d}:00:00Z"}
            | {"summary": {"completed": 150, "absent": 50, "excused": 0}}
            for nth, each in enumerate(sessions)
        ],
        "next": None,
    }

    def large(page: Page) -> None:
        page.route("**/api/reports/attendance?*", lambda route: route.fulfill(json=report))

    page = opened(f"/courses/large?lang=en#token={operator()}", before=large)
    expect(names(page)).to_have_count(200)
    assert page.locator("#people td.mark-of").count() == 200 * 60
    page.get_by_role("button", name="Missed", exact=True).click()
    assert people(page)[0] == "pupil-059"
    page.get_by_label("Find a person").fill("pupil-19")
    expect(names(page)).to_have_count(10)


def person(user: str, nth: int, sessions: list[str]) -> dict[str, object]:
    """Each missed as many classes as their number says, up to 59."""
    missed = nth % 60
    cells = [
        {"session_id": each, "attendance_status": "absent" if place < missed else "completed"}
        | {"is_late": False, "left_early": False, "meets_minimum": None}
        for place, each in enumerate(sessions)
    ]
    return {
        "user_id": user,
        "name": None,
        "sessions": 60,
        "attended": 60 - missed,
        "late": 0,
        "absent": missed,
        "excused": 0,
        "attendance_percentage": None,
        "below_minimum": None,
        "attendances": cells,
    }


# --- a person -------------------------------------------------------------------------------------


def test_a_person_has_a_column_for_each_class(opened: Open, course: Course) -> None:
    page = opened(f"/people/p-05?course={COURSE}&lang=en#token={teacher()}")
    expect(page.locator("#strip li")).to_have_count(12)
    expect(page.locator("[data-figure=attended]")).to_have_text("10")
    expect(page.locator("[data-beside=attended]")).to_have_text("of 12 classes")
    expect(page.locator("[data-figure=late]")).to_have_text("4")
    expect(page.locator("[data-figure=missed]")).to_have_text("2")
    marks = page.locator("#strip .mark-of").all_text_contents()
    words = {"a": "Attended", "l": "Late", "s": "Late", ".": "Absent"}
    assert marks == [words[letter] for letter in STORIES["p-05"]]
    expect(page.locator("#lines tr").first).to_contain_text("Quran, class 12")
    page.locator("#courses").get_by_role("link", name=COURSE).click()
    expect(names(page)).to_have_count(6)


def test_the_strip_is_one_stop_and_arrows_go_on_from_there(opened: Open, course: Course) -> None:
    for language, forward in (("en", "ArrowRight"), ("ar", "ArrowLeft")):
        page = opened(f"/people/p-05?lang={language}#token={teacher()}")
        expect(page.locator("#strip li")).to_have_count(12)
        expect(page.locator("#strip a[tabindex='0']")).to_have_count(1)
        page.locator("#strip a").first.focus()
        page.keyboard.press(forward)
        expect(page.locator("#strip a").nth(1)).to_be_focused()
        page.keyboard.press("End")
        expect(page.locator("#strip a").last).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Quran, class 12")


def test_a_pupil_sees_their_own_and_nobody_elses(opened: Open, course: Course) -> None:
    page = opened(f"/?lang=en#token={pupil('p-01', name='Ada Lovelace')}", expect_errors=True)
    page.get_by_role("link", name="See your attendance in all classes").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Attendance of Ada Lovelace")
    expect(page.locator("[data-figure=attended]")).to_have_text("12")
    page.evaluate("location.assign('/people/p-05?lang=en')")
    expect(page.get_by_role("alert")).to_contain_text("That is a participant's token")
    page.get_by_role("link", name="See your own attendance").click()
    expect(page.locator("[data-figure=attended]")).to_have_text("12")


# --- what is not there, and who may not -----------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            "/courses/nowhere",
            {"en": "No class of a course with this id has ended yet", "ar": "لم تنتهِ بعد أي حصة"},
        ),
        (
            "/people/nobody",
            {"en": "No class that this token opens has a person", "ar": "لا شخص بهذا المعرّف"},
        ),
    ],
)
def test_what_nobody_knows_is_said_in_one_sentence(
    opened: Open, course: Course, path: str, says: dict[str, str], language: str
) -> None:
    page = opened(f"{path}?lang={language}#token={operator()}")
    expect(page.locator("#unknown")).to_contain_text(says[language])
    expect(page.locator("#page")).to_be_hidden()
    page.locator("#unknown a").click()
    expect(page.locator("#courses").get_by_role("link", name=COURSE)).to_be_visible()


@pytest.mark.parametrize("path", ["/sessions", f"/courses/{COURSE}", "/people/p-05"])
def test_a_participant_is_led_to_their_own_attendance(
    opened: Open, course: Course, path: str
) -> None:
    page = opened(f"{path}?lang=en#token={pupil('p-01')}", expect_errors=True)
    page.get_by_role("link", name="See your own attendance").click()
    expect(page.locator("[data-figure=attended]")).to_have_text("12")


def test_without_a_token_each_page_asks_for_one(opened: Open, course: Course) -> None:
    for path in ("/sessions", f"/courses/{COURSE}", "/people/p-05"):
        page = opened(f"{path}?lang=en")
        page.get_by_label("LiveKit access token").fill(teacher())
        page.get_by_role("button", name="Show attendance").click()
        expect(page.locator("#page")).to_be_visible()


def test_ids_and_names_are_text_whatever_they_hold(opened: Open, quran: Class) -> None:
    held = Course(quran, name="a/b <b>?#" + MARKUP)
    user = "../" + MARKUP
    held.held({user: "al."}, title=LONGEST, expected=[{"user_id": user, "name": LONGEST}])
    page = opened(f"{around(quran)}&lang=en#token={operator()}")
    page.locator("#courses").get_by_role("link", name=held.name).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(held.name)
    page.get_by_role("link", name=LONGEST[:20]).last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(LONGEST[:20])
    expect(page.locator("#id")).to_have_text(user)
    expect(page.locator("#strip .mark-of")).to_have_text(["Attended", "Late", "Absent"])
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("path", ["/sessions", "/courses/a", "/people/a"])
def test_the_other_language_is_of_the_same_page(client: FlaskClient, path: str) -> None:
    page = client.get(path, query_string={"lang": "ar", "day": "2026-11-23"}).text
    assert 'href="?lang=en&amp;day=2026-11-23"' in page


def test_an_id_that_none_can_have_is_refused(client: FlaskClient) -> None:
    for path in ("/courses/", "/people/"):
        answer = client.get(path + "x" * 257)
        assert (answer.status_code, orjson.loads(answer.data)["reason"]) == (400, "invalid")
