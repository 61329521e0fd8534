"""`python -m webhooks.stack`: every process of the Procfile together, on one machine.

What `make run` starts and, with a simulated class, `make demo`. Promise: it ends when one of its
processes ends or a signal asks it to, and leaves none behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from types import FrameType
from typing import NoReturn

import click
from dotenv import dotenv_values
from honcho.environ import parse_procfile
from honcho.manager import SIGNALS, Manager
from honcho.printer import Message, Printer
from honcho.process import Process

from models.settings.settings import BadSettings, Settings, load
from webhooks.server import port
from webhooks.server.port import PortTaken
from webhooks.stack import forks, next_steps, valkey
from webhooks.stack.valkey import NoValkey
from worker.process import metrics_dir

ROOT = Path(__file__).parents[2]
RELEASE = "release"
OTHERS = 0o077
"""What a process's umask takes from others: they read nothing of ours."""

WHERE_SETTINGS_STAND = "Settings come from the environment or the file .env: see .env.example."
STOPPED = {how["rc"] for how in SIGNALS.values()}
"""What Honcho calls the end that a signal asked for."""


asked_to_stop = threading.Event()
"""Set as well as raised: an exception in somebody's `__del__` goes unheard."""


class CannotStart(Exception):
    """The stack can't be started; the message says why, and what to do."""


@click.command()
@click.option("--simulate", is_flag=True, help="With a simulated class, on new data of its own.")
@click.option("--data", type=click.Path(path_type=Path), help="Where data is kept, under var/.")
def main(*, simulate: bool, data: Path | None) -> None:
    """Start all of Rollcall's processes; Ctrl-C stops them."""
    data = data or Path("var/demo" if simulate else "var")
    os.chdir(ROOT)
    os.environ.setdefault(metrics_dir.VARIABLE, str(data / "metrics"))
    _keep_from_others(data)
    _let_signals_interrupt()
    try:
        code = demo(data) if simulate else run(data)
    except BadSettings as error:
        sys.exit(f"{error}\n{WHERE_SETTINGS_STAND}")
    except (CannotStart, NoValkey, PortTaken) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        code = 0
    sys.exit(code)


def _keep_from_others(data: Path) -> None:
    """Have all files and directories in `data` be their owner's alone, those of before included.

    Not `data` itself, which may be a `var/` in which others keep something too.
    """
    data.mkdir(parents=True, exist_ok=True)
    os.umask(OTHERS)
    (data / "metrics").mkdir(exist_ok=True)
    for path in (*data.glob("rollcall.db*"), *data.glob("lock"), *data.glob("valkey")):
        path.chmod(path.stat().st_mode & ~OTHERS)
    (data / "metrics").chmod(0o700)


def run(data: Path) -> int:
    """The Procfile's processes until they are stopped (0) or one ends (its status).

    On a database and a Valkey in `data`, unless the environment or .env names others.
    """
    settings = load()
    known = dotenv_values(".env") | os.environ
    with ExitStack() as until_stopped:
        until_stopped.enter_context(_only_one_in(data))
        port.check(settings.host, settings.port)
        if not _names(known, "DATABASE_URL"):
            os.environ["DATABASE_URL"] = _sqlite_in(data)
        if not _names(known, "REDIS_URL"):
            kept = valkey.running(data / "valkey")
            os.environ["REDIS_URL"] = until_stopped.enter_context(kept)
        url = port.own_url(settings.host, settings.port)
        click.echo(f"Rollcall starts on {url}/. Ctrl-C stops it.")
        click.echo(next_steps.sentences(settings, on_terminal=sys.stdout.isatty()))
        return _work(_procfile(), settings)


def demo(data: Path) -> int:
    """The same, with a simulated class beside it, on new data in `data`.

    What .env says does not count: a demonstration must never write into a real database.
    """
    with ExitStack() as until_stopped:
        until_stopped.enter_context(_only_one_in(data))
        os.environ.update(_demo_environment(data))
        settings = load()
        port.check(settings.host, settings.port)
        if not _names(os.environ, "REDIS_URL"):
            kept = valkey.running(data / "valkey", durable=False)
            os.environ["REDIS_URL"] = until_stopped.enter_context(kept)
        for old in (*data.glob("rollcall.db*"), *data.glob("metrics/*.db")):
            old.unlink()
        return _work(_procfile() | {"class": "python -m webhooks.stack.demo"}, settings)


def _demo_environment(data: Path) -> dict[str, str]:
    """A value for everything that the environment does not say; an empty one means the default."""
    fields = [name.upper() for name in Settings.model_fields]
    unsaid = {name: "" for field in fields for name in (field, f"{field}_FILE")} | {
        "LIVEKIT_API_KEY": "demo",
        "LIVEKIT_API_SECRET": secrets.token_urlsafe(32),
        "DATABASE_URL": _sqlite_in(data),
        "HOST": "127.0.0.1",  # whoever has the printed URL is an operator
        "OVERRUN_MINUTES": "1440",  # the class goes on for as long as somebody looks
        "RETENTION_DAYS": "1",
        "LOG_LEVEL": "warning",  # the URL to look at stays in sight
    }
    return {name: value for name, value in unsaid.items() if not os.environ.get(name)}


def _names(environment: Mapping[str, str | None], name: str) -> bool:
    return bool(environment.get(name) or environment.get(f"{name}_FILE"))


def _sqlite_in(data: Path) -> str:
    return f"sqlite:///{data / 'rollcall.db'}"


@contextmanager
def _only_one_in(data: Path) -> Iterator[None]:
    """Hold the directory. The processes inherit the lock: it lasts while any of them lives."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"Rollcall runs on the data in {data} already.") from None
        yield


def _procfile() -> dict[str, str]:
    lines: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
    return lines


def _work(lines: Mapping[str, str], settings: Settings) -> int:
    """The release, then all the others. They write to pipes, and can't see a terminal."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if sys.stdout.isatty() and settings.log_format is None:
        os.environ["LOG_FORMAT"] = "console"
    metrics_dir.prepare(settings)
    loading = Thread(target=forks.load, name="loading", daemon=True)
    loading.start()
    code = _supervise({RELEASE: lines[RELEASE]})
    if code:
        return 0 if code in STOPPED else code
    _let_signals_interrupt()
    loading.join()
    code = _supervise({name: line for name, line in lines.items() if name != RELEASE})
    return 0 if code in STOPPED else code or 1


def _supervise(lines: Mapping[str, str]) -> int:
    processes = _Processes(Terminal(sys.stdout))
    for name, line in lines.items():
        processes.add_process(name, line, cwd=str(ROOT))
    processes.loop()
    code: int = processes.returncode
    return code


class _Process(Process):  # type: ignore[misc]  # Honcho ships no types
    """Honcho's, whose line is a fork of this process where it can be."""

    cmd: str

    def start(self) -> None:
        if (module := forks.main_of(self.cmd)) is not None:
            started = forks.Fork(module)
            self._child_ctor = lambda *_, **__: started
        else:
            self.cmd = f"exec {self.cmd}"


class _Processes(Manager):  # type: ignore[misc]
    """Honcho's, which has a process more for each of its processes, to read what that writes, and
    stumbles over signals that come before every process has started."""

    def __init__(self, printer: Printer) -> None:
        super().__init__(printer)
        self.events: Queue[Message] = Queue()
        self._process_ctor = _Process

    def _start(self) -> None:
        """All forks first: they have this thread alone."""
        processes = [each["obj"] for each in self._processes.values()]
        for process in processes:
            process.start()
        for process in processes:
            Thread(target=process.run, args=(self.events,), name=process.name).start()
        if asked_to_stop.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    def terminate(self) -> None:
        if self._all_started():
            super().terminate()
        else:
            later = threading.Timer(0.05, self.terminate)
            later.daemon = True
            later.start()


class Terminal(Printer):  # type: ignore[misc]
    """Honcho's. A terminal that was closed is no reason to leave the processes alone, nor a signal
    that comes while a line is written: its handler writes one as well, which Python refuses."""

    def write(self, message: Message) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            super().write(message)


def _let_signals_interrupt() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    # A closed terminal asks like everybody else; Honcho knows these two only.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    if not asked_to_stop.is_set():
        asked_to_stop.set()
    raise KeyboardInterrupt
