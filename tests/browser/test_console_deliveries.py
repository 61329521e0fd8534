"""The console's deliveries in Chromium: what failed is seen, sent again, and gone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from models.settings.settings import Settings
from tests.browser.conftest import Class, Open, operator
from tests.hooked import Receiver
from tests.test_deliveries import make_due, to
from webhooks.outgoing import finding, sending

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def settings(settings: Settings, receiver: Receiver) -> Settings:
    return to(settings, receiver.url())


@pytest.fixture
def refused(quran: Class, receiver: Receiver) -> Class:
    """A class whose receiver wants nothing any more, and one that answers with an error."""
    quran.registered(began=120)
    for session, began in ((MARKUP, 119), ("حلقة 7", 118)):
        told = {"scheduled_at": quran.ago(began).isoformat(), "duration_minutes": 60}
        headers = {"Authorization": f"Bearer {operator()}"}
        answer = quran.client.put(f"/api/sessions/-?session={session}", json=told, headers=headers)
        assert answer.status_code == 201, answer.text
    receiver.answers = [(410, {}), (410, {}), (500, {})]
    finding.look_around(quran.backend)
    sending.send_all(quran.backend)
    return quran


def test_what_failed_is_seen_sent_again_and_gone(
    refused: Class, opened: Open, receiver: Receiver
) -> None:
    page = opened(f"/ops?lang=en#token={operator()}")
    tile = page.locator(".unwell", has_text="Deliveries")
    expect(tile).to_contain_text("2 failed")
    lines = page.locator("#deliveries-rows tr")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("HTTP 410")
    expect(lines.first).to_contain_text(receiver.url())
    page.locator("#deliveries-rows button").first.click()
    expect(page.locator("#deliveries-found")).to_have_text("1 delivery is sent again.")
    expect(lines).to_have_count(1)
    page.get_by_role("button", name="Send all that failed").click()
    expect(page.locator("#deliveries-found")).to_have_text("2 deliveries are sent again.")
    expect(lines).to_have_count(0)
    make_due(refused.backend)
    sending.send_all(refused.backend)
    expect(page.locator(".well", has_text="Deliveries")).to_contain_text("0 failed, 0 waiting")
    page.locator("#deliveries-status").select_option("sent")
    expect(lines).to_have_count(3)
    assert len(receiver.received) == 6


def test_a_session_s_id_is_shown_as_text_in_both_languages(refused: Class, opened: Open) -> None:
    for lang, waits, shown in (("en", "waiting", "Version"), ("ar", "قيد الانتظار", "النسخة")):
        page = opened(f"/ops?lang={lang}#token={operator()}")
        page.locator("#deliveries-status").select_option("")
        lines = page.locator("#deliveries-rows tr")
        expect(lines).to_have_count(3)
        expect(page.locator("#deliveries")).to_contain_text(MARKUP)
        expect(page.locator("#deliveries")).to_contain_text(shown)
        expect(page.locator("#deliveries-rows tr[data-status=pending]")).to_contain_text(waits)
