"""Where an attempt becomes a process: one small Protocol, one module an implementation.

An executor knows nothing of jobs, stores or retries: it is told what to start and says how it ended. It never blocks:
what happens is received when its descriptor is readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, Protocol

from wherry.model import Outcome

#: Between the polite signal and the other one; ECS's default `stopTimeout`.
GRACE = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of an attempt, ready to start."""

    command: tuple[str, ...]
    #: Nothing is put before the command in a container: it is text for a shell, no argument of the image's own program.
    is_whole: bool = False
    #: The whole environment: nothing is added to it.
    env: Mapping[str, str]
    #: Where the command starts, absolute; in a container the image says where.
    folder: str
    #: The file that receives what it writes, stdout and stderr in the order of the writes; appended to.
    log: str
    #: The image of its container, and of a helper's without one of its own; None: the one that is made of `folder`.
    image: str | None = None
    #: Files that a container sees, read-only: the path inside, and here.
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Launch(Part):
    """One attempt, ready to start: its main process, and the helpers beside it by name."""

    helpers: Mapping[str, Part] = field(default_factory=dict)
    #: No more memory than this, in bytes; None: no limit.
    memory: int | None = None
    #: No more processors than this, and parts of them where the executor can; None: no limit.
    cpus: float | None = None


class Key(NamedTuple):
    """Which attempt of which run."""

    run_id: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.run_id}.{self.attempt}"


class Usage(NamedTuple):
    """What an attempt took, as the system counts it for the main process and the children it waited for."""

    #: The most memory that one of the processes took, in bytes; None when that was too little to be told.
    peak_memory: int | None
    cpu_seconds: float


class Started(NamedTuple):
    """An attempt has its process."""

    key: Key
    #: Finds the process again after this one was killed: `pid:start time`, or `docker:CONTAINER`.
    process: str


class Ended(NamedTuple):
    """An attempt has ended, and nothing of it is left; also one that could not be started."""

    key: Key
    outcome: Outcome
    #: When, in seconds since 1970; None: now.
    at: float | None = None
    usage: Usage | None = None


class Executor(Protocol):
    """A way to execute attempts. What is asked for takes effect with `flush`."""

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to receive."""
        ...

    def launch(self, key: Key, launch: Launch) -> None:
        """Start an attempt; whether it could be started is received."""
        ...

    def adopt(self, key: Key, *, process: str, owner: str, log: str) -> None:
        """Go on with an attempt of an engine that died: `owner` was that engine. Its end, or `lost`, is received."""
        ...

    def stop(self, key: Key, grace: float) -> None:
        """Ask it to end (SIGTERM to all its processes), make it (SIGKILL) after `grace` seconds; returns at once."""
        ...

    def receive(self) -> list[Started | Ended]:
        """What has happened; never blocks."""
        ...

    def settle(self, keys: Iterable[Key]) -> None:
        """These ends are on disk: nobody needs to remember them for us any more."""
        ...

    def flush(self) -> None:
        """Let everything that was asked for take effect."""
        ...

    def close(self) -> None:
        """Let go. What still runs goes on."""
        ...
