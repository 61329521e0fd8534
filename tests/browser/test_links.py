"""A link's token, where the tab has one already: the page asks, and goes on with its own."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Class, Open, operator, pupil, teacher
from tests.browser.test_home import expired, state

ASKED = {
    "en": ("This link brings another access token: ", "Keep mine", "Use the other one"),
    "ar": ("يحمل هذا الرابط رمز دخول آخر", "احتفظ برمزي", "استعمل الرمز الآخر"),
}


def follow(page: Page, link: str) -> None:
    """Go there in the same tab, as a link in it does: the page takes up its token by loading anew.

    What is asked after it is asked of the new document.
    """
    with page.expect_event("load"):
        page.evaluate("link => location.assign(link)", link)


def kept(page: Page) -> str:
    token: str = page.evaluate("sessionStorage.getItem('rollcall.token')")
    return token


@pytest.mark.parametrize("language", ASKED)
def test_a_link_asks_before_it_replaces_a_token_in_use(
    opened: Open, quran: Class, language: str
) -> None:
    quran.registered(began=10)
    sentence, keep, use = ASKED[language]
    mine, theirs = pupil(), teacher("other")
    page = opened(f"/?lang={language}#token={mine}")
    expect(page.locator("#snippet")).to_contain_text('session="quran-98"')
    follow(page, f"/?lang={language}#token={theirs}")
    question = page.get_by_role("alert").filter(has_text=sentence)
    expect(question).to_contain_text("other")
    expect(page.locator("#snippet")).to_contain_text('session="quran-98"')
    assert (kept(page), page.url.partition("#")[2]) == (mine, "")
    page.get_by_role("button", name=keep).click()
    expect(question).to_have_count(0)
    assert kept(page) == mine
    follow(page, f"/?lang={language}#token={theirs}")
    page.get_by_role("button", name=use).click()
    expect(page.get_by_role("alert").filter(has_text=sentence)).to_have_count(0)
    expect(page.locator("#watch")).to_contain_text("other")
    assert kept(page) == theirs


def test_the_console_asks_too(opened: Open, quran: Class) -> None:
    mine = operator()
    page = opened(f"/ops?lang=en#token={mine}")
    expect(page.locator("#checks .well").first).to_be_visible()
    follow(page, f"/ops?lang=en#token={teacher()}")
    expect(page.get_by_role("button", name="Keep mine")).to_be_visible()
    expect(page.locator("#checks .well").first).to_be_visible()
    assert kept(page) == mine


def test_what_is_not_in_use_any_more_is_replaced_without_a_question(
    opened: Open, quran: Class
) -> None:
    quran.registered(began=10)
    page = opened(f"/?lang=en#token={expired()}", expect_errors=True)
    expect(page.locator("#ask-trouble")).to_contain_text("has expired")
    mine = pupil()
    follow(page, f"/?lang=en#token={mine}")
    expect(state(page)).to_have_text("Not joined yet")
    assert kept(page) == mine


def test_no_nonsense_in_a_link_takes_a_token_away(opened: Open, quran: Class) -> None:
    quran.registered(began=10)
    mine = pupil()
    page = opened(f"/?lang=en#token={mine}")
    expect(state(page)).to_have_text("Not joined yet")
    follow(page, "/?lang=en#token=nonsense")
    expect(state(page)).to_have_text("Not joined yet")
    assert kept(page) == mine
