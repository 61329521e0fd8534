"""Correcting attendance on the class page, in Chromium: said with a reason, shown, undone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Class, Open, operator, teacher
from tests.browser.test_roster import path, row


@pytest.fixture
def over(quran: Class) -> Class:
    """A class that ended 40 minutes ago: one came, two stayed away, and a phone was there."""
    expected = [{"user_id": "1", "name": "Ada"}]
    expected += [{"user_id": "8", "name": "هدى"}, {"user_id": "9", "name": "Huda"}]
    quran.registered(began=100, expected=expected)
    quran.happens(*quran.visit("1", 100, 40, name="Ada"), *quran.visit("phone", 95, 50))
    return quran


def corrected(page: Page, name: str) -> Locator:
    """The dialog that corrects this person."""
    row(page, name).get_by_role("button", name="Correct").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(name)
    return dialog


def excuse(page: Page, name: str, *, reason: str) -> None:
    dialog = corrected(page, name)
    dialog.get_by_label("The absence is excused").check()
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name="Save").click()


def test_an_absence_is_excused_with_a_reason_and_that_is_undone(over: Class, opened: Open) -> None:
    page = opened(path())
    expect(row(page, "Huda")).to_contain_text("Absent")
    excuse(page, "Huda", reason="A doctor's note.")
    expect(row(page, "Huda")).to_contain_text("Excused")
    expect(row(page, "Huda")).to_contain_text("Without corrections: Absent")
    expect(row(page, "Huda").locator(".mark.corrected")).to_be_visible()
    dialog = corrected(page, "Huda")
    expect(dialog).to_contain_text("A doctor's note.")
    dialog.get_by_role("button", name="Undo").click()
    expect(row(page, "Huda")).not_to_contain_text("Excused")


def test_an_absence_is_excused_ahead(quran: Class, opened: Open) -> None:
    """It counts when the class is over, for whoever did not come."""
    expected = [{"user_id": "1", "name": "Ada"}, {"user_id": "9", "name": "Huda"}]
    quran.registered(began=-30, expected=expected)
    page = opened(path())
    expect(row(page, "Huda")).to_contain_text("Not joined yet")
    excuse(page, "Huda", reason="At the dentist's.")
    expect(row(page, "Huda").locator(".mark.corrected")).to_be_visible()
    quran.registered(began=100, expected=expected)
    expect(row(opened(path()), "Huda")).to_contain_text("Excused")
    expect(row(opened(path()), "Ada")).to_contain_text("Absent")


def test_a_phone_is_somebody_on_the_list(over: Class, opened: Open) -> None:
    page = opened(path())
    dialog = corrected(page, "phone")
    dialog.get_by_label("This is another person on the list").check()
    dialog.get_by_label("Who it is").select_option("Huda")
    dialog.get_by_label("Reason").fill("Her number.")
    dialog.get_by_role("button", name="Save").click()
    expect(row(page, "Huda")).to_contain_text("Attended")
    expect(row(page, "phone")).to_have_count(0)
    dialog = corrected(page, "Huda")
    expect(dialog).to_contain_text("Her number.")
    dialog.get_by_role("button", name="Undo").click()
    expect(row(page, "phone")).to_contain_text("Attended")


def test_a_time_is_added_and_a_visit_taken_away(over: Class, opened: Open) -> None:
    page = opened(path())
    dialog = corrected(page, "Huda")
    dialog.get_by_label("They were here").check()
    dialog.get_by_label("Reason").fill("Beside her sister.")
    dialog.get_by_role("button", name="Save").click()
    expect(row(page, "Huda")).to_contain_text("Attended")
    dialog = corrected(page, "Ada")
    dialog.get_by_label("A visit does not count").check()
    dialog.get_by_label("Reason").fill("Her brother played.")
    dialog.get_by_role("button", name="Save").click()
    expect(row(page, "Ada")).to_contain_text("Absent")


def test_what_is_refused_is_said_and_the_dialog_stays(over: Class, opened: Open) -> None:
    page = opened(path(), expect_errors=True)
    dialog = corrected(page, "Huda")
    dialog.get_by_label("They were here").check()
    dialog.get_by_label("To", exact=True).fill("2999-01-01T00:00:00")
    dialog.get_by_label("Reason").fill("…")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_have_text(re.compile("still to come"))
    expect(dialog).to_be_visible()


def test_without_a_reason_nothing_is_sent(over: Class, opened: Open) -> None:
    page = opened(path())
    dialog = corrected(page, "Huda")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_visible()
    dialog.get_by_label("Only a note").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(row(page, "Huda").locator(".mark.corrected")).to_be_hidden()


def test_only_what_can_be_said_of_somebody_is_offered(over: Class, opened: Open) -> None:
    page = opened(path())
    dialog = corrected(page, "Ada")
    expect(dialog.get_by_label("The absence is excused")).to_be_hidden()
    expect(dialog.get_by_label("A visit does not count")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    dialog = corrected(page, "Huda")
    expect(dialog.get_by_label("The absence is excused")).to_be_visible()
    expect(dialog.get_by_label("A visit does not count")).to_be_hidden()


def test_in_arabic_and_by_an_operator(over: Class, opened: Open) -> None:
    page = opened(path(operator(), lang="ar"))
    row(page, "هدى").get_by_role("button", name="تصحيح").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("الغياب بعذر").check()
    dialog.get_by_label("السبب").fill("مريضة")
    dialog.get_by_role("button", name="حفظ").click()
    expect(row(page, "هدى")).to_contain_text("غائب بعذر")


def test_an_admin_of_a_further_room_is_told_that_they_may_not(over: Class, opened: Open) -> None:
    expected = [{"user_id": "9", "name": "Huda"}]
    over.registered(began=100, expected=expected, rooms=["group-1"])
    page = opened(path(teacher("group-1")), expect_errors=True)
    dialog = corrected(page, "Huda")
    dialog.get_by_label("Only a note").check()
    dialog.get_by_label("Reason").fill("…")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_have_text(re.compile("does not correct this class"))


def test_the_share_of_the_time_that_a_class_was_held_is_shown(quran: Class, opened: Open) -> None:
    """Its teacher came half an hour late: who stayed with them missed nothing."""
    quran.registered(began=100, hosts=["t"], expected=[{"user_id": "1", "name": "Ada"}])
    quran.happens(*quran.visit("t", 70, 40), *quran.visit("1", 70, 40, name="Ada"))
    expect(row(opened(path()), "Ada")).to_contain_text("100% of the time held")


def test_without_a_schedule_the_share_of_the_time_held_is_shown(quran: Class, opened: Open) -> None:
    quran.happens(*quran.visit("1", 30, name="Ada"), *quran.visit("2", 15, name="Bo"))
    line = row(opened(path(session="quran-98")), "Bo")
    expect(line).to_contain_text(re.compile(r"(49\.\d|50|50\.\d)% of the time held"))
