"""The first page in Chromium: where it leads, what it lets one do, and what it says of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from livekit.api import AccessToken, VideoGrants
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ROOM, Class, Open, operator, pupil, teacher
from tests.build import KEY, SECRET

LANGUAGES = ("en", "ar")


def state(page: Page) -> Locator:
    return page.locator("attendance-status").locator("[part=state]")


def test_one_joins_and_leaves_and_sees_the_answer(opened: Open, quran: Class) -> None:
    quran.registered(began=10)
    page = opened(f"/?lang=en#token={pupil()}")
    join, leave = (page.get_by_role("button", name=name) for name in ("Join", "Leave"))
    expect(page.locator("#answer")).to_contain_text('"not_joined"')
    expect(join).to_be_enabled()
    expect(leave).to_be_disabled()
    join.click()
    expect(state(page)).to_have_text("In session")
    expect(page.locator("#answer")).to_contain_text('"present"')
    expect(join).to_be_disabled()
    assert quran.person("5")["name"] == "Ada"
    leave.click()
    expect(state(page)).to_have_text("Left")
    expect(leave).to_be_disabled()
    expect(join).to_be_enabled()
    expect(page.locator("#snippet")).to_contain_text('session="quran-98"')


def test_who_is_in_the_room_already_neither_joins_nor_leaves_here(
    opened: Open, quran: Class
) -> None:
    quran.registered(began=10)
    quran.happens(*quran.visit("5", 5, name="Ada"))
    page = opened(f"/?lang=en#token={pupil()}")
    expect(state(page)).to_have_text("In session")
    expect(page.locator("#joining")).to_contain_text("in the room already")
    expect(page.get_by_role("button", name="Join")).to_be_disabled()
    expect(page.get_by_role("button", name="Leave")).to_be_disabled()


def test_a_join_that_is_refused_can_be_said_again(opened: Open, quran: Class) -> None:
    quran.registered(began=10)
    page = opened(f"/?lang=en#token={pupil()}", expect_errors=True)
    join, leave = (page.get_by_role("button", name=name) for name in ("Join", "Leave"))
    page.route("**/meeting/join", lambda route: route.fulfill(status=409, body="{}"))
    join.click()
    expect(leave).to_be_disabled()
    expect(join).to_be_enabled()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_leads_to_the_others(client: FlaskClient, language: str) -> None:
    for path in ("/", "/ops", "/sessions", "/sessions/98", "/courses/a", "/people/5"):
        page = client.get(path, query_string={"lang": language}).text
        leads = {urlsplit(link).path for link in re.findall(r'href="([^"#?][^"]*)"', page)}
        assert {"/", "/sessions", "/ops", "/docs", "/manual/README.md"} <= leads
        assert [link for link in leads if client.get(link, buffered=True).status_code != 200] == []


@pytest.mark.parametrize(
    "path",
    ["/", "/sessions", "/sessions/98", "/courses/a", "/people/5", "/docs", "/manual/README.md"],
)
def test_under_a_path_of_another_site_every_link_stays_under_it(
    client: FlaskClient, path: str
) -> None:
    page = client.get(path, base_url="http://localhost/rollcall").text
    links = re.findall(r'(?:href|src)="(/[^"]*)"', page)
    assert len(links) >= 6
    assert [link for link in links if not link.startswith("/rollcall/")] == []


def test_it_says_how_to_get_each_token(opened: Open) -> None:
    page = opened("/?lang=en")
    expect(page.locator(".tokens dd").nth(1)).to_contain_text(
        "To get one: the token that your page"
    )
    commands = page.locator(".tokens code").all_text_contents()
    assert commands == [
        ".venv/bin/flask token --room my-room --user 5",
        ".venv/bin/flask token --room my-room --admin",
        ".venv/bin/flask token --ops",
    ]


def test_it_opens_a_class_by_its_session(opened: Open, quran: Class) -> None:
    quran.happens(*quran.visit("1", 20, 10, name="Ada", room_name="a/b", room="RM_2"))
    page = opened(f"/?lang=en#token={operator()}")
    page.get_by_label("Session or room").fill("a/b")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#people .name")).to_have_text("Ada")
    assert page.url.endswith("/sessions/-?session=a%2Fb&lang=en")


def test_a_teacher_finds_their_class(opened: Open, quran: Class) -> None:
    quran.happens(*quran.visit("1", 20, name="Ada"))
    page = opened(f"/?lang=en#token={teacher()}")
    page.get_by_role("link", name=f"Open the attendance of {ROOM}").click()
    expect(page.locator("#people .name")).to_have_text("Ada")


def expired() -> str:
    made = AccessToken(KEY, SECRET).with_identity("5").with_ttl(timedelta(hours=-2))
    return made.with_grants(VideoGrants(room=ROOM, room_join=True)).to_jwt()


def foreign() -> str:
    made = AccessToken("another", "s" * 32).with_identity("5").with_ttl(timedelta(hours=1))
    return made.with_grants(VideoGrants(room=ROOM, room_join=True)).to_jwt()


MADE: dict[str, Callable[[], str]] = {
    "nonsense": lambda: "nonsense",
    "expired": expired,
    "foreign": foreign,
    "participant's": pupil,
    "teacher's": teacher,
    "other teacher's": lambda: teacher("other"),
}
NO_TOKEN = "That is not a LiveKit access token. Paste a whole one"
EXPIRED = "That token has expired. Paste a new one."
FOREIGN = "a key that this server does not have. Paste one of the LiveKit project"
SENTENCES = [
    ("/", "nonsense", NO_TOKEN),
    ("/", "expired", EXPIRED),
    ("/", "foreign", FOREIGN),
    ("/sessions/98", "nonsense", NO_TOKEN),
    ("/sessions/98", "expired", EXPIRED),
    ("/sessions/98", "foreign", FOREIGN),
    ("/sessions/98", "participant's", "That is a participant's token"),
    ("/sessions/98", "other teacher's", "That token is for the room other"),
    ("/ops", "nonsense", NO_TOKEN),
    ("/ops", "expired", EXPIRED),
    ("/ops", "foreign", FOREIGN),
    ("/ops", "teacher's", "not an operator's. `flask token --ops` prints one."),
]


@pytest.mark.parametrize(("path", "whose", "said"), SENTENCES)
def test_a_token_that_opens_nothing_is_answered_with_what_to_do(
    opened: Open, quran: Class, path: str, whose: str, said: str
) -> None:
    quran.registered(began=10)
    token, trouble = MADE[whose](), "#ask-trouble"
    page = opened(f"{path}?lang=en#token={token}", expect_errors=True)
    expect(page.locator(trouble)).to_contain_text(said)
    expect(page.get_by_label("LiveKit access token")).to_be_visible()
    page = opened(f"{path}?lang=ar#token={token}", expect_errors=True)
    expect(page.locator(trouble)).to_contain_text(re.compile("^[^a-z]*[\u0600-\u06ff]{3}"))


def test_a_participant_at_the_class_is_led_to_their_own(opened: Open, quran: Class) -> None:
    quran.registered(began=10)
    page = opened(f"/sessions/98?lang=en#token={pupil()}", expect_errors=True)
    page.get_by_role("link", name="See your own attendance").click()
    expect(state(page)).to_have_text("Not joined yet")


def test_a_teacher_at_another_class_is_led_to_theirs(opened: Open, quran: Class) -> None:
    quran.registered(began=10)
    quran.happens(*quran.visit("1", 20, name="Ada", room_name="other", room="RM_2"))
    page = opened(f"/sessions/98?lang=en#token={teacher('other')}", expect_errors=True)
    page.get_by_role("link", name="Open the class in other").click()
    expect(page.locator("#people .name")).to_have_text("Ada")


def test_a_pasted_header_is_taken_as_its_token(opened: Open, quran: Class) -> None:
    page = opened("/?lang=en")
    page.get_by_label("LiveKit access token").fill(f"Bearer {pupil()}")
    page.get_by_role("button", name="Show attendance").click()
    expect(state(page)).to_have_text("Not joined yet")
