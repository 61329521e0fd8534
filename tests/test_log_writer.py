"""The log writer: what is said is written, all of it, in its order, whoever ends or forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_SETPIPE_SZ, fcntl
from io import StringIO
from pathlib import Path
from select import select
from threading import Thread

import pytest

from tests.doors import wait_for
from tests.test_lasting_threads import no_new_threads
from worker.process import log_writer
from worker.process.log_writer import LogStream, LogWriter

PIPE_BYTES = 4096

SAYING = """
import os, sys
from multiprocessing import get_context
from worker.process.log_writer import LogWriter

told = LogWriter(sys.stdout)

def say():
    for number in range(1000):
        told.write(f"{os.getpid()} {number}\\n")

if __name__ == "__main__":
    say()
    child = get_context("fork").Process(target=say)
    child.start()
    child.join()
"""


def test_lines_of_one_thread_are_written_in_their_order() -> None:
    stream = StringIO()
    told = LogWriter(stream)

    def talk(me: int) -> None:
        for number in range(500):
            told.write(f"{me} {number}\n")

    talkers = [Thread(target=talk, args=(me,)) for me in range(4)]
    for one in talkers:
        one.start()
    wait_for(lambda: stream.getvalue().count("\n") == 2000)
    lines = [line.split() for line in stream.getvalue().splitlines()]
    for me in range(4):
        assert [int(number) for who, number in lines if int(who) == me] == list(range(500))


def test_a_process_writes_all_before_it_ends_and_so_does_its_fork() -> None:
    told = subprocess.run(
        [sys.executable, "-c", SAYING], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in told.stdout.splitlines()]
    assert len({who for who, _ in lines}) == 2
    for pid in {who for who, _ in lines}:
        assert [int(number) for who, number in lines if who == pid] == list(range(1000))


def test_a_process_that_just_said_something_ends_without_a_pause() -> None:
    """The thread hears the end among the lines, and does not wait for it once more."""
    before, stream = set(threading.enumerate()), StringIO()
    told = LogWriter(stream)
    for number in range(log_writer.MOST // 2):
        told.write(f"{number}\n")
    [writer] = set(threading.enumerate()) - before
    told.close()
    assert not writer.is_alive()
    assert stream.getvalue().endswith(f"{log_writer.MOST // 2 - 1}\n")


# --- a disk that is full, a reader that is gone ---------------------------------------------------


class Disk:
    """A file whose disk can be full: the kernel's own, /dev/full."""

    def __init__(self, path: Path) -> None:
        self._path, self.stream = path, path.open("a", encoding="utf-8")

    @contextmanager
    def full(self) -> Iterator[None]:
        good, descriptor = os.dup(self.stream.fileno()), self.stream.fileno()
        with open("/dev/full", "wb") as full:
            os.dup2(full.fileno(), descriptor)
        try:
            yield
        finally:
            os.dup2(good, descriptor)
            os.close(good)

    def lines(self) -> list[str]:
        return self._path.read_text("utf-8").splitlines()


class Pipe:
    """A pipe of one page, and what its reader does with it."""

    def __init__(self) -> None:
        self.reads, descriptor = os.pipe()
        fcntl(descriptor, F_SETPIPE_SZ, PIPE_BYTES)
        self.stream = os.fdopen(descriptor, "w", encoding="utf-8")

    def read(self) -> str:
        return os.read(self.reads, 1_000_000).decode()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "log")
    yield made
    made.stream.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.stream.close()


each_kind = pytest.mark.parametrize("kind", [LogStream, LogWriter])


@each_kind
def test_a_full_disk_raises_into_nobody_and_what_was_said_is_written_when_it_has_space(
    kind: type[LogStream], disk: Disk
) -> None:
    log = kind(disk.stream)
    log.write("before\n")
    wait_for(lambda: disk.lines() == ["before"])
    with disk.full():
        for number in range(3):
            log.write(f"{number}\n")
    log.write("after\n")
    wait_for(lambda: disk.lines() == ["before", "0", "1", "2", "after"])


@each_kind
def test_what_had_no_place_is_counted_and_said_in_one_line(
    kind: type[LogStream], disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST", 3)
    log = kind(disk.stream, "lost {}\n".format)
    with disk.full():
        log.write("first\n")
        # The thread has it, before others take its place.
        wait_for(lambda: not log._waiting)
        for number in range(10):
            log.write(f"{number}\n")
    if kind is LogWriter:
        wait_for(lambda: "lost 7" in disk.lines())
    log.write("after\n")
    wait_for(lambda: disk.lines() == ["first", "0", "1", "2", "lost 7", "after"])


def test_a_writer_goes_on_within_a_second_though_nobody_says_more(disk: Disk) -> None:
    log = LogWriter(disk.stream)
    with disk.full():
        log.write("said\n")
        wait_for(lambda: not log._waiting)
        assert disk.lines() == []
    wait_for(lambda: disk.lines() == ["said"], seconds=20)


@each_kind
def test_a_line_of_which_a_part_was_written_is_completed(kind: type[LogStream], pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    log, long = kind(pipe.stream), "x" * 3 * PIPE_BYTES
    log.write(f"{long}\n")
    log.write("end\n")
    read: list[str] = []

    def all_read() -> bool:
        log.write("")  # a stream without a thread goes on with the next line
        if select([pipe.reads], [], [], 0)[0]:
            read.append(pipe.read())
        return "".join(read) == f"{long}\nend\n"

    wait_for(all_read)
    assert len(read) > 1


@each_kind
def test_a_reader_that_is_gone_stops_nobody(kind: type[LogStream], pipe: Pipe) -> None:
    os.close(pipe.reads)
    log = kind(pipe.stream)
    for number in range(100):
        log.write(f"{number}\n")


def test_who_says_too_much_at_once_waits_for_nobody(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does a stream that nobody reads fill the memory."""
    monkeypatch.setattr(log_writer, "MOST", 1000)
    log = LogWriter(pipe.stream, "lost {}\n".format)
    log.write("x" * 2 * PIPE_BYTES + "\n")  # its thread waits for the reader
    wait_for(lambda: not log._waiting)
    for number in range(3000):
        log.write(f"{number}\n")
    read = ""
    while "lost" not in read:
        read += pipe.read()
    assert read.splitlines()[1:] == [*map(str, range(1000)), "lost 2000"]


def test_without_a_thread_lines_are_written_by_who_says_them(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(disk.stream)
    with no_new_threads(monkeypatch):
        log.write("said\n")
        assert disk.lines() == ["said"]
    log.write("again\n")
    wait_for(lambda: disk.lines() == ["said", "again"])
