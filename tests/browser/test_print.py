"""The class page on paper: a class of thirty on one page, in both languages, and nothing astray."""

from __future__ import annotations

from io import BytesIO
from itertools import chain, pairwise

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.browser.conftest import Class, Open, teacher
from tests.browser.course import COURSE, PUPILS, Course
from tests.browser.test_roster import aborted, frozen, path

pytestmark = pytest.mark.usefixtures("in_chromium")

LOCALES = {"en": "en-US", "ar": "ar-EG"}  # hours in twelves: the longest times
A4_WIDTH = 718  # in pixels, within the margins

NAMES = (
    "Ada Lovelace",
    "أحمد المصري",
    "Zoë Müller",
    "Mohammed Abdulrahman Al-Farsi",
    "فاطمة الزهراء",
)


@pytest.fixture
def thirty(quran: Class) -> Class:
    """A class that is over: late ones, early ones, short ones, absent ones, ends nobody told,
    guests, phones, and pupils under other names; two only tried to connect."""
    people = {f"pupil-{number:02d}": NAMES[number % len(NAMES)] for number in range(30)}
    expected = [{"user_id": user, "name": people.pop(user)} for user in ("pupil-28", "pupil-29")]
    expected += [{"user_id": user, "name": name} for user, name in people.items()][::2]
    quran.registered(began=100, minimum_percentage=75, expected=expected)
    visits = [
        quran.visit(
            user,
            101 - number % 4 * 6,
            None if number % 7 == 0 else 40 + number % 3 * 10,
            name=f"{name} 2" if number % 3 else name,
            kind="STANDARD" if number % 5 else "SIP",
        )
        for number, (user, name) in enumerate(people.items())
    ]
    quran.happens(*chain.from_iterable(visits))
    quran.happens(*aborted(quran, "pupil-28", 90), *aborted(quran, "pupil-29", 90))
    return quran


def printed(page: Page, *, landscape: bool = False) -> list[str]:
    """The text of each page of the PDF."""
    made = page.pdf(format="A4", landscape=landscape)
    return [one.extract_text() for one in PdfReader(BytesIO(made)).pages]


@pytest.mark.parametrize("lang", LOCALES)
def test_a_class_of_thirty_is_one_page(opened: Open, thirty: Class, lang: str) -> None:
    page = opened(path(lang=lang), locale=LOCALES[lang], viewport={"width": 360, "height": 740})
    expect(page.locator("#people tr")).to_have_count(30)
    (text,) = printed(page)
    assert [user for user in range(30) if f"pupil-{user:02d}" not in text] == []


def test_the_header_stands_on_every_page(opened: Open, thirty: Class) -> None:
    page = opened(path())
    expect(page.locator("#people tr")).to_have_count(30)
    pages = printed(page, landscape=True)
    assert len(pages) == 2
    assert all("Last left" in text for text in pages)


def test_the_legend_is_never_alone_on_a_page(opened: Open, quran: Class) -> None:
    """One less each time, until the last row and the legend have come to the first page."""
    expected = [{"user_id": f"pupil-{number:02d}"} for number in range(48)]
    quran.registered(began=5, expected=expected)
    page = opened(path(), before=frozen)  # an answer would bring back who was taken away
    expect(page.locator("#people tr")).to_have_count(48)
    pages = printed(page)
    assert len(pages) == 2
    while len(pages) == 2:
        assert "still inside" in pages[1]
        assert "pupil-" in pages[1]
        page.evaluate("document.querySelector('#people tr:last-child').remove()")
        pages = printed(page)


@pytest.mark.parametrize("lang", LOCALES)
def test_no_two_times_of_the_timeline_overlap(opened: Open, thirty: Class, lang: str) -> None:
    page = opened(path(lang=lang), locale=LOCALES[lang])
    expect(page.locator("#people tr")).to_have_count(30)
    for media, width in (("print", A4_WIDTH), *(("screen", at) for at in (320, 700, 1100, 1600))):
        page.emulate_media(media="print" if media == "print" else "screen")
        page.set_viewport_size({"width": width, "height": 740})
        spans = page.evaluate(
            """() => [...document.querySelectorAll("#axis span")]
              .map((time) => time.getBoundingClientRect())
              .filter(({ width }) => width > 0)
              .map(({ left, right }) => [left, right])"""
        )
        assert len(spans) >= 2
        assert all(one[1] < other[0] for one, other in pairwise(sorted(spans))), (media, width)


@pytest.mark.parametrize("lang", LOCALES)
def test_a_course_is_one_page_across_with_every_name(opened: Open, quran: Class, lang: str) -> None:
    stories = {f"pupil-{number:02d}": "al.ea" * 4 for number in range(20)}
    Course(quran).held(stories | dict.fromkeys(PUPILS, "a" * 20))
    page = opened(f"/courses/{COURSE}?lang={lang}#token={teacher()}", locale=LOCALES[lang])
    expect(page.locator("#people tr")).to_have_count(26)
    (text,) = printed(page, landscape=True)
    assert [user for user in stories if user not in text] == []
    assert "Tomás Rivera" in text
