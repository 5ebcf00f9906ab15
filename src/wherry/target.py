"""What the command line and the web page know of an environment, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol

from wherry.errors import UserError
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
class Missed:
    """A firing that should have become a started run, and did not, or not in time."""

    job: str
    fires_at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class TriggerCount:
    """How often the triggers of one kind of a job have fired within the last 24 hours."""

    job: str
    #: `schedule`, `upload`, `event`, `after`, `invoke`, `queue`.
    trigger: str
    #: Events that matched, and firings.
    fired: int
    #: Events that could not be delivered, and firings that were missed.
    missed: int


@dataclass(frozen=True, kw_only=True)
class Stumble:
    """How the last worker of a queue ended, where it did not end as it should."""

    at: datetime
    #: In plain words.
    what: str
    #: What to change; empty where nobody knows.
    remedy: str
    #: The same as `what` in the words of whoever should have run it.
    reason: str
    #: The command that shows what it has written; empty where that is nothing.
    log: str


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """A queue at a glance. The counts are SQS's own: on AWS about right, here exact."""

    #: The name in the job file; `NAME-dead-letters` is shown with its queue.
    name: str
    #: What clients of SQS call it; empty while there is none.
    url: str
    #: Messages that anybody could receive now (ApproximateNumberOfMessages).
    waiting: int
    #: Received and neither deleted nor given back (ApproximateNumberOfMessagesNotVisible).
    in_flight: int
    #: Sent and not yet due (ApproximateNumberOfMessagesDelayed).
    delayed: int
    #: Messages in its queue of dead letters.
    dead: int
    #: How long the oldest message that waits has been there; None when none waits, or nobody knows.
    oldest: timedelta | None
    #: The job that takes its messages; None when none does.
    job: str | None
    #: Attempts or tasks that work on it now.
    workers: int
    max_workers: int
    #: Messages that were finished a minute, within the last five; None where nobody counts.
    rate: float | None
    #: Why nobody takes what is there, where nobody does and that is known.
    stumble: Stumble | None = None
    #: False for a queue of the job file that is not deployed: all counts are 0, and nothing can be sent to it.
    is_there: bool = True


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a queue, looked at without being received."""

    id: str
    body: str
    sent_at: datetime
    #: How often it has been received.
    receives: int
    #: `waiting`, `delayed` or `in flight`.
    state: str
    #: The message group of a FIFO queue; empty elsewhere.
    group: str = ""
    #: String and number attributes.
    attributes: Mapping[str, str] = field(default_factory=dict)
    #: The run that works on it, or has failed on it; None when there is none.
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A message to be sent."""

    body: str
    #: FIFO queues need one; the order is kept within it.
    group: str = ""
    #: FIFO: within five minutes one id is one message; empty: by the body, where the queue says so.
    deduplication_id: str = ""
    #: None: the queue's own.
    delay: timedelta | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A run that a person asks for."""

    job: str
    #: What its trigger's kind is said to be: a replayed run keeps that of the first one.
    trigger: str = "manual"
    #: What makes it unique for the job; empty: nothing, it is one of its own.
    cause: str = ""
    #: None: an event that says that it was started by hand.
    event: Event | None = None
    overrides: Overrides = field(default_factory=Overrides)


@dataclass(frozen=True, kw_only=True)
class DiskUse:
    """What the local environment takes of the disk, in bytes."""

    store: int
    logs: int
    objects: int


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
    #: What should have started within the last 24 hours and did not, the latest first.
    missed: tuple[Missed, ...]
    #: One for each kind of trigger of each job.
    triggers: tuple[TriggerCount, ...]
    dead_letters: int
    #: None where there is no disk of ours.
    disk: DiskUse | None


class Target(Protocol):
    """One environment. Methods raise NotFound for what does not exist."""

    def start(self, wish: Wish) -> str | None:
        """Run a job; gives the run's id, None when the job has a run of that cause already.

        The run goes on by itself, or while this target is open.
        """
        ...

    def go_on(self, run_id: str) -> None:
        """See to it that somebody executes an open run."""
        ...

    def retry(self, run_id: str) -> None:
        """Give a run that ended badly another round; raises UserError for any other."""
        ...

    def retry_all(self, run_ids: Sequence[str]) -> dict[str, UserError]:
        """The same for several, in order; gives those that cannot have one, with the reason."""
        ...

    def follow(self, run_id: str, *, after: int = 0) -> Iterator[bytes]:
        """What the run writes as it is written, all attempts but the first `after`, until it has ended.

        While nothing is written nothing (`b""`) is given now and then, so that who follows can look around.
        """
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

    def of_causes(self, job: str, causes: Sequence[str]) -> dict[str, Run]:
        """The runs that a job has of causes, by these."""
        ...

    def dead_letters(
        self, *, job: str | None = None, reason: str | None = None, since: datetime | None = None, limit: int = -1
    ) -> list[Run]:
        """The runs that ended badly and that nobody has dealt with, newest first; `reason` is a part of theirs."""
        ...

    def bury(self, run_ids: Sequence[str]) -> None:
        """These runs are no dead letters any more."""
        ...

    def log(self, run: Run, attempt: int, helper: str = "", *, last: int | None = None) -> Iterator[bytes]:
        """What one attempt, or a helper in it, has written so far; of it the `last` bytes."""
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

    def queues(self) -> list[QueueState]:
        """All queues of the job file, in its order."""
        ...

    def send(self, queue: str, drafts: Sequence[Draft]) -> list[str]:
        """Send messages, in order; gives their ids. Raises UserError for what SQS would refuse."""
        ...

    def peek(self, queue: str, *, dead: bool = False, limit: int = 10) -> list[Message]:
        """The oldest messages of a queue, or of its dead letters; SQS itself counts that as a receive, we do not."""
        ...

    def redrive(self, queue: str) -> int:
        """Move the dead letters of a queue back into it; gives how many. They are new messages there."""
        ...

    def purge(self, queue: str, *, dead: bool = False) -> int:
        """Delete all messages of a queue, or of its dead letters; gives how many there were, about."""
        ...

    def set_secret(self, name: str, value: bytes, *, is_sure: bool = False) -> None:
        """Set or replace a secret; raises UserError for one that somebody else has set, unless `is_sure`."""
        ...

    def remove_secret(self, name: str, *, is_sure: bool = False) -> None:
        """Remove a secret; raises NotFound, and UserError as `set_secret` does."""
        ...

    def secrets(self) -> list[SecretEntry]:
        """All secrets, by name."""
        ...

    def status(self) -> EnvironmentStatus:
        """The environment at a glance."""
        ...

    def has_engine(self) -> bool:
        """True when somebody is there who executes what waits."""
        ...

    def access(self) -> dict[str, str]:
        """The environment variables that lead any AWS client there; raises UserError when nobody answers."""
        ...
