"""The manual's recipes as they stand there, each in its framework: a join and a leave each stay.

The room is a double that connects when the test says so; everything else is real.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.arrivals import Arrivals
from tests.browser.conftest import Class, Open, pupil, served
from tests.browser.test_element import counting, passes
from tests.browser.test_element_leaves import LEFT_OVER, idle
from tests.e2e import npm
from tests.faults import until

HERE = Path(__file__).parent / "recipes"
MANUAL = Path(__file__).parents[2] / "docs" / "frontend.md"
LIVEWIRE = "adonisjs-livewire/build/assets/livewire.js"
"""Livewire is on Packagist only; this npm package brings the script that Livewire serves."""

MOST_LINES = 10
BUILD_SECONDS = 60
COMPONENTS = {"react": ("React", "jsx"), "vue": ("Vue", "vue"), "svelte": ("Svelte", "svelte")}
PAGES = {"turbo": ("Turbo", "html"), "livewire": ("Laravel", "blade")}
RECIPES = {"plain": ("Plain", "html")} | COMPONENTS | PAGES

HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Academy</title>
<link rel="icon" href="data:,">
<script src="/room.js" data-turbo-eval="false"></script>
<script type="module" src="{site}/static/attendance-status.js"></script>"""


def recipe(title: str, language: str) -> str:
    """The code under the sentence that begins with this title."""
    chapter = MANUAL.read_text(encoding="utf-8").split("\n## Recipes\n")[1].split("\n## ")[0]
    code = re.search(
        rf"^{title}\b[^`]*?(?:`[^`\n]+`[^`]*?)*```{language}\n(.*?)```",
        chapter,
        re.MULTILINE | re.DOTALL,
    )
    assert code, f"docs/frontend.md has no recipe {title}"
    return code[1]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_ten_lines_at_most(name: str) -> None:
    assert 0 < len(recipe(*RECIPES[name]).splitlines()) <= MOST_LINES


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """`bundles("react")`: the script of a page with the recipe's component."""
    made: dict[str, bytes] = {}

    def bundle(name: str) -> bytes:
        if name not in made:
            made[name] = built(name, tmp_path_factory.mktemp(name))
        return made[name]

    return bundle


def built(name: str, directory: Path) -> bytes:
    title, extension = COMPONENTS[name]
    (directory / f"recipe.{extension}").write_text(recipe(title, extension), encoding="utf-8")
    entry = directory / f"main.{'jsx' if name == 'react' else 'js'}"
    source = next(HERE.glob(f"{name}.js*"))
    entry.write_bytes(source.read_bytes())
    outfile = directory / "bundle.js"
    build = ["node", *map(str, (HERE / "build.mjs", npm.installed(), entry, outfile))]
    subprocess.run(build, check=True, timeout=BUILD_SECONDS)
    return outfile.read_bytes()


@pytest.fixture
def arrivals(app: Flask) -> Arrivals:
    return Arrivals(app)


@pytest.fixture
def site(arrivals: Arrivals) -> Iterator[str]:
    """Where Rollcall answers, and what arrives is counted."""
    with served(arrivals) as address:
        yield address


@dataclass(frozen=True)
class School:
    """A site of another origin than Rollcall's, whose class 98 has begun."""

    opened: Open
    rollcall: str
    address: str
    files: dict[str, bytes]
    """What it serves, by path."""

    def page(self, path: str, *, before: Callable[[Page], None] | None = None) -> Page:
        return self.opened(self.address + path, before=before or watched)


@pytest.fixture
def school(opened: Open, site: str, quran: Class) -> Iterator[School]:
    quran.registered(began=10)
    files = {"/room.js": (HERE / "room.js").read_bytes()}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        kind = "text/javascript" if path.endswith(".js") else "text/html"
        start_response("200 OK", [("Content-Type", f"{kind}; charset=utf-8")])
        return [files.get(path, b"<!doctype html><title>Elsewhere</title>")]

    with served(app) as address:
        yield School(opened, site, address, files)


def watched(page: Page) -> None:
    page.add_init_script(LEFT_OVER)


def timed(page: Page) -> None:
    counting(page)
    watched(page)


def becomes(page: Page, state: str) -> None:
    page.evaluate("(state) => room.become(state)", state)


def status(page: Page) -> Any:
    return page.locator("attendance-status").get_by_role("status")


def component(school: School, name: str, script: bytes) -> str:
    """A page of an application with the recipe's component; its path."""
    body = f'</head><body><div id="app"></div><script type="module" src="/{name}.js"></script>'
    school.files[f"/{name}.js"] = script
    school.files[f"/{name}"] = (HEAD.format(site=school.rollcall) + body).encode()
    return f"/{name}"


def mount(page: Page) -> None:
    page.wait_for_function("() => Boolean(window.mount)")
    page.evaluate("(token) => mount('98', token)", pupil())
    expect(status(page)).not_to_have_text("Checking attendance…")


def counted(arrivals: Arrivals, joins: int, leaves: int) -> None:
    until(lambda: arrivals.joins >= joins and arrivals.leaves >= leaves)
    assert (arrivals.joins, arrivals.leaves) == (joins, leaves)


def gone(page: Page) -> None:
    """Nothing of the recipe or of the element is left in the page."""
    idle(page)
    assert page.evaluate("room.listeners") == 0


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_joins_once_and_leaves_once_each_stay(
    school: School, arrivals: Arrivals, bundles: Callable[[str], bytes], name: str
) -> None:
    page = school.page(component(school, name, bundles(name)))
    mount(page)
    becomes(page, "connected")
    expect(status(page)).to_have_text("In session")
    counted(arrivals, 1, 0)
    page.evaluate("unmount()")
    counted(arrivals, 1, 1)
    gone(page)
    mount(page)  # while the room is connected
    expect(status(page)).to_have_text("In session")
    counted(arrivals, 2, 1)
    becomes(page, "disconnected")
    expect(status(page)).to_have_text("Left")
    page.evaluate("unmount()")
    gone(page)
    counted(arrivals, 2, 2)
    mount(page)
    becomes(page, "connected")
    expect(status(page)).to_have_text("In session")
    page.goto(f"{school.address}/elsewhere")
    counted(arrivals, 3, 3)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_asks_once_a_minute(
    school: School, bundles: Callable[[str], bytes], name: str
) -> None:
    page = school.page(component(school, name, bundles(name)), before=timed)
    page.wait_for_function("() => Boolean(window.mount)")
    page.evaluate("(token) => mount('98', token)", pupil())
    passes(page, 10_000)
    asked = page.evaluate("asked")
    assert asked == 1
    passes(page, 300_000)
    assert 4 <= page.evaluate("asked") - asked <= 6


def test_the_plain_recipe_joins_once_and_leaves_once(school: School, arrivals: Arrivals) -> None:
    body = recipe(*RECIPES["plain"]).replace("…", pupil())
    school.files["/plain"] = f"{HEAD.format(site=school.rollcall)}</head><body>{body}".encode()
    page = school.page("/plain")
    expect(status(page)).to_have_text("Not joined yet")
    for stay in (1, 2):
        becomes(page, "connected")
        expect(status(page)).to_have_text("In session")
        becomes(page, "disconnected")
        expect(status(page)).to_have_text("Left")
        counted(arrivals, stay, stay)
    becomes(page, "connected")
    expect(status(page)).to_have_text("In session")
    page.goto(f"{school.address}/elsewhere")
    counted(arrivals, 3, 3)


def turbo(page: str, site: str) -> str:
    script, element = recipe(*PAGES["turbo"]).split("</script>\n")
    shown = element.replace("…", pupil()) if page != "outside" else ""
    turbo = '<script src="/turbo.js"></script>'
    return f"{HEAD.format(site=site)}{turbo}{script}</script></head><body>{shown}{links('')}"


def livewire(page: str, site: str) -> str:
    """What Blade makes of the recipe, and what Livewire puts into each page."""
    script, element = recipe(*PAGES["livewire"]).split("</script>\n")
    shown = element.replace("@persist('attendance')", '<div x-persist="attendance">')
    shown = shown.replace("@endpersist", "</div>").replace("{{ $session }}", "98")
    shown = shown.replace("{{ $token }}", pupil()) if page != "outside" else ""
    livewire = '<script src="/livewire.js" data-csrf="" data-update-uri="/livewire/update"'
    livewire += " data-navigate-once></script>"
    body = f"{shown}{links('wire:navigate')}{livewire}"
    return f"{HEAD.format(site=site)}{script}</script></head><body>{body}</body></html>"


def links(attribute: str) -> str:
    pages = ("class", "homework", "outside")
    return "".join(f'<p><a {attribute} href="/{page}">{page}</a></p>' for page in pages)


def follow(page: Page, link: str) -> None:
    page.get_by_role("link", name=link).click()
    page.wait_for_url(f"**/{link}")


@pytest.mark.parametrize("name", PAGES)
def test_pages_of_a_class_are_one_stay_and_other_pages_end_it(
    school: School, arrivals: Arrivals, name: str
) -> None:
    school.files["/turbo.js"] = npm.file("@hotwired/turbo/dist/turbo.es2017-umd.js").read_bytes()
    school.files["/livewire.js"] = npm.file(LIVEWIRE).read_bytes()
    for path in ("class", "homework", "outside"):
        made = {"turbo": turbo, "livewire": livewire}[name](path, school.rollcall)
        school.files[f"/{path}"] = made.encode()
    page = school.page("/class")
    page.evaluate("window.same = true")
    expect(status(page)).to_have_text("Not joined yet")
    becomes(page, "connected")
    expect(status(page)).to_have_text("In session")
    follow(page, "homework")
    follow(page, "class")
    expect(status(page)).to_have_text("In session")
    counted(arrivals, 1, 0)
    follow(page, "outside")
    counted(arrivals, 1, 1)
    idle(page)
    follow(page, "class")  # while the room is connected
    expect(status(page)).to_have_text("In session")
    counted(arrivals, 2, 1)
    becomes(page, "disconnected")
    expect(status(page)).to_have_text("Left")
    follow(page, "outside")
    idle(page)
    counted(arrivals, 2, 2)
    follow(page, "class")
    becomes(page, "connected")
    expect(status(page)).to_have_text("In session")
    assert page.evaluate("same")  # no page was loaded anew
    page.goto(f"{school.address}/elsewhere")
    counted(arrivals, 3, 3)


TYPED = """
import type { Attendance } from "./attendance-status";

const element = document.querySelector("attendance-status")!;
element.session = "98";
element.token = null;
const joined: Promise<Attendance | null> = element.joined({ participantSid: "PA_9", name: "Ada" });
element.addEventListener("attendance-changed", ({ detail }) => {
  const before: string | undefined = detail.previous?.attendance_status;
  console.log(before, detail.status.duration_seconds + 1, detail.status.percentage);
});
document.addEventListener("attendance-token-needed", ({ detail }) => console.log(detail.session));
element.left().then((status) => status?.is_currently_in_meeting);
// @ts-expect-error: a sid is text
element.joined({ participantSid: 9 });
// @ts-expect-error: the last answer is the server's
element.status = null;
// @ts-expect-error: there is no such status
if (element.status?.attendance_status === "gone") console.log(joined);
"""


def test_the_types_that_are_served_check_a_page_in_typescript(client: Any, tmp_path: Path) -> None:
    served = client.get("/static/attendance-status.d.ts", buffered=True)
    assert served.mimetype == "text/typescript"
    (tmp_path / "attendance-status.d.ts").write_bytes(served.data)
    (tmp_path / "page.ts").write_text(TYPED, encoding="utf-8")
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext"]
    more = ["--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable", "page.ts"]
    tsc = npm.installed() / "typescript" / "bin" / "tsc"
    check = subprocess.run(
        ["node", tsc, *options, *more],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert (check.returncode, check.stdout) == (0, "")
