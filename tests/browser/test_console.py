"""The operators' console in Chromium: break events, see them, replay them, see them gone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect
from sqlalchemy import update

from models.domain import event
from models.settings.settings import Settings
from models.storage import db
from models.tables import pending_event, webhook_event
from models.tables.webhook_event import webhook_events
from tests import build
from tests.browser.conftest import Class, Open, operator, served, teacher
from tests.browser.test_home import foreign
from tests.doors import drain
from tests.faults import free_port
from webhooks.app import create_app

MARKUP = "<img src=x onerror=alert(1)>"
NUMBER = 3


def path(token: str | None = None, *, lang: str = "en") -> str:
    return f"/ops?lang={lang}#token={token or operator()}"


@pytest.fixture
def broken(quran: Class) -> Class:
    """Three events that failed: what was kept of them names no participant."""
    rows = []
    for number in range(NUMBER):
        told = build.joined(quran.now, sid=f"PA_{number}", user=MARKUP)
        payload = event.redact(build.webhook(told))
        del payload["participant"]["sid"]
        rows.append(webhook_event.pending_row(told, payload, received_at=quran.now))
    with db.writing(quran.backend.engine) as conn:
        webhook_event.insert_rows(conn, rows)
    drain(quran.backend)
    return quran


def mend(broken: Class) -> None:
    """What an operator's fix amounts to: the events can be read now."""
    for number in range(NUMBER):
        told = build.joined(broken.now, sid=f"PA_{number}", user=MARKUP)
        payload = event.redact(build.webhook(told))
        of_event = webhook_events.c.event_id == told.event_id
        with db.writing(broken.backend.engine) as conn:
            conn.execute(update(webhook_events).where(of_event).values(payload=payload))


def test_what_failed_is_seen_replayed_and_gone(broken: Class, opened: Open) -> None:
    page = opened(path())
    expect(page.locator("#events tr")).to_have_count(NUMBER)
    expect(page.locator("#events tr").first).to_contain_text("participant.sid is missing")
    expect(page.locator(".unwell", has_text="Failed")).to_contain_text("3 failed")
    mend(broken)
    page.get_by_role("button", name="Replay these").click()
    expect(page.get_by_role("dialog")).to_contain_text("3 events would be applied again")
    page.get_by_role("button", name="Replay now").click()
    expect(page.get_by_role("dialog")).to_contain_text("3 events went back")
    drain(broken.backend)
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#found")).to_have_text("No event matches.")
    page.get_by_label("Status").select_option("applied")
    expect(page.locator("#events tr")).to_have_count(NUMBER)


def test_a_dry_run_that_is_closed_changes_nothing(broken: Class, opened: Open) -> None:
    page = opened(path())
    page.get_by_role("button", name="Replay these").click()
    expect(page.get_by_role("dialog")).to_contain_text("3 events would be applied again")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    with db.reading(broken.backend.engine) as conn:
        assert webhook_event.failed(conn) == NUMBER
        assert pending_event.count(conn) == 0


def test_one_event_is_shown_whole_as_text_and_replayed_alone(broken: Class, opened: Open) -> None:
    page = opened(path())
    page.locator("#events button").first.click()
    detail = page.get_by_role("dialog")
    expect(detail).to_contain_text(MARKUP)
    expect(detail).to_contain_text("participant.sid is missing")
    mend(broken)
    detail.get_by_role("button", name="Replay this event").click()
    page.get_by_role("button", name="Replay now").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 event went back")
    drain(broken.backend)
    with db.reading(broken.backend.engine) as conn:
        assert webhook_event.failed(conn) == NUMBER - 1


def test_filters_narrow_what_is_shown_and_replayed(broken: Class, opened: Open) -> None:
    page = opened(path())
    expect(page.locator("#events tr")).to_have_count(NUMBER)
    room = page.get_by_role("searchbox", name="Room")
    room.fill("another room")
    room.press("Enter")
    expect(page.locator("#found")).to_have_text("No event matches.")
    page.get_by_role("button", name="Replay these").click()
    expect(page.get_by_role("dialog")).to_contain_text("0 events would be applied again")
    expect(page.get_by_role("button", name="Replay now")).to_be_hidden()


def test_with_any_status_what_is_shown_is_replayed(broken: Class, opened: Open) -> None:
    broken.happens(*broken.visit("7", 20))
    page = opened(path())
    page.get_by_label("Status").select_option("")
    expect(page.locator("#events tr")).to_have_count(NUMBER + 1)
    page.get_by_role("button", name="Replay these").click()
    expect(page.get_by_role("dialog")).to_contain_text("4 events would be applied again")
    page.get_by_role("button", name="Replay now").click()
    expect(page.get_by_role("dialog")).to_contain_text("4 events went back")
    with db.reading(broken.backend.engine) as conn:
        assert pending_event.count(conn) == NUMBER + 1


def test_an_answer_to_earlier_filters_is_left(broken: Class, opened: Open) -> None:
    broken.happens(*broken.visit("7", 20))
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = opened(path(), before=lambda page: page.route("**/api/events?*", hold, times=1))
    page.get_by_label("Status").select_option("")
    expect(page.locator("#events tr")).to_have_count(NUMBER + 1)
    with page.expect_response(held[0].request.url):
        held[0].continue_()
    page.wait_for_load_state("networkidle")
    expect(page.locator("#events tr")).to_have_count(NUMBER + 1)
    expect(page.locator("#found")).to_have_text("4 events shown")


def test_a_replay_that_fails_again_says_so(broken: Class, opened: Open) -> None:
    page = opened(path())
    page.get_by_role("button", name="Replay these").click()
    page.get_by_role("button", name="Replay now").click()
    expect(page.get_by_role("dialog")).to_contain_text("3 events went back")
    drain(broken.backend)
    expect(page.get_by_role("dialog")).to_contain_text("3 events failed again")
    expect(page.locator(".unwell", has_text="Failed")).to_contain_text(
        "3 failed, 3 of them again after a replay"
    )


def test_a_tile_filters_the_list(broken: Class, opened: Open) -> None:
    page = opened(path())
    expect(page.locator("#events tr")).to_have_count(NUMBER)
    page.locator("#checks").get_by_role("button", name="Pending").click()
    expect(page.locator("#found")).to_have_text("No event matches.")
    expect(page.get_by_role("button", name="Replay these")).to_be_disabled()
    page.locator("#checks").get_by_role("button", name="Failed").click()
    expect(page.locator("#events tr")).to_have_count(NUMBER)
    expect(page.get_by_label("Status")).to_have_value("failed")


@pytest.mark.parametrize(
    ("lang", "says"),
    [("en", "→ start the Procfile's `worker`"), ("ar", "← شغّل `worker` من Procfile")],
)
def test_a_finding_says_what_to_do(broken: Class, opened: Open, lang: str, says: str) -> None:
    page = opened(path(lang=lang))
    todo = page.locator(".unwell .todo", has_text="`worker`")
    expect(todo).to_have_text(says.partition(" ")[2])


def test_in_an_outage_what_is_not_known_is_unknown(settings: Settings, opened: Open) -> None:
    gone = f"postgresql://127.0.0.1:{free_port()}/0"
    app = create_app(settings.model_copy(update={"database_url": gone}))
    with served(app) as address:
        page = opened(address + path(), expect_errors=True)
        expect(page.locator(".unwell", has_text="Database")).to_contain_text("does not answer")
        expect(page.locator(".unknown", has_text="Failed")).to_contain_text("unknown")
        expect(page.locator("#found")).to_have_text("unknown")
        expect(page.locator("#trouble")).to_contain_text("kept in Redis")


def test_a_teacher_s_token_opens_no_console(broken: Class, opened: Open) -> None:
    page = opened(path(teacher()), expect_errors=True)
    expect(page.locator("#ask-trouble")).to_contain_text("not an operator's")
    expect(page.locator("#console")).to_be_hidden()
    page.get_by_label("LiveKit access token").fill(operator())
    page.get_by_role("button", name="Show attendance").click()
    expect(page.locator("#events tr")).to_have_count(NUMBER)


def test_a_token_of_another_key_is_answered_once(broken: Class, opened: Open) -> None:
    """Health and the ledger are asked together, and both are refused."""
    page = opened(path(foreign()), expect_errors=True)
    expect(page.locator("#ask-trouble")).to_have_text(re.compile("a key that this server does not"))
    page.wait_for_load_state("networkidle")
    expect(page.locator("#trouble")).to_be_empty()
    page.get_by_label("LiveKit access token").fill(operator())
    page.get_by_role("button", name="Show attendance").click()
    expect(page.locator("#events tr")).to_have_count(NUMBER)
    expect(page.locator("#ask-trouble")).to_be_hidden()


def test_without_receivers_there_are_no_deliveries(broken: Class, opened: Open) -> None:
    page = opened(path())
    expect(page.locator(".well", has_text="Deliveries")).to_contain_text("is not set")
    expect(page.locator("#deliveries")).to_be_hidden()


def test_it_speaks_arabic(broken: Class, opened: Open) -> None:
    page = opened(path(lang="ar"))
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.locator("#found")).to_contain_text(re.compile("معروضة"))
