"""`make pictures`: the README's pictures, of the real pages. Not part of the tests."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Class, Open, pupil, teacher

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"

PEOPLE = (
    ("Ada Lovelace", 36, 20),
    ("Ada Lovelace", 18, None),
    ("أحمد المصري", 20, None),
    ("Zoë Müller", 30, 10),
    ("Tomás Rivera", 34, None),
    ("فاطمة الزهراء", 33, None),
)
GUEST = "Tomás Rivera"
ELEMENTS = ("5", "4", "3")


def test_the_class_page(opened: Open, quran: Class) -> None:
    pupils = {name for name, *_ in PEOPLE} - {GUEST}
    expected = [{"user_id": name, "name": name} for name in sorted(pupils)]
    expected += [{"user_id": "9", "name": "Huda Karim"}]
    quran.registered(began=35, minimum_percentage=75, expected=expected)
    visits = (quran.visit(name, began, ended, name=name) for name, began, ended in PEOPLE)
    quran.happens(*chain.from_iterable(visits))
    size = {"width": 1100, "height": 732}
    page = opened(f"/sessions/98?lang=en#token={teacher()}", viewport=size)
    expect(page.locator("#people tr")).to_have_count(6)
    page.screenshot(path=PICTURES / "class.png")


def test_the_element(opened: Open, quran: Class) -> None:
    """In the three states that a class in progress has."""
    quran.registered(began=20)
    quran.happens(*quran.visit("4", 12, name="Ada"), *quran.visit("3", 19, 6, name="Zoë"))
    page = opened("/?lang=en", viewport={"width": 720, "height": 80})
    page.evaluate(
        """(tokens) => {
          const looks = { display: "flex", margin: "1.2rem", gap: "2.5rem" };
          Object.assign(document.body.style, looks);
          document.body.replaceChildren(...tokens.map((token) => {
            const element = document.createElement("attendance-status");
            element.style.fontSize = "1.3rem";
            Object.assign(element, { session: "98", token });
            return element;
          }));
        }""",
        [pupil(user) for user in ELEMENTS],
    )
    for word in ("Not joined yet", "In session", "Left"):
        expect(page.get_by_text(word, exact=True)).to_be_visible()
    page.screenshot(path=PICTURES / "element.png")
