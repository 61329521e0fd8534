"""What a deployment needs (`make sizing`): the table in the docs is what it prints."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.bench.needs import HEAD, MEASURED, School, at_start, main, needs, row

PERFORMANCE = Path(__file__).parents[1] / "docs" / "performance.md"


def test_the_documentation_has_its_table() -> None:
    table = "\n".join([HEAD, *(row(School(10**n)) for n in range(2, 7))])
    assert table in PERFORMANCE.read_text()


@pytest.mark.parametrize("people", [10_000, 1_000_000])
def test_ten_times_the_people_cost_no_more_than_ten_times_as_much(people: int) -> None:
    few, many = (at_start(School(each)).cost(MEASURED) for each in (people, people * 10))
    for once, ten_times in zip(asdict(few).values(), asdict(many).values(), strict=True):
        assert once < ten_times <= once * 10.1


def test_who_polls_seldom_costs_less() -> None:
    busy, calm = School(50_000, poll_seconds=10), School(50_000, poll_seconds=60)
    assert needs(calm).web < needs(busy).web
    assert needs(calm).postgresql_gib == needs(busy).postgresql_gib


def test_what_is_kept_for_a_shorter_time_takes_less_place() -> None:
    school = School(50_000)
    short = replace(school, retention_days=7)
    assert needs(short).postgresql_gib < needs(school).postgresql_gib
    assert needs(short).web == needs(school).web


def test_what_is_full_first_is_named_with_how_full_it_is() -> None:
    small, large = needs(School(1_000)), needs(School(1_000_000))
    assert small.full[small.bottleneck] < 0.1
    assert large.full[large.bottleneck] > 1
    assert set(large.full) == set(small.full)


@pytest.mark.parametrize(
    "words", ["--people 0", "--people -5", "--people abc", "--people 1e99", "--poll-seconds nan"]
)
def test_what_is_no_number_of_people_is_refused(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["make sizing", *words.split()])
    with pytest.raises(SystemExit):
        main()
    assert words.split(maxsplit=1)[0] in capsys.readouterr().err
