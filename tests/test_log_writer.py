"""The log writer: what is said is written, all of it, in its order, whoever ends or forks."""

from __future__ import annotations

import subprocess
import sys
import threading
from io import StringIO
from threading import Thread

from tests.doors import wait_for
from worker.process import log_writer
from worker.process.log_writer import LogWriter

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


def test_who_says_too_much_at_once_waits_for_the_stream() -> None:
    """Else a stream that nobody reads would fill the memory."""

    class Stuck(StringIO):
        """The first write of the thread never returns."""

        def write(self, text: str) -> int:
            if text == "first":
                wait_for(lambda: "last" in self.getvalue())
            return super().write(text)

    stream = Stuck()
    told = LogWriter(stream)
    told.write("first")
    for _ in range(log_writer.MOST + 2):
        told.write("more")
    told.write("last")
    for _ in range(log_writer.MOST + 2):
        told.write("more")
    wait_for(lambda: "first" in stream.getvalue())
