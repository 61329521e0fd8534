"""The element and the class page in WebKit, the engine of Safari, where Debian's is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser import webkit
from tests.browser.conftest import Class, pupil, teacher
from tests.browser.webkit import Tab
from tests.faults import until

NO_WEBKIT = (
    "There is no WebKit to drive. Install it (Debian: apt-get install webkit2gtk-driver xvfb)."
)
STATE = (
    "return document.querySelector('attendance-status')"
    ".shadowRoot.querySelector('.state').textContent"
)


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Tab]:
    if not webkit.is_there():
        pytest.skip(NO_WEBKIT)
    with webkit.tab(tmp_path) as opened:
        yield opened


def test_the_element_joins_and_leaves_with_its_page(
    tab: Tab, academy: Callable[..., str], quran: Class
) -> None:
    quran.registered(began=10)
    tab.opens(academy(f'token="{pupil()}"'))
    until(lambda: tab.runs(STATE) == "Not joined yet")
    tab.runs("document.querySelector('attendance-status').joined()")
    until(lambda: tab.runs(STATE) == "In session")
    tab.opens(academy())
    until(lambda: not quran.person("5")["is_currently_in_meeting"])
    assert [visit["ended_by"] for visit in quran.person("5")["cycles"]] == ["client_left"]


@pytest.mark.parametrize(
    ("lang", "counts"),
    [("en", "1 person is in the session now."), ("ar", "شخص واحد في الجلسة الآن.")],
)
def test_the_class_page_shows_who_is_there(
    tab: Tab, site: str, quran: Class, lang: str, counts: str
) -> None:
    quran.registered(began=10)
    quran.happens(*quran.visit("1", 8, name="Ada"), *quran.visit("bot", 9, kind="AGENT"))
    tab.opens(f"{site}/sessions/98?lang={lang}#token={teacher()}")
    until(lambda: tab.runs("return document.getElementById('counts').textContent") == counts)
    rows = "return [...document.querySelectorAll('#people .name')].map((it) => it.textContent)"
    assert tab.runs(rows) == ["Ada"]
    assert tab.runs("return document.querySelectorAll('#uncounted-lines tr').length") == 1
