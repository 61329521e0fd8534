"""What the documentation points at is there: tests that show a promise, files, pages, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TESTS = {
    name
    for path in (ROOT / "tests").rglob("*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
}
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def words(page: Path, pattern: str) -> set[str]:
    return set(re.findall(pattern, page.read_text("utf-8")))


@each_page
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    assert words(page, r"`(test_\w+)`") <= TESTS


@each_page
def test_every_file_of_ours_that_a_page_names_exists(page: Path) -> None:
    named = words(page, r"`((?:models|ops|tests|webhooks|worker)/[\w./-]+)`")
    assert {path for path in named if not (ROOT / path).exists()} == set()


@each_page
def test_every_page_that_a_page_links_to_exists(page: Path) -> None:
    linked = words(page, r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
    assert {path for path in linked if not (page.parent / path).exists()} == set()


@each_page
def test_every_command_of_make_that_a_page_names_exists(page: Path) -> None:
    assert words(page, r"`make ([a-z]\w*)") <= TARGETS


def test_every_promise_of_reliability_and_security_names_what_shows_it() -> None:
    """A row of the tables of faults and of tokens without a test is a mere hope."""
    for page, rows in (("reliability.md", 15), ("security.md", 7)):
        text = (ROOT / "docs" / page).read_text("utf-8")
        header = re.compile(r"^\|.*\| (?:shown|held) by \|\n\|[-|]+\|\n((?:\|.*\n)+)", re.MULTILINE)
        found = header.search(text)
        assert found is not None
        promises = found[1].splitlines()
        assert len(promises) >= rows
        for promise in promises:
            assert re.search(r"`(test_\w+|tests/\w+\.py)`[^|]*\|$", promise), promise
