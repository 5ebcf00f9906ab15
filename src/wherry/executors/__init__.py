"""Where an attempt becomes a process: one small Protocol, one module an implementation, one literal dict.

An executor knows nothing of jobs, stores or retries: it is told what to start and says how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from wherry.errors import WherryError
from wherry.model import Outcome

#: Between the polite signal and the other one; ECS's default `stopTimeout`.
GRACE = timedelta(seconds=30)


class CouldNotStart(WherryError):
    """No process was made; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One attempt, ready to start."""

    command: tuple[str, ...]
    #: The whole environment: nothing is added to it.
    env: Mapping[str, str]
    #: Where the command starts, absolute.
    folder: str
    #: The file that receives what it writes, stdout and stderr in the order of the writes; appended to.
    log: str


class Handle(Protocol):
    """A started attempt."""

    #: Finds the process again after this one was killed: `pid:start time`.
    identity: str
    pid: int

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Wait for the end, at most `timeout` seconds; None when it still runs. What it left behind is gone then."""
        ...

    def stop(self, grace: float) -> None:
        """Ask it to end (SIGTERM to all its processes), make it (SIGKILL) after `grace` seconds; returns at once."""
        ...


class Executor(Protocol):
    """A way to start attempts."""

    def start(self, launch: Launch) -> Handle:
        """Start an attempt; raises CouldNotStart."""
        ...

    def find(self, identity: str) -> Handle | None:
        """The attempt that an earlier engine started, if it still runs."""
        ...
