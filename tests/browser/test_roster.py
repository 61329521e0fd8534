"""The teacher's page in Chromium: who is there, since when, and why each visit ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet
from playwright.sync_api import Locator, Page, Route, expect

from models.domain.event import Event
from tests import build
from tests.browser.conftest import Class, Open, operator, pupil, teacher
from webhooks.sheets.form import Language
from webhooks.sheets.words import heading

MARKUP = '<img src=x onerror=alert(1)>"&amp;'
LONGEST = MARKUP + "م" * ((256 - len(MARKUP.encode())) // 2)


def path(token: str | None = None, *, lang: str = "en", session: str = "98") -> str:
    return f"/sessions/{session}?lang={lang}#token={token or teacher()}"


@pytest.fixture
def halfway(quran: Class) -> Class:
    """A class of an hour, 35 minutes in: two inside, one gone, one expected and not there."""
    expected = [{"user_id": "9", "name": "Huda"}, {"user_id": "1", "name": "Ada Lovelace"}]
    quran.registered(began=35, expected=expected, late_after_minutes=10)
    quran.happens(
        *quran.visit("1", 36, 20, name="Ada Lovelace"),
        *quran.visit("1", 18, name="Ada Lovelace"),
        *quran.visit("2", 20, name="أحمد المصري"),
        *quran.visit("3", 30, 10, name="Zoë", reason="CONNECTION_TIMEOUT"),
    )
    return quran


@pytest.fixture
def over(quran: Class) -> Class:
    """A class that ended 40 minutes ago: one stayed, one came late and left early, one stayed away,
    and one of whose leave nobody ever heard."""
    expected = [{"user_id": "9", "name": "Huda"}]
    quran.registered(began=100, expected=expected, minimum_percentage=75)
    quran.happens(
        *quran.visit("1", 101, 40, name="Ada"),
        *quran.visit("2", 80, 60, name="Bob"),
        *quran.visit("4", 99, name="Sam"),
    )
    return quran


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def people(page: Page) -> list[str]:
    return page.locator("#people .name").all_text_contents()


def test_late_and_early_are_by_the_time_in_class(opened: Open, quran: Class) -> None:
    """Whoever looked in before the class began, or after it ended, was not in class then."""
    quran.registered(began=100)
    quran.happens(
        *quran.visit("1", 145, 140, name="Ada"),
        *quran.visit("1", 55, 40, name="Ada"),
        *quran.visit("2", 100, 80, name="Bob"),
        *quran.visit("2", 20, 19, name="Bob"),
    )
    page = opened(path())
    expect(row(page, "Ada").locator(".joined")).to_contain_text("45 mins late")
    expect(row(page, "Bob").locator(".left")).to_contain_text("40 mins early")


def test_it_says_who_is_there_and_since_when(opened: Open, halfway: Class) -> None:
    page = opened(path())
    expect(page.locator("#counts")).to_have_text(
        "2 people are in the session now, 1 has left and 1 has not joined yet."
    )
    ada, ahmad = row(page, "Ada Lovelace"), row(page, "أحمد المصري")
    expect(ada).to_contain_text("In session")
    expect(ada.locator(".visits .value")).to_have_text("2")
    expect(ada.locator(".minutes .value")).to_have_text("34 mins")
    expect(ahmad.locator(".joined")).to_contain_text("15 mins late")
    expect(row(page, "Zoë")).to_contain_text("Left")
    expect(row(page, "Huda")).to_contain_text("Not joined yet")
    began = (halfway.ago(35) + timedelta(hours=3)).strftime("%H:%M")
    expect(page.locator(".facts")).to_contain_text(f"at {began} to")
    expect(page.locator(".facts")).to_contain_text("Asia/Riyadh")


def test_after_the_end_it_says_who_attended_and_who_was_absent(opened: Open, over: Class) -> None:
    page = opened(path())
    expect(page.locator("#counts")).to_have_text(
        "3 attended (1 of them below the minimum) and 1 was absent."
    )
    bob, huda = row(page, "Bob"), row(page, "Huda")
    expect(bob.locator(".left")).to_contain_text("20 mins early")
    expect(bob.locator(".percentage")).to_contain_text("33.3%")
    expect(huda).to_contain_text("Absent")
    expect(row(page, "Ada").locator(".note:not(:empty)")).to_have_count(0)


def test_who_came_too_little_is_not_shown_as_somebody_who_attended(
    opened: Open, over: Class
) -> None:
    page = opened(path())
    ada, bob = (row(page, name).locator(".status .value") for name in ("Ada", "Bob"))
    expect(ada).to_have_text("Attended")
    expect(bob).to_have_text("Below minimum")
    looks = [one.evaluate("(badge) => getComputedStyle(badge).color") for one in (ada, bob)]
    assert looks[0] != looks[1]
    page = opened(path(lang="ar"))
    expect(row(page, "Bob").locator(".status .value")).to_have_text("دون الحد الأدنى")
    expect(page.locator("#counts")).to_have_text(
        "حضر 3 أشخاص (واحد منهم دون الحد الأدنى) وغاب شخص واحد."
    )


def test_who_was_late_left_early_or_came_too_little_can_be_chosen(
    opened: Open, over: Class
) -> None:
    over.happens(*over.visit("6", 60, 40, name="Eve"))
    page = opened(path())
    expect(page.locator("#people tr")).to_have_count(5)
    for choice, chosen in {
        "Late 2": ["Bob", "Eve"],
        "Left early 1": ["Bob"],
        "Below minimum 2": ["Bob", "Eve"],
        "Attended 4": ["Ada", "Bob", "Eve", "Sam"],
    }.items():
        page.get_by_role("radio", name=choice).check()
        assert people(page) == chosen, choice


def test_who_only_says_so_themselves_is_marked(opened: Open, halfway: Class) -> None:
    halfway.joins("8", name="Fatima")
    page = opened(path())
    expect(row(page, "Fatima").locator(".status")).to_contain_text("LiveKit did not confirm it")
    expect(row(page, "Ada Lovelace").locator(".status .note")).to_be_empty()


def test_a_connection_that_failed_is_seen_on_its_row(opened: Open, quran: Class) -> None:
    quran.registered(began=20)
    words: build.Words = {"user": "1", "name": "Ada", "sid": "PA_aborted"}
    words |= {"room_created": quran.ago(15), "joined_at": quran.ago(12)}
    quran.happens(
        build.joined(quran.ago(12), **words),
        build.aborted(quran.ago(11), **words),
        *quran.visit("1", 10, name="Ada"),
    )
    page = opened(path())
    expect(row(page, "Ada").locator(".visits")).to_contain_text("1 failed")
    row(page, "Ada").locator(".bar").first.hover()
    expect(page.locator("#tip")).to_contain_text("Never got a connection")


@pytest.fixture
def mixed(quran: Class) -> Class:
    """Halfway: one under another name, one guest by phone, one only by their own page's word, one
    by LiveKit's only in part, one who tried twice and never came up, and an agent."""
    expected = [("1", "Sara"), ("2", "Bilal"), ("3", "Mona"), ("4", "Omar")]
    people = [{"user_id": user, "name": name} for user, name in expected]
    quran.registered(began=30, minimum_percentage=75, expected=people)
    quran.joins("3", name="Mona")
    quran.joins("2", name="Bilal")
    quran.happens(
        *quran.visit("1", 29, name="Batman"),
        *quran.visit("+966555", 20, 5, name="+966555", kind="SIP"),
        *quran.visit("agent-1", 29, name="Tutor", kind="AGENT"),
        *aborted(quran, "4", 12),
        *aborted(quran, "4", 9),
        *aborted(quran, "5", 8),
    )
    return quran


def aborted(quran: Class, user: str, ago: float) -> list[Event]:
    """Somebody's connection that never came up, so many minutes ago."""
    words: build.Words = {"user": user, "sid": f"PA_{user}_{ago}", "joined_at": None}
    words |= {"room_created": quran.ago(quran.room_began)}
    return [build.aborted(quran.ago(ago), **words)]


def test_guests_and_phones_are_marked_and_guests_can_be_chosen(opened: Open, mixed: Class) -> None:
    page = opened(path())
    guest = row(page, "+966555")
    expect(guest.locator(".mark:visible")).to_have_text(["Guest", "Phone"])
    expect(row(page, "Sara").locator(".mark:visible")).to_have_count(0)
    guest.locator(".bar").hover()
    expect(page.locator("#tip")).to_contain_text("Phone")
    page.get_by_role("radio", name="Guests 1").check()
    assert people(page) == ["+966555"]
    page = opened(path(lang="ar"))
    expect(row(page, "+966555").locator(".mark:visible")).to_have_text(["ضيف", "هاتف"])


def test_hosts_are_marked_and_are_in_no_count(opened: Open, quran: Class) -> None:
    expected = [{"user_id": "1", "name": "Ada"}]
    quran.registered(began=20, title="Quran, week 3", hosts=["t"], expected=expected)
    quran.happens(*quran.visit("t", 15, name="Maryam"), *quran.visit("1", 10, name="Ada"))
    page = opened(path())
    expect(page.get_by_role("heading", level=1)).to_contain_text("Quran, week 3")
    expect(row(page, "Maryam").locator(".mark:visible")).to_have_text(["Host"])
    expect(row(page, "Ada").locator(".mark:visible")).to_have_count(0)
    assert sorted(people(page)) == ["Ada", "Maryam"]
    page.locator("input[name=status][value=present]").check()
    assert people(page) == ["Ada"]


def test_nobody_is_a_guest_where_nobody_is_expected(opened: Open, quran: Class) -> None:
    quran.registered(began=20)
    quran.happens(*quran.visit("1", 10, name="Ada"))
    page = opened(path())
    expect(row(page, "Ada")).to_be_visible()
    expect(page.locator(".mark:visible")).to_have_count(0)
    expect(page.get_by_role("radio", name="Guests")).to_be_hidden()
    expect(page.get_by_role("radio", name="Not confirmed")).to_be_hidden()


def test_the_name_inside_stands_beside_the_registered_one(opened: Open, mixed: Class) -> None:
    page = opened(path())
    expect(row(page, "Sara").locator(".name")).to_have_text("Sara")
    expect(row(page, "Sara").locator(".alias")).to_have_text("joined as \u2068Batman\u2069")
    expect(row(page, "Mona").locator(".alias")).to_be_hidden()
    page.get_by_label("Find a person").fill("batman")
    assert people(page) == ["Sara"]
    page = opened(path(lang="ar"))
    expect(row(page, "Sara").locator(".alias")).to_have_text("انضم باسم \u2068Batman\u2069")


def test_what_livekit_did_not_confirm_is_said_and_can_be_chosen(opened: Open, mixed: Class) -> None:
    """LiveKit's word on Bilal came late, or only of a part of his time."""
    page = opened(path())
    expect(row(page, "Mona").locator(".status .note")).to_have_text("LiveKit did not confirm it")
    expect(row(page, "Sara").locator(".status .note")).to_be_empty()
    page.get_by_role("radio", name="Not confirmed 2").check()
    assert people(page) == ["Bilal", "Mona"]
    page = opened(path(lang="ar"))
    expect(row(page, "Mona").locator(".status .note")).to_have_text("لم يؤكده LiveKit")


def test_of_a_time_that_livekit_confirmed_in_part_it_says_which_part(
    opened: Open, mixed: Class
) -> None:
    def partly(route: Route) -> None:
        """An hour by the page's word, of which LiveKit knows twelve minutes."""
        answer = route.fetch()
        told = answer.json()
        times = {"1": (3600, 720), "+966555": (3600, 3540), "2": (65, 0)}
        for line in told["attendances"]:
            if line["user_id"] in times:
                line["duration_seconds"], line["confirmed_seconds"] = times[line["user_id"]]
        route.fulfill(response=answer, json=told)

    page = opened(path(), before=lambda page: page.route("**/attendance?*", partly))
    note = row(page, "Sara").locator(".status .note")
    expect(note).to_have_text("LiveKit confirmed 12 mins only")
    expect(row(page, "+966555").locator(".status .note")).to_be_empty()


def test_connections_that_never_came_up_are_seen_without_a_visit(
    opened: Open, mixed: Class
) -> None:
    page = opened(path())
    visits = row(page, "Omar").locator(".visits")
    expect(visits.locator(".value")).to_have_text("0")
    expect(visits.locator(".note")).to_have_text("2 failed")
    expect(row(page, "Sara").locator(".visits .note")).to_be_empty()


@pytest.mark.parametrize(
    ("lang", "count", "lines"),
    [
        (
            "en",
            "4 connections did not count",
            [
                ("5", "The connection never came up", "1"),
                ("Omar", "The connection never came up", "2"),
                ("Tutor", "Not counted as a person: agent", "1"),
            ],
        ),
        (
            "ar",
            "4 اتصالات لم تُحسب",
            [
                ("5", "لم يكتمل الاتصال", "1"),
                ("Omar", "لم يكتمل الاتصال", "2"),
                ("Tutor", "لا يُحسب شخصًا: وكيل برمجي", "1"),
            ],
        ),
    ],
)
def test_what_did_not_count_is_listed_with_why(
    opened: Open, mixed: Class, lang: str, count: str, lines: list[tuple[str, ...]]
) -> None:
    page = opened(path(lang=lang))
    page.get_by_text(count).click()
    expect(page.locator("#uncounted-lines tr")).to_have_count(len(lines))
    for line, said in zip(page.locator("#uncounted-lines tr").all(), lines, strict=True):
        assert tuple(line.locator("th, td").all_text_contents())[:3] == said


def test_where_all_counts_there_is_no_list_of_what_did_not(opened: Open, over: Class) -> None:
    page = opened(path())
    expect(page.locator("#people tr")).to_have_count(4)
    expect(page.locator("#uncounted")).to_be_hidden()


def test_the_minimum_is_said(opened: Open, over: Class) -> None:
    expect(opened(path()).locator(".facts")).to_contain_text("Minimum attendance 75%")
    arabic = opened(path(lang="ar")).locator("#minimum")
    expect(arabic).to_have_text(re.compile("^الحد الأدنى للحضور .*75"))


def test_without_a_minimum_none_is_said(opened: Open, halfway: Class) -> None:
    page = opened(path())
    expect(page.locator("#people tr")).to_have_count(4)
    expect(page.locator("#minimum")).to_be_hidden()


def test_less_than_a_second_late_is_a_second(opened: Open, quran: Class) -> None:
    quran.registered(began=5, late_after_minutes=0)
    quran.happens(*quran.visit("1", 5 - 0.6 / 60, name="Ada"))
    expect(row(opened(path()), "Ada").locator(".joined")).to_contain_text("1 sec late")


def test_arabic_is_written_from_the_right_and_counts_as_arabic_does(
    opened: Open, halfway: Class
) -> None:
    page = opened(path(lang="ar"), locale="ar-EG")
    expect(page.locator("#counts")).to_have_text(
        "شخصان في الجلسة الآن وغادر شخص واحد ولم ينضم شخص واحد بعد."
    )
    expect(row(page, "Zoë").locator(".minutes .value")).to_have_text("٢٠ د")
    ada = row(page, "Ada Lovelace")
    first, second = (ada.locator(".bar").nth(place).bounding_box() for place in (0, 1))
    assert first is not None
    assert second is not None
    assert first["x"] > second["x"] + second["width"]


def test_bars_stand_where_the_visits_were(opened: Open, over: Class) -> None:
    """Ada's visit fills the scheduled window; Bob's is its second third."""
    page = opened(path())
    bob = row(page, "Bob").locator(".bar")
    expect(bob).to_be_visible()
    placed = page.evaluate(
        """() => {
          const [ada, bob] = ["Ada", "Bob"].map((name) =>
            document.querySelector(`.bar[aria-label^="${name}"]`).getBoundingClientRect());
          const track = document.querySelector(".track");
          const window = getComputedStyle(track, "::before");
          const { left, width } = track.getBoundingClientRect();
          const from = left + parseFloat(window.left);
          return { ada, bob, from, width: parseFloat(window.width) };
        }"""
    )
    minute = placed["width"] / 60
    assert placed["ada"]["x"] == pytest.approx(placed["from"] - minute, abs=1.5)
    assert placed["ada"]["right"] == pytest.approx(placed["from"] + 60 * minute, abs=1.5)
    assert placed["bob"]["x"] == pytest.approx(placed["from"] + 20 * minute, abs=1.5)
    assert placed["bob"]["width"] == pytest.approx(20 * minute, abs=1.5)
    expect(row(page, "Sam").locator(".bar")).to_have_class("bar estimated")
    expect(bob).to_have_class("bar")


def test_the_now_line_stands_at_now_and_open_bars_reach_it(opened: Open, halfway: Class) -> None:
    page = opened(path())
    expect(row(page, "أحمد المصري").locator(".bar")).to_have_class("bar open")
    ends = page.evaluate(
        """() => [...document.querySelectorAll(".track .bar.open")].map((bar) => {
          const line = parseFloat(getComputedStyle(bar.parentElement, "::after").left);
          const start = bar.parentElement.getBoundingClientRect().left;
          return bar.getBoundingClientRect().right - start - line;
        })"""
    )
    assert ends == pytest.approx([0, 0], abs=1.5)


def test_each_visit_says_why_it_ended_on_hover_and_on_focus(opened: Open, halfway: Class) -> None:
    page = opened(path())
    tip = page.locator("#tip")
    row(page, "Zoë").locator(".bar").hover()
    expect(tip).to_contain_text("Lost the connection")
    expect(tip).to_contain_text("20 mins")
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    row(page, "Ada Lovelace").locator(".bar").first.focus()
    expect(tip).to_contain_text("Left the room")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    expect(row(page, "Ada Lovelace").locator(".bar").last).to_have_accessible_name(
        re.compile(r"Ada Lovelace: .*, still inside$")
    )


def test_the_keyboard_reaches_every_visit_with_one_tab_stop(opened: Open, halfway: Class) -> None:
    page = opened(path())
    expect(page.locator("#people tr")).to_have_count(4)
    page.get_by_role("button", name="Visits").focus()
    focused = page.locator(":focus")
    for reached in ("^Ada Lovelace$", "^Correct$", "^Ada Lovelace: "):
        page.keyboard.press("Tab")
        expect(focused).to_have_accessible_name(re.compile(reached))
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_accessible_name(re.compile("still inside"))
    page.keyboard.press("ArrowDown")
    expect(focused).to_have_accessible_name(re.compile("^Zoë"))
    page.keyboard.press("End")
    expect(focused).to_have_accessible_name(re.compile("^أحمد"))
    expect(page.locator('#people .bar[tabindex="0"]')).to_have_count(1)
    page.keyboard.press("Tab")
    expect(focused).not_to_have_class(re.compile("bar"))
    page.keyboard.press("Shift+Tab")
    expect(focused).to_have_accessible_name(re.compile("^أحمد"))


def test_the_timeline_has_its_table(opened: Open, halfway: Class) -> None:
    page = opened(path())
    page.get_by_text("Every visit in a table").click()
    lines = page.locator("#visits tr")
    expect(lines).to_have_count(4)
    expect(lines.nth(0)).to_contain_text("16 mins")
    expect(lines.nth(2)).to_contain_text("Lost the connection")
    expect(lines.nth(2)).to_contain_text("LiveKit")


def test_people_are_sorted_filtered_and_found(opened: Open, halfway: Class) -> None:
    page = opened(path())
    expect(page.locator("#people tr")).to_have_count(4)
    by_name = ["Ada Lovelace", "Huda", "Zoë", "أحمد المصري"]
    assert people(page) == by_name
    page.get_by_role("button", name="Person").click()
    assert people(page) == by_name[::-1]
    page.get_by_role("button", name="Time").click()
    assert people(page)[-1] == "Huda"  # who has no time comes last, whichever way
    page.get_by_role("button", name="Time").click()
    assert [people(page)[0], people(page)[-1]] == ["Ada Lovelace", "Huda"]
    expect(page.get_by_role("columnheader", name="Time", exact=True)).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_role("radio", name=re.compile("In session")).check()
    assert people(page) == ["Ada Lovelace", "أحمد المصري"]
    page.get_by_role("radio", name=re.compile("All")).check()
    page.get_by_label("Find a person").fill("zoe")
    assert people(page) == ["Zoë"]
    page.get_by_label("Find a person").fill("nobody at all")
    expect(page.locator("#nobody")).to_have_text("Nobody matches.")


def frozen(page: Page) -> None:
    """The page's clock stands still until the test moves it."""
    now = datetime.now(UTC)
    page.clock.install(time=now - timedelta(minutes=1))  # it goes on until it is stopped
    page.clock.pause_at(now)


def later(page: Page) -> Callable[[], None]:
    """`look()`: ten seconds pass, and the page has shown the next answer."""

    def look() -> None:
        with page.expect_response(re.compile("/attendance")) as answered:
            page.clock.run_for(10_000)
        answered.value.finished()

    return look


def watching(page: Page) -> None:
    """Whatever is written to the page from now on is in `written`."""
    page.evaluate(
        """() => {
          window.written = [];
          new MutationObserver((all) => written.push(...all.map(({ type, target }) =>
            `${type} ${target.nodeName} ${target.className}`))
          ).observe(document.body, {
            subtree: true, childList: true, characterData: true, attributes: true,
          });
        }"""
    )


def test_a_refresh_writes_only_what_is_different(opened: Open, over: Class) -> None:
    page = opened(path(), before=frozen)
    expect(page.locator("#people tr")).to_have_count(4)
    watching(page)
    look = later(page)
    look()
    look()
    over.happens(*over.visit("5", 70, 65, name="New"))
    look()
    expect(row(page, "New")).to_be_visible()
    written = page.evaluate("() => written")
    rows = [one for one in written if one.startswith("childList TBODY")]
    assert len(rows) == 1
    assert not [one for one in written if "TR" in one or "BUTTON" in one]
    assert len(written) <= 10, written  # the count and its words, and where now is


def test_who_reads_the_page_keeps_their_place(opened: Open, halfway: Class) -> None:
    """Zoë comes back, so that her row moves up, with the bar that is being read."""
    page = opened(path(), before=frozen)
    expect(page.locator("#people tr")).to_have_count(4)
    page.get_by_role("button", name="Status").click()
    assert people(page) == ["Ada Lovelace", "أحمد المصري", "Zoë", "Huda"]
    zoe = row(page, "Zoë").locator(".bar").first
    zoe.focus()
    halfway.happens(*halfway.visit("3", 5, name="Zoë"))
    later(page)()
    expect(row(page, "Zoë")).to_contain_text("In session")
    assert people(page) == ["Ada Lovelace", "Zoë", "أحمد المصري", "Huda"]
    expect(zoe).to_be_focused()
    expect(page.locator("#tip")).to_contain_text("Zoë")


def test_people_come_and_go_while_one_watches(opened: Open, halfway: Class) -> None:
    page = opened(path(), before=frozen)
    expect(row(page, "أحمد المصري")).to_contain_text("In session")
    halfway.happens(*halfway.visit("2", 20, 0.1, name="أحمد المصري"))
    later(page)()
    expect(row(page, "أحمد المصري")).to_contain_text("Left")
    expect(page.get_by_role("radio", name=re.compile("In session"))).to_have_accessible_name(
        "In session 1"
    )


@pytest.mark.parametrize("lang", ["en", "ar"])
def test_names_with_markup_are_text(opened: Open, quran: Class, lang: str) -> None:
    quran.registered(began=10)
    quran.happens(*quran.visit(LONGEST, 9, 5, name=LONGEST), *quran.visit("6", 8, name=MARKUP))
    page = opened(path(lang=lang))
    expect(page.locator("#people tr")).to_have_count(2)
    assert sorted(people(page)) == sorted([LONGEST, MARKUP])
    page.locator(".bar").first.focus()
    expect(page.locator("#tip bdi")).to_have_text(re.compile(re.escape(MARKUP)))
    page.locator("#every summary").click()
    expect(page.locator("#visits bdi", has_text=LONGEST).first).to_have_text(LONGEST)
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("lang", ["en", "ar"])
def test_nothing_hangs_over_the_edge(opened: Open, quran: Class, lang: str) -> None:
    quran.registered(began=30)
    quran.happens(*quran.visit(LONGEST, 29, 20, name=LONGEST), *quran.visit("6", 8, name="Ada"))
    page = opened(path(lang=lang))
    expect(page.locator("#people tr")).to_have_count(2)
    page.locator("#every summary").click()
    for width in (320, 800, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        page.locator(".bar").first.focus()
        wide, room = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= room


@pytest.mark.usefixtures("in_chromium")
def test_on_paper_everybody_is_there_and_nothing_to_press(opened: Open, halfway: Class) -> None:
    page = opened(path(), color_scheme="dark")
    expect(page.locator("#people tr")).to_have_count(4)
    page.emulate_media(media="print")
    expect(page.locator("#controls")).to_be_hidden()
    expect(row(page, "Huda")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.usefixtures("in_chromium")
@pytest.mark.parametrize("what", ["people", "visits"])
def test_it_is_taken_away_as_a_file(opened: Open, halfway: Class, what: str) -> None:
    file = taken(opened(path()), what, "csv")
    assert file.suffix == ".csv"
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 5
    assert any("أحمد المصري" in line for line in lines)
    assert "(Asia/Riyadh)" in lines[0]


@pytest.mark.usefixtures("in_chromium")
@pytest.mark.parametrize("what", ["people", "visits"])
@pytest.mark.parametrize("lang", ["en", "ar"])
def test_it_is_taken_away_as_a_spreadsheet(
    opened: Open, halfway: Class, what: str, lang: Language
) -> None:
    """In the page's language, and in the reader's time zone."""
    file = taken(opened(path(lang=lang)), what, "xlsx")
    assert file.suffix == ".xlsx"
    (sheet,) = openpyxl.load_workbook(file).worksheets
    assert isinstance(sheet, Worksheet)
    headings, *rows = sheet.values
    column = headings.index(heading("scheduled_at", lang) + " (Asia/Riyadh)")
    began = halfway.ago(35) + timedelta(hours=3)
    assert {row[column] for row in rows} == {began.replace(tzinfo=None)}
    assert "أحمد المصري" in {row[headings.index(heading("name", lang))] for row in rows}
    assert bool(sheet.sheet_view.rightToLeft) is (lang == "ar")


def taken(page: Page, what: str, file_format: str) -> Path:
    """The file that the page hands over, under the name that it suggests."""
    page.locator("#every summary").click()
    with page.expect_download() as downloaded:
        page.locator(f"[data-export={what}][data-format={file_format}]").click()
    kept = Path(downloaded.value.path())
    return kept.rename(kept.with_name(downloaded.value.suggested_filename))


def test_the_token_leaves_the_address_and_stays_in_the_tab(opened: Open, halfway: Class) -> None:
    page = opened(path())
    expect(page.locator("#people tr")).to_have_count(4)
    assert "token" not in page.url
    page.reload()
    expect(page.locator("#people tr")).to_have_count(4)
    page.get_by_role("link", name="العربية").click()
    expect(page.locator("#people tr")).to_have_count(4)


def test_without_a_token_it_asks_for_one(opened: Open, halfway: Class) -> None:
    page = opened("/sessions/98?lang=en")
    page.get_by_label("LiveKit access token").fill(operator())
    page.get_by_role("button", name="Show attendance").click()
    expect(page.locator("#people tr")).to_have_count(4)
    expect(page.get_by_label("LiveKit access token")).to_be_hidden()


@pytest.mark.parametrize(
    ("token", "told"),
    [(pupil(), "a participant's token"), ("not.a.token", "not a LiveKit access token")],
)
def test_a_token_that_does_not_open_it_is_told(
    opened: Open, halfway: Class, token: str, told: str
) -> None:
    page = opened(path(token), expect_errors=True)
    expect(page.get_by_role("alert")).to_contain_text(told)
    expect(page.locator("#roster")).to_be_hidden()


def test_a_room_without_a_schedule_shows_its_own_span(opened: Open, quran: Class) -> None:
    quran.happens(*quran.visit("1", 20, 10, name="Ada"))
    page = opened(path(session="quran-98"))
    expect(row(page, "Ada")).to_contain_text("Left")
    expect(row(page, "Ada").locator(".percentage")).to_be_hidden()
    expect(page.get_by_text("scheduled time")).to_be_hidden()
    first = quran.ago(20) + timedelta(hours=3)
    expect(page.locator("#schedule")).to_contain_text(f"{first.day} {first:%B %Y}")


def test_a_session_with_a_slash_in_its_name(opened: Open, quran: Class) -> None:
    quran.happens(*quran.visit("1", 20, 10, name="Ada", room_name="a/b", room="RM_2"))
    page = opened(f"/sessions/-?session=a%2Fb&lang=en#token={teacher('a/b')}")
    expect(row(page, "Ada")).to_be_visible()


def test_five_hundred_are_all_there_and_one_who_comes_is_one_row(
    opened: Open, quran: Class
) -> None:
    expected = [{"user_id": f"{number:03d}", "name": f"Pupil {number}"} for number in range(500)]
    quran.registered(began=5, expected=expected)
    page = opened(path(), before=frozen)
    expect(page.locator("#people tr")).to_have_count(500)
    expect(page.locator("#counts")).to_have_text("500 have not joined yet.")
    watching(page)
    quran.happens(*quran.visit("250", 4, name="Pupil 250"))
    later(page)()
    expect(row(page, "Pupil 250")).to_contain_text("In session")
    assert len(page.evaluate("written")) <= 20, page.evaluate("written")


def test_a_session_that_nobody_knows_is_said(opened: Open, quran: Class) -> None:
    page = opened(path(operator(), session="nowhere"), expect_errors=True)
    expect(page.get_by_role("alert")).to_contain_text("No session has this id")
    expect(page.locator("#roster")).to_be_hidden()
    page.get_by_role("link", name="Open another session").click()
    expect(page.get_by_label("Session or room")).to_be_visible()


def test_nobody_yet_is_said(opened: Open, quran: Class) -> None:
    page = opened(path(session="quran-98"))
    expect(page.locator("#counts")).to_have_text(re.compile("Nobody has come yet"))


def test_an_outage_is_told_and_what_was_known_stays(opened: Open, halfway: Class) -> None:
    page = opened(path(), before=frozen, expect_errors=True)
    expect(page.locator("#people tr")).to_have_count(4)
    page.route("**/attendance?*", lambda route: route.abort())
    page.clock.run_for(10_000)
    expect(page.get_by_role("status")).to_contain_text("No answer from Rollcall")
    expect(page.locator("#people tr")).to_have_count(4)
    page.unroute("**/attendance?*")
    page.clock.run_for(20_000)
    expect(page.get_by_role("status")).to_be_empty()
