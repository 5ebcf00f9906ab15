"""What the command line and the web page know of an environment, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from wherry.model import Event, Overrides, Run, Status


@dataclass(frozen=True, kw_only=True)
class SecretEntry:
    """One secret, without its value."""

    name: str
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Upcoming:
    """The next firing of one schedule."""

    job: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class EnvironmentStatus:
    """An environment at a glance."""

    #: Who executes runs, in words: `engine running since ..., pid 12` or `no engine`.
    engine: str
    running: bool
    #: Runs of the last 24 hours by status.
    runs: dict[Status, int]
    upcoming: tuple[Upcoming, ...]
    #: The newest runs that ended badly within the last 24 hours.
    failures: tuple[Run, ...]


class Target(Protocol):
    """One environment. Methods raise NotFound for what does not exist."""

    def start(self, job: str, *, event: Event | None, overrides: Overrides) -> str:
        """Run a job now; gives the run's id. The run goes on by itself, or while this target is open."""
        ...

    def follow(self, run_id: str) -> Iterator[bytes]:
        """What the run writes, all attempts, as it is written, until it has ended."""
        ...

    def stop(self, run_id: str) -> None:
        """Ask for the run's end."""
        ...

    def find(self, reference: str) -> Run:
        """The run of an id or of the beginning of one."""
        ...

    def runs(
        self, *, job: str | None, statuses: Sequence[Status] | None, since: datetime | None, limit: int
    ) -> list[Run]:
        """The newest runs, newest first."""
        ...

    def log(self, run: Run, attempt: int) -> Iterator[bytes]:
        """What one attempt has written so far."""
        ...

    def emit(self, events: Sequence[Event]) -> list[Run]:
        """Put events on the bus; gives the runs that they made."""
        ...

    def put(self, bucket: str, key: str, source: BinaryIO) -> int:
        """Upload an object; gives its size in bytes."""
        ...

    def get(self, bucket: str, key: str) -> Iterator[bytes]:
        """Download an object."""
        ...

    def set_secret(self, name: str, value: bytes) -> None:
        """Set or replace a secret."""
        ...

    def remove_secret(self, name: str) -> None:
        """Remove a secret."""
        ...

    def secrets(self) -> list[SecretEntry]:
        """All secrets, by name."""
        ...

    def status(self) -> EnvironmentStatus:
        """The environment at a glance."""
        ...

    def access(self) -> dict[str, str]:
        """The environment variables that lead any AWS client there; raises UserError when nobody answers."""
        ...
