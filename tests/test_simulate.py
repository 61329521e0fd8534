"""The simulator against real receivers on loopback: the plan's truth, the rules, the command."""

import asyncio
import functools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec

import jwt
import pytest
from aiohttp import web
from click.testing import CliRunner
from google.protobuf.json_format import Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.protocol.webhook import WebhookEvent

from tests.build import KEY, SECRET
from webhooks.cli.simulate import simulate
from webhooks.simulator.event import DEPARTURE_TIMEOUT, Event
from webhooks.simulator.plan import (
    LONGEST_TAIL,
    TURN_PASSWORD_PREFIX,
    Plan,
    endless_classes,
    plan_classes,
)
from webhooks.simulator.run import run, run_until_stopped
from webhooks.simulator.sender import Clock, NotLoopback, Rules, Tally, Target, sending

MONDAY = datetime(2026, 11, 23, 14, 10, tzinfo=UTC)

P = ParamSpec("P")


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run_it(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run_it


def planned(
    *names: str,
    people: int = 3,
    seconds: float = 20,
    seed: int = 1,
    starts_at: datetime = MONDAY,
    speed: float = 1.0,
) -> Plan:
    return plan_classes(
        names or ("class-001",),
        people=people,
        lasting=timedelta(seconds=seconds),
        seed=seed,
        starts_at=starts_at,
        speed=speed,
    )


@dataclass(frozen=True)
class Post:
    """One POST as it came in."""

    body: bytes
    token: str
    content_type: str
    user_agent: str
    peer: object
    received_at: datetime

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def room(self) -> str:
        return str(self.told["room"]["name"])


Answer = Callable[[web.BaseRequest, int], Awaitable[web.StreamResponse]]


def answering(*statuses: int, retry_after: str | None = None) -> Answer:
    """Answer each of these statuses once and the last one from then on."""

    async def answer(_: web.BaseRequest, number: int) -> web.Response:
        headers = {"Retry-After": retry_after} if retry_after else None
        return web.Response(status=statuses[min(number, len(statuses) - 1)], headers=headers)

    return answer


class Receiver:
    """A real HTTP server on loopback that keeps what it is sent."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or answering(204)
        self.posts: list[Post] = []
        self.came = asyncio.Condition()
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        # Bound and not listening: until `start`, whoever connects is refused.
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.runner = web.ServerRunner(web.Server(self.receive), shutdown_timeout=0.1)

    @property
    def target(self) -> Target:
        url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/webhooks/livekit"
        return Target.parse(url, key=KEY, secret=SECRET)

    async def start(self) -> None:
        await self.runner.setup()
        await web.SockSite(self.runner, self.socket).start()

    async def __aenter__(self) -> "Receiver":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.runner.cleanup()

    async def receive(self, request: web.BaseRequest) -> web.StreamResponse:
        post = Post(
            body=await request.read(),
            token=request.headers["Authorization"],
            content_type=request.headers["Content-Type"],
            user_agent=request.headers["User-Agent"],
            peer=request.transport and request.transport.get_extra_info("peername"),
            received_at=datetime.now(UTC),
        )
        self.posts.append(post)
        self.in_flight[post.room] += 1
        self.most_in_flight |= self.in_flight
        async with self.came:
            self.came.notify_all()
        try:
            return await self.answer(request, len(self.posts) - 1)
        finally:
            self.in_flight[post.room] -= 1

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.came:
            await self.came.wait_for(condition)


class SteppedClock(Clock):
    """Time passes when somebody sleeps, and only then."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self.instant = MONDAY
        self.slept: list[float] = []
        self.meanwhile = meanwhile

    def now(self) -> datetime:
        return self.instant

    async def sleep(self, span: timedelta) -> None:
        self.slept.append(span.total_seconds())
        self.instant += span
        await (self.meanwhile() if self.meanwhile else asyncio.sleep(0))


def started(*room_names: str) -> list[Event]:
    """One event for each name, in that order, as often as it is named."""
    return [planned(name, seed=seed).events[0] for seed, name in enumerate(room_names)]


class TestPlan:
    def test_the_same_seed_and_start_give_the_same_plan_to_the_byte(self) -> None:
        once, again = planned(people=30), planned(people=30)
        assert once == again
        assert [e.body() for e in once.events] == [e.body() for e in again.events]

    def test_another_seed_gives_other_comings_and_goings(self) -> None:
        assert {v.joined_at for v in planned().visits} != {
            v.joined_at for v in planned(seed=2).visits
        }

    def test_another_start_gives_the_same_comings_and_goings_under_other_ids(self) -> None:
        later = timedelta(days=1)
        today, tomorrow = planned(people=30), planned(people=30, starts_at=MONDAY + later)
        assert [(v.identity, v.joined_at + later) for v in today.visits] == [
            (v.identity, v.joined_at) for v in tomorrow.visits
        ]
        assert not {e.event_id for e in today.events} & {e.event_id for e in tomorrow.events}
        assert not {v.participant_sid for v in today.visits} & {
            v.participant_sid for v in tomorrow.visits
        }

    def test_a_class_of_thirty_has_all_that_livekit_does(self) -> None:
        plan = planned("a", "b", "c", "d", people=30, seconds=60)
        late = [v.left_at - v.gone_at for v in plan.visits if "TIMEOUT" in v.disconnect_reason]
        assert late
        assert all(timedelta(seconds=18) < span < timedelta(seconds=20) for span in late)
        assert any(v.disconnect_reason == "DUPLICATE_IDENTITY" for v in plan.visits)
        assert any(old.left_at > new.joined_at for old, new in rejoins(plan))
        assert any(old_left_comes_after_new_joined(plan))
        assert any(e.visit and e.visit.name == "" for e in plan.events)
        assert any("طالب" in v.identity for v in plan.visits)
        assert {b", " in e.body() for e in plan.events} == {True, False}

    def test_the_room_of_somebody_alone_ends_while_they_are_away_and_lives_again(self) -> None:
        plans = [planned(people=1, seconds=200, seed=seed) for seed in range(5)]
        assert any(len({e.room.sid for e in plan.events}) > 1 for plan in plans)

    @settings(max_examples=25, deadline=None)
    @given(
        seed=st.integers(),
        people=st.integers(1, 8),
        seconds=st.floats(1, 300),
        speed=st.sampled_from((0.5, 1.0, 60.0)),
    )
    def test_the_truth_is_what_the_events_tell(
        self, seed: int, people: int, seconds: float, speed: float
    ) -> None:
        plan = planned("a", "صف ب", people=people, seconds=seconds, seed=seed, speed=speed)
        told = sorted(plan.events, key=lambda e: e.at)
        assert list(plan.events) == told
        assert plan.ends_at <= MONDAY + (timedelta(seconds=seconds) + LONGEST_TAIL) / speed
        assert len({e.event_id for e in told}) == len(told)
        for visit in plan.visits:
            joined, left = [e for e in told if e.visit is visit]
            assert (joined.kind, left.kind) == ("participant_joined", "participant_left")
            signalling = (joined.at - visit.joined_at).total_seconds() * speed
            assert 0.03 <= signalling <= 0.2 + 0.001 * speed
            assert visit.joined_at < visit.gone_at < visit.left_at == left.at
        for old, new in rejoins(plan):
            assert old.joined_at < new.joined_at
            assert old.gone_at - timedelta(milliseconds=1) <= new.joined_at
        for life in lives(plan):
            assert life[0].kind == "room_started"
            assert life[-1].kind == "room_finished"
            last_left = max(e.at for e in life if e.kind == "participant_left")
            assert abs(life[-1].at - last_left - DEPARTURE_TIMEOUT / speed) <= timedelta.resolution

    def test_bodies_are_protojson_with_whole_seconds_and_a_fake_secret(self) -> None:
        for event in planned(people=30).events:
            parsed = Parse(event.body().decode(), WebhookEvent())
            assert (parsed.event, parsed.id) == (event.kind, event.event_id)
            assert parsed.created_at == int(event.at.timestamp())
            assert parsed.room.turn_password.startswith(TURN_PASSWORD_PREFIX)
            told = json.loads(event.body())
            assert isinstance(told["createdAt"], str)
            assert 0 not in told["room"].values()
            assert "" not in told.get("participant", {}).values()

    def test_an_endless_class_stays_alive_while_people_come_and_go(self) -> None:
        events = list(islice(endless_classes(["a"], people=8, seed=1, starts_at=MONDAY), 2000))
        assert [e.at for e in events] == sorted(e.at for e in events)
        assert {e.kind for e in events[1:]} == {"participant_joined", "participant_left"}
        stays = [v.left_at - v.joined_at for v in {e.visit for e in events} if v]
        assert timedelta(seconds=20) < sum(stays, timedelta()) / len(stays) < timedelta(seconds=90)


class TestSender:
    @on_a_loop
    async def test_headers_are_livekits_and_every_token_verifies(self) -> None:
        plan = planned("class-001", "صف ٢", people=5)
        async with Receiver() as receiver:
            report = await run(plan, target=receiver.target, paced=False)
        verifier = WebhookReceiver(TokenVerifier(KEY, SECRET))
        for post in receiver.posts:
            event = verifier.receive(post.body.decode(), post.token)
            claims = jwt.decode(post.token, SECRET, algorithms=["HS256"])
            assert event.id in report.acknowledged_ids
            assert claims["iss"] == KEY
            assert claims["exp"] == claims["iat"] + 300 == claims["nbf"] + 300
            assert (post.content_type, post.user_agent) == ("application/webhook+json", "LiveKit")
        assert report.acknowledged == report.sent == len(plan.events) == len(receiver.posts)
        assert report.p50_ms is not None
        assert report.p99_ms is not None
        assert 0 < report.p50_ms <= report.p99_ms

    @on_a_loop
    async def test_what_arrives_tells_the_plans_truth(self) -> None:
        # So fast that some leave in the second in which they joined.
        plan = planned("class-001", "class-002", people=6, seconds=90, speed=20)
        assert any(v.left_at.replace(microsecond=0) < v.joined_at for v in plan.visits)
        async with Receiver() as receiver:
            await run(plan, target=receiver.target, paced=False)
        told: dict[str, dict[str, Any]] = defaultdict(dict)
        for post in receiver.posts:
            if "participant" in post.told:
                told[post.told["participant"]["sid"]][post.told["event"]] = post.told
        assert {
            sid: visit_as_told(t["participant_joined"], t["participant_left"])
            for sid, t in told.items()
        } == {
            v.participant_sid: (v.room.sid, v.identity, v.joined_at, v.left_at_as_told)
            for v in plan.visits
        }

    @on_a_loop
    async def test_a_503_is_sent_again_with_the_same_bytes_and_token(self) -> None:
        clock = SteppedClock()
        async with Receiver(answering(503, 204)) as receiver:
            report = await deliver(started("a"), receiver.target, clock=clock)
        first, second = receiver.posts
        assert (first.body, first.token) == (second.body, second.token)
        assert (report.acknowledged, report.retried, clock.slept) == (1, 1, [1])

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 599])
    @on_a_loop
    async def test_five_failures_at_0_1_3_7_and_15_seconds_lose_an_event(self, status: int) -> None:
        clock = SteppedClock()
        async with Receiver(answering(status)) as receiver:
            report = await deliver(started("a"), receiver.target, clock=clock)
        assert len(receiver.posts) == 5
        assert clock.slept == [1, 2, 4, 8]
        assert (report.lost, report.acknowledged, report.retried) == (1, 0, 4)

    @pytest.mark.parametrize("status", [302, 400, 401, 404, 413, 501])
    @on_a_loop
    async def test_any_other_refusal_counts_as_delivered_and_never_comes_again(
        self, status: int
    ) -> None:
        async with Receiver(answering(status)) as receiver:
            report = await deliver(started("a"), receiver.target)
        assert len(receiver.posts) == 1
        assert (report.refused, report.acknowledged, report.lost) == (1, 0, 0)

    @on_a_loop
    async def test_a_redirect_is_not_followed_for_it_may_lead_off_this_machine(self) -> None:
        async with Receiver() as elsewhere:

            async def redirect(_: web.BaseRequest, __: int) -> web.Response:
                return web.Response(status=307, headers={"Location": str(elsewhere.target.url)})

            async with Receiver(redirect) as receiver:
                report = await deliver(started("a"), receiver.target)
        assert (report.refused, elsewhere.posts) == (1, [])

    @pytest.mark.parametrize(
        ("status", "retry_after", "slept"),
        [
            (503, "7", [7, 7, 7, 7]),
            (429, "7", [7, 7, 7, 7]),
            (503, "0", [0, 0, 0, 0]),
            (500, "7", [1, 2, 4, 8]),  # go-retryablehttp heeds it with 429 and 503 only
            (503, "soon", [1, 2, 4, 8]),
            (503, "-1", [1, 2, 4, 8]),
            (503, "9" * 99, [1, 2, 4, 8]),
            # A date: eleven seconds from now, then it has come.
            (503, format_datetime(MONDAY + timedelta(seconds=11), usegmt=True), [11, 0, 0, 0]),
        ],
    )
    @on_a_loop
    async def test_retry_after_spaces_the_posts(
        self, status: int, retry_after: str, slept: list[float]
    ) -> None:
        clock = SteppedClock()
        async with Receiver(answering(status, retry_after=retry_after)) as receiver:
            await deliver(started("a"), receiver.target, clock=clock)
        assert clock.slept == slept

    @on_a_loop
    async def test_a_receiver_that_comes_up_late_gets_its_event(self) -> None:
        receiver = Receiver()
        clock = SteppedClock(meanwhile=receiver.start)
        report = await deliver(started("a"), receiver.target, clock=clock)
        await receiver.runner.cleanup()
        assert (report.acknowledged, report.retried, clock.slept) == (1, 1, [1])

    @on_a_loop
    async def test_a_connection_cut_instead_of_an_answer_is_a_failure(self) -> None:
        async def cut(request: web.BaseRequest, number: int) -> web.Response:
            if number == 0 and request.transport:
                request.transport.abort()
            return web.Response(status=204)

        async with Receiver(cut) as receiver:
            report = await deliver(started("a"), receiver.target, clock=SteppedClock())
        assert (report.acknowledged, report.retried) == (1, 1)

    @on_a_loop
    async def test_delays_are_the_callers_to_choose(self) -> None:
        clock = SteppedClock()
        rules = Rules(retry_delays=(timedelta(seconds=5),))
        async with Receiver(answering(503)) as receiver:
            report = await deliver(started("a"), receiver.target, rules=rules, clock=clock)
        assert (report.lost, clock.slept) == (1, [5])

    @on_a_loop
    async def test_with_200_waiting_more_are_dropped(self) -> None:
        opened = asyncio.Event()
        tally = Tally()
        first, *others = planned(people=60).events
        async with (
            Receiver(held_until(opened)) as receiver,
            sending(receiver.target, tally=tally) as sender,
        ):
            sender.offer(first)
            await receiver.until(lambda: len(receiver.posts) == 1)
            for event in others[:203]:
                sender.offer(event)
            opened.set()
        assert tally.dropped == 3
        assert tally.acknowledged_ids == [e.event_id for e in (first, *others[:200])]

    @on_a_loop
    async def test_what_is_older_than_30_seconds_at_its_turn_is_dropped(self) -> None:
        clock = SteppedClock()
        first, *others = planned().events[:5]

        async def take_31_seconds(_: web.BaseRequest, number: int) -> web.Response:
            clock.instant += timedelta(seconds=31 if number == 0 else 0)
            return web.Response(status=204)

        async with Receiver(take_31_seconds) as receiver:
            report = await deliver([first, *others], receiver.target, clock=clock)
        assert (report.dropped, report.acknowledged_ids) == (4, (first.event_id,))

    @on_a_loop
    async def test_the_age_limit_is_the_callers_to_choose(self) -> None:
        clock = SteppedClock()
        async with Receiver(answering(503, 204)) as receiver:
            rules = Rules(max_age=timedelta(seconds=0.5))
            report = await deliver(started("a", "a"), receiver.target, rules=rules, clock=clock)
        assert (report.acknowledged, report.dropped) == (1, 1)

    @on_a_loop
    async def test_a_room_has_one_post_in_flight_in_order_and_rooms_go_side_by_side(self) -> None:
        plan = planned("a", "b", "c", people=4)
        together = asyncio.Barrier(3)

        async def meet(_: web.BaseRequest, number: int) -> web.Response:
            # The first three are answered only when all are there: one of each room, or never.
            if number < 3:
                await together.wait()
            return web.Response(status=204)

        async with Receiver(meet) as receiver:
            # The plan lies in the past, so that all of it is due at once and the queues are full.
            report = await run(plan, target=receiver.target, within=timedelta(seconds=10))
        assert report.acknowledged == len(plan.events)
        assert receiver.most_in_flight == {"a": 1, "b": 1, "c": 1}
        for name in "abc":
            assert [p.told["id"] for p in receiver.posts if p.room == name] == [
                e.event_id for e in plan.events if e.room.name == name
            ]

    @on_a_loop
    async def test_a_retried_event_keeps_its_place(self) -> None:
        events = planned().events[:6]
        async with Receiver(answering(503, 503, 204)) as receiver:
            await deliver(events, receiver.target, clock=SteppedClock())
        assert [p.told["id"] for p in receiver.posts[2:]] == [e.event_id for e in events]

    @on_a_loop
    async def test_an_empty_answer_keeps_the_connection(self) -> None:
        async with Receiver() as receiver:
            await run(planned(), target=receiver.target, paced=False)
        assert len({p.peer for p in receiver.posts}) == 1

    @pytest.mark.parametrize(
        "url",
        [
            "http://example.com/webhooks/livekit",
            "http://127.0.0.1@example.com/",
            "http://127.0.0.1.example.com/",
            "http://0.0.0.0:8000/",
            "http://192.168.0.1/",
            "ftp://127.0.0.1/",
            "127.0.0.1:8000",
            "http://[::1/",
            "",
        ],
    )
    def test_no_target_off_this_machine_can_be_made(self, url: str) -> None:
        with pytest.raises(NotLoopback, match="this machine only"):
            Target.parse(url, key=KEY, secret=SECRET)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
    def test_this_machine_goes_by_these_names(self, host: str) -> None:
        assert SECRET not in repr(Target.parse(f"http://{host}:8000/", key=KEY, secret=SECRET))


class TestRun:
    @on_a_loop
    async def test_a_receiver_that_never_answers_does_not_hold_the_run(self) -> None:
        opened = asyncio.Event()
        plan = planned("a", "b")
        async with Receiver(held_until(opened)) as receiver:
            report = await run(plan, target=receiver.target, within=timedelta(seconds=0.2))
            opened.set()
        assert (report.sent, report.acknowledged) == (2, 0)
        assert report.unfinished == report.events == len(plan.events)

    @on_a_loop
    async def test_an_answer_may_be_given_a_time_after_which_it_is_none(self) -> None:
        opened = asyncio.Event()
        rules = Rules(retry_delays=(), answer_timeout=timedelta(seconds=0.05))
        async with Receiver(held_until(opened)) as receiver:
            report = await deliver(started("a"), receiver.target, rules=rules)
            opened.set()
        assert report.lost == 1

    @on_a_loop
    async def test_a_paced_run_tells_of_each_event_as_it_happens(self) -> None:
        plan = planned("a", "b", seconds=30, starts_at=datetime.now(UTC), speed=60)
        async with Receiver() as receiver:
            report = await run(plan, target=receiver.target)
        assert report.acknowledged == len(plan.events)
        due = {e.event_id: e.at for e in plan.events}
        for post in receiver.posts:
            late = post.received_at - due[post.told["id"]]
            assert timedelta() <= late < timedelta(seconds=1)

    @on_a_loop
    async def test_a_living_class_goes_on_until_it_is_stopped(self) -> None:
        stop = asyncio.Event()
        events = endless_classes(["a"], people=5, seed=1, starts_at=datetime.now(UTC), speed=1000)
        async with Receiver() as receiver:
            running = asyncio.create_task(
                run_until_stopped(events, target=receiver.target, stop=stop)
            )
            await receiver.until(lambda: len(receiver.posts) >= 20)
            stop.set()
            report = await running
        assert report.acknowledged >= 19
        assert report.events == report.acknowledged + report.unfinished


class TestCommand:
    def test_it_reports_and_exits_0_when_everything_was_acknowledged(self) -> None:
        with posts_answered_with(204) as (url, bodies):
            result = command("--url", url, "--rooms", "2", "--people", "3", "--flat-out", "--json")
        assert result.exit_code == 0, result.output
        told = [json.loads(bodies.get()) for _ in range(bodies.qsize())]
        assert max(int(t["createdAt"]) for t in told) <= datetime.now(UTC).timestamp()
        assert {t["room"]["name"] for t in told} == {"class-001", "class-002"}
        report = json.loads(result.output)
        assert report["acknowledged"] == report["sent"] == report["events"] > 0
        assert report["p50_ms"] <= report["p99_ms"]

    def test_it_prints_a_table_and_exits_1_when_something_was_refused(self) -> None:
        with posts_answered_with(401) as (url, _):
            result = command("--url", url, "--people", "2", "--flat-out")
        assert result.exit_code == 1
        for word in ("sent", "acknowledged", "retried", "dropped", "p50", "p99"):
            assert word in result.output
        assert SECRET not in result.output

    def test_it_exits_1_when_time_ran_out(self) -> None:
        with posts_answered_with(204) as (url, _):
            result = command("--url", url, "--seconds", "3600", "--within", "0.1", "--json")
        assert result.exit_code == 1
        assert json.loads(result.output)["unfinished"] > 0

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--url", "https://example.com/hook"], "this machine only"),
            (["--rooms", "0"], "0 is not in the range"),
            (["--people", "many"], "not a valid integer"),
            (["--speed", "0"], "0.0 is not in the range"),
            (["--speed", "nan"], "nan is not a finite number"),
            (["--seconds", "nan"], "nan is not a finite number"),
            (["--seconds", "inf"], "inf is not in the range"),
            (["--seconds", "1e12"], "is not in the range"),
            (["--within", "nan"], "nan is not a finite number"),
            (["--within", "inf"], "inf is not in the range"),
            (["--rooms", "2", "--room", "a"], "--room names one room"),
            (["--room", ""], "--room is empty"),
            (["--forever", "--flat-out"], "--forever has no end"),
            (["--forever", "--seconds", "5"], "--forever has no end"),
            (["--key", ""], "are signed with both"),
            (["--secret", ""], "are signed with both"),
        ],
    )
    def test_a_bad_option_gets_a_sentence_and_exit_2(
        self, arguments: list[str], sentence: str
    ) -> None:
        result = command(*arguments)
        assert result.exit_code == 2
        assert sentence in result.output

    @pytest.mark.parametrize("name", ["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"])
    def test_without_a_key_pair_it_says_which_variable_to_set(self, name: str) -> None:
        result = CliRunner().invoke(simulate, [], env=keys() | {name: ""})
        assert result.exit_code == 2
        assert name in result.output

    def test_a_secret_may_stand_in_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        environment = {
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": "",
            "LIVEKIT_API_SECRET_FILE": str(tmp_path / "secret"),
        }
        with posts_answered_with(204) as (url, _):
            arguments = ["--url", url, "--people", "1", "--seconds", "1", "--flat-out"]
            result = CliRunner().invoke(simulate, arguments, env=environment)
        assert result.exit_code == 0, result.output

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_a_living_class_cleanly(self, number: signal.Signals) -> None:
        arguments = ["--forever", "--room", "صف-أ", "--people", "4", "--speed", "1000", "--json"]
        with posts_answered_with(204) as (url, bodies), simulating("--url", url, *arguments) as it:
            first = [json.loads(bodies.get(timeout=20)) for _ in range(12)]
            it.send_signal(number)
            output, errors = it.communicate(timeout=20)
        assert it.returncode == 0, errors
        assert "until Ctrl-C" in errors
        assert json.loads(output)["acknowledged"] >= 11
        assert {told["room"]["name"] for told in first} == {"صف-أ"}
        assert {"participant_joined", "participant_left"} <= {told["event"] for told in first}


async def deliver(
    events: list[Event] | tuple[Event, ...],
    target: Target,
    *,
    rules: Rules | None = None,
    clock: Clock | None = None,
) -> Any:
    """Queue all at once and wait until each is settled."""
    tally = Tally()
    async with sending(
        target, tally=tally, rules=rules or Rules(), clock=clock or Clock()
    ) as sender:
        for event in events:
            sender.offer(event)
    return tally.report(events=len(events), wall_seconds=0)


def held_until(opened: asyncio.Event) -> Answer:
    async def answer(_: web.BaseRequest, __: int) -> web.Response:
        await opened.wait()
        return web.Response(status=204)

    return answer


def rejoins(plan: Plan) -> Iterator[tuple[Any, Any]]:
    """Each two visits that one person made one after the other."""
    by_identity = defaultdict(list)
    for visit in sorted(plan.visits, key=lambda v: v.joined_at):
        by_identity[visit.identity].append(visit)
    for visits in by_identity.values():
        yield from pairwise(visits)


def old_left_comes_after_new_joined(plan: Plan) -> Iterator[bool]:
    place = {(e.kind, e.visit and e.visit.participant_sid): n for n, e in enumerate(plan.events)}
    for old, new in rejoins(plan):
        left = place["participant_left", old.participant_sid]
        yield left > place["participant_joined", new.participant_sid]


def lives(plan: Plan) -> list[list[Event]]:
    by_sid = defaultdict(list)
    for event in plan.events:
        by_sid[event.room.sid].append(event)
    return list(by_sid.values())


def visit_as_told(joined: dict[str, Any], left: dict[str, Any]) -> tuple[Any, ...]:
    """What a receiver makes of one visit's two webhooks."""
    participant = joined["participant"]
    milliseconds = int(participant["joinedAtMs"])
    joined_at = datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(
        milliseconds=milliseconds % 1000
    )
    left_at = datetime.fromtimestamp(int(left["createdAt"]), UTC)
    return joined["room"]["sid"], participant["identity"], joined_at, max(left_at, joined_at)


def keys() -> dict[str, str]:
    return {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}


def command(*arguments: str) -> Any:
    return CliRunner().invoke(simulate, arguments, env=keys())


@contextmanager
def simulating(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The command in a process of its own, which gets no further than this block."""
    code = "from webhooks.cli.simulate import simulate; simulate()"
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=os.environ | keys() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def posts_answered_with(status: int) -> Iterator[tuple[str, "queue.Queue[bytes]"]]:
    """A receiver in a thread, for a command that has a loop of its own."""
    bodies: queue.Queue[bytes] = queue.Queue()

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/webhooks/livekit", bodies
        finally:
            server.shutdown()
            thread.join()
