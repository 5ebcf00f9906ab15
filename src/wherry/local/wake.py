"""One engine a folder, and the way to wake it: a lock that says who, a named pipe that says when.

Every process reads and writes the store by itself. A byte in the pipe only tells the engine to look: losing one costs
time, never work.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from typing import IO, Self

from wherry.errors import UserError
from wherry.local.home import Home


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """Where a running engine is."""

    pid: int
    #: The gateway's URL.
    endpoint: str
    #: ISO 8601, UTC.
    started_at: str
    #: What it executes attempts by.
    executor: str = "process"


class SeatTaken(UserError):
    """Another engine runs on the folder."""


class EngineSeat:
    """The one place of an engine on a folder; a context manager. Raises SeatTaken when it is taken."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock: IO[str] | None = None
        self._pipe = -1

    def __enter__(self) -> Self:
        self._lock = open(self._home.lock, "a", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            running = engine_info(self._home)
            who = f" (pid {running.pid}, {running.endpoint})" if running else ""
            raise SeatTaken(
                f"an engine already runs on {self._home.root}{who}",
                hint="its runs are shown here; Ctrl-C leaves it running, and when it ends this one takes its place",
            ) from None
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._home.wake, 0o600)
        # Read and write: with a writer of our own the pipe never reports its end.
        self._pipe = os.open(self._home.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._home.engine)
        os.close(self._pipe)
        if self._lock:
            self._lock.close()

    def announce(self, info: EngineInfo) -> None:
        """Say where the engine answers."""
        aside = f"{self._home.engine}~"
        with open(aside, "w", encoding="utf-8") as file:
            json.dump(asdict(info), file)
        os.replace(aside, self._home.engine)

    def fileno(self) -> int:
        """A descriptor that is readable when somebody wants the engine to look at the store."""
        return self._pipe

    def hear(self) -> None:
        """Take what was written into the pipe."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe, 65536)


def engine_info(home: Home) -> EngineInfo | None:
    """The engine that runs on this folder, or None."""
    if not wake_engine(home):
        return None
    try:
        with open(home.engine, encoding="utf-8") as file:
            return EngineInfo(**json.load(file))
    except (FileNotFoundError, ValueError):
        return None


def wake_engine(home: Home) -> bool:
    """Make the running engine look at the store; False when none runs."""
    try:
        pipe = os.open(home.wake, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # no pipe, or nobody reads it
        return False
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(pipe, b".")
    os.close(pipe)
    return True
