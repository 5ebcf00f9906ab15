"""What happens: runs, their attempts, and how those ended."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wherry.model.events import Event


class Status(enum.StrEnum):
    """Where a run stands."""

    #: Waiting for a free place, for another run of the job, or for the time of its next attempt.
    QUEUED = "queued"
    #: Its process is being made.
    STARTING = "starting"
    #: Its process runs.
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: An attempt ran into `timeout`, or the run into `deadline`.
    TIMED_OUT = "timed_out"
    #: Somebody stopped it.
    STOPPED = "stopped"
    #: Another run of the job was active, and the job says `overlap: skip`; or its message is its affair no more.
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """True when nothing more will happen to the run by itself."""
        return self not in (Status.QUEUED, Status.STARTING, Status.RUNNING)


class Ending(enum.StrEnum):
    """How one attempt ended."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"
    OUT_OF_MEMORY = "out_of_memory"
    #: No process was made: the job itself never ran.
    COULD_NOT_START = "could_not_start"
    #: The engine died and the process with it, or its exit code is not known.
    LOST = "lost"
    #: A worker of a queue that was not wanted any more, ended by us when it had nothing left to work on.
    DISMISSED = "dismissed"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of one attempt, as a value."""

    ending: Ending
    #: The process's exit code; 128 + the signal's number when a signal ended it, as shells count.
    exit_code: int | None = None
    #: What a person needs to know beyond that, in one line.
    reason: str = ""
    #: Of `could_not_start`: the cause may pass by itself (no process or memory left, the engine was killed before).
    passing: bool = False
    #: Of `could_not_start`: the event has not what the job asks for; with another one it may start. Not kept in stores.
    unfit: bool = False

    @property
    def succeeded(self) -> bool:
        """True for exit code 0, and for a worker that was dismissed; nothing else."""
        return self.ending is Ending.DISMISSED or (self.ending is Ending.EXITED and self.exit_code == 0)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What was set aside for an attempt on AWS, and how long: that is what AWS bills."""

    #: ECS units: 1,024 are one vCPU.
    cpu: int
    #: MiB.
    memory: int
    #: GiB of ephemeral storage.
    ephemeral: int = 20
    arm: bool = False
    #: `fargate`, `fargate-spot` or `ec2`.
    capacity: str = "fargate"
    public_ip: bool = False
    #: From when on it is billed: the pull of its image began.
    began_at: datetime
    #: None while it goes on.
    ended_at: datetime | None = None
    #: False: counted from when the task was asked for, because nothing says when the pull began.
    exact: bool = True


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One process, container or ECS task of a run."""

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    #: How its process is found again, `pid:start time` here; empty until it is known.
    process: str = ""
    #: The most memory that its process took, in bytes; None where it is not known.
    peak_memory: int | None = None
    #: Seconds of processor time; None where they are not known.
    cpu_seconds: float | None = None
    #: None where nothing is billed: here, and on AWS for a task that did not come so far.
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What one manual run changes of its job."""

    #: Replaces the job's command; None keeps it.
    command: tuple[str, ...] | None = None
    #: Appended to the command, as in `docker run IMAGE ARGS`.
    args: tuple[str, ...] = ()
    #: Added to the job's environment, winning over it.
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One firing of one trigger for one job."""

    #: Sorts by time of creation.
    id: str
    job: str
    #: The trigger's kind: schedule, upload, event, manual ...
    trigger: str
    #: What makes the firing unique for the job: at most one run per (job, cause).
    cause: str
    event: Event
    status: Status
    created_at: datetime
    #: Not to be started before.
    due_at: datetime
    #: Resolved; empty until the first attempt starts.
    command: tuple[str, ...] = ()
    #: The job's own environment, resolved, without its secrets; empty until the first attempt starts.
    env: Mapping[str, str] = field(default_factory=dict)
    #: What the caller of a manual run changed.
    overrides: Overrides = Overrides()
    attempts: tuple[Attempt, ...] = ()
    #: When it was asked for: created, or given a further round by `retry`. Its deadline counts from here.
    asked_at: datetime
    #: How many attempts belong to earlier rounds: they use up no budget.
    earlier_attempts: int = 0
    ended_at: datetime | None = None
    #: Why it ended as it did, in one line; empty while it has not ended, and for a plain success.
    reason: str = ""
