"""The records that everything else speaks of: what the job file says, what happens, how it ended.

Records are frozen and keyword-only; change is `dataclasses.replace`. Times are aware datetimes in UTC, lengths of
time are `timedelta`, sizes are bytes. Nothing here reads a clock, a file or an environment variable.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from wherry.errors import NotFound, Place

# ---------------------------------------------------------------------------------------------- the job file


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A folder here, an S3 bucket on AWS."""

    #: The name in the job file.
    name: str
    #: The physical name of somebody else's bucket: never created, never deleted.
    existing: str | None = None

    @property
    def local_name(self) -> str:
        """The name that S3 clients use when the environment is local."""
        return self.existing or self.name


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue of messages, fed by uploads (`from`), by events or by hand."""

    name: str
    #: The bucket whose uploads become messages, or None.
    source_bucket: str | None = None
    prefix: str = ""
    suffix: str = ""
    #: How long a received message stays hidden from other receivers.
    visibility: timedelta = timedelta(seconds=30)
    #: A message received this often without being deleted goes to the dead letters.
    max_receives: int = 3


@dataclass(frozen=True, kw_only=True)
class ScheduleTrigger:
    """A clock: EventBridge `cron()`, `rate()` or `at()`, or five-field cron."""

    expression: str
    #: IANA name of the zone whose wall time the expression means.
    timezone: str = "UTC"
    #: What to do with firings missed while the engine was down: `none`, `latest` or `all`.
    catch_up: str = "none"

    kind = "schedule"

    @property
    def label(self) -> str:
        """The trigger's identity within its job, stable when triggers are reordered."""
        return f"schedule:{self.expression}@{self.timezone}"


@dataclass(frozen=True, kw_only=True)
class UploadTrigger:
    """An object created in a bucket."""

    bucket: str
    prefix: str = ""
    suffix: str = ""

    kind = "upload"

    @property
    def label(self) -> str:
        """The trigger's identity within its job."""
        return f"upload:{self.bucket}/{self.prefix}*{self.suffix}"


@dataclass(frozen=True, kw_only=True)
class EventTrigger:
    """An event that matches a raw EventBridge event pattern."""

    pattern: Mapping[str, Any]

    kind = "event"

    @property
    def label(self) -> str:
        """The trigger's identity within its job; one event starts a job once, however many patterns match."""
        return "event"


@dataclass(frozen=True, kw_only=True)
class QueueTrigger:
    """A message in a queue; a worker process takes one (or up to `batch`) at a time."""

    queue: str
    min_workers: int = 0
    max_workers: int = 1
    batch: int = 1

    kind = "queue"

    @property
    def label(self) -> str:
        """The trigger's identity within its job."""
        return f"queue:{self.queue}"


@dataclass(frozen=True, kw_only=True)
class AfterTrigger:
    """The end of another job's run."""

    job: str
    #: Which end: `success`, `failure` or `any`.
    when: str = "success"

    kind = "after"

    @property
    def label(self) -> str:
        """The trigger's identity within its job."""
        return f"after:{self.job}:{self.when}"


Trigger = ScheduleTrigger | UploadTrigger | EventTrigger | QueueTrigger | AfterTrigger


@dataclass(frozen=True, kw_only=True)
class Retry:
    """When a failed attempt is worth another one."""

    #: Attempts in all, the first included.
    attempts: int = 1
    #: The wait before the second attempt.
    backoff: timedelta = timedelta(0)
    #: Each further wait is this many times the one before.
    factor: float = 2.0
    #: No wait is longer than this.
    cap: timedelta = timedelta(hours=1)
    #: The part of a wait that chance may take away, 0 to 1, so that many failures do not come back together.
    jitter: float = 0.0
    #: The exit codes worth another attempt; None means every code but 0.
    exit_codes: frozenset[int] | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run: command, image, size, environment, permissions, limits; and why to run it."""

    name: str
    #: A list of arguments, or a string for the shell; empty means the image's own command.
    command: tuple[str, ...] | str = ()
    build: str | None = None
    image: str | None = None
    #: Path of an existing ECS task definition (JSON), relative to the job file.
    task_definition: str | None = None
    triggers: tuple[Trigger, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    #: Environment variable -> name of the secret that fills it.
    secrets: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    #: vCPUs: 0.25 is a quarter of one, 256 ECS units.
    cpu: float | None = None
    #: Bytes.
    memory: int | None = None
    retry: Retry = Retry()
    #: Bounds one attempt and kills it.
    timeout: timedelta | None = None
    #: Bounds the run: queueing and all attempts.
    deadline: timedelta | None = None
    overlap: str = "allow"
    #: How many runs of this job at once; None means no limit of its own.
    concurrency: int | None = None


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where jobs run: `local`, or a name under `environments`."""

    name: str
    region: str | None = None
    #: `fargate`, `fargate-spot` or `ec2`.
    capacity: str | None = None
    #: Where failures are reported: e-mail addresses, https URLs.
    alerts: tuple[str, ...] = ()
    #: `inherit`: jobs get the caller's own AWS configuration instead of the gateway (local only).
    aws: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobFile:
    """A whole, checked job file."""

    #: Absolute path of the file.
    path: str
    app: str
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    #: Where each value stands: `jobs.nightly.on.0.timezone` -> place.
    places: Mapping[str, Place] = field(default_factory=dict, repr=False, compare=False)

    def place(self, path: str) -> Place:
        """The place of the value at a dotted path, or of the nearest ancestor that the file spells out."""
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        return self.places.get(path, Place(self.path, 1, 1))

    def job(self, name: str) -> Job:
        """The job of that name; raises NotFound with the nearest name."""
        if name in self.jobs:
            return self.jobs[name]
        raise NotFound(f"there is no job `{name}` in {self.path}", hint=did_you_mean(name, self.jobs))

    def bucket_by_local_name(self, local_name: str) -> Bucket | None:
        """The bucket that S3 clients know by this name here, or None."""
        return next((bucket for bucket in self.buckets.values() if bucket.local_name == local_name), None)


def did_you_mean(name: str, known: Mapping[str, Any] | Sequence[str]) -> str | None:
    """A hint naming the nearest known name, or listing the known ones, or None when there are none."""
    import difflib  # costs 10 ms, and only mistakes need it

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return "known: " + ", ".join(f"`{known_name}`" for known_name in sorted(names)) if names else None


# ---------------------------------------------------------------------------------------------- what happens


@dataclass(frozen=True, kw_only=True)
class Event:
    """An EventBridge event: the document every trigger makes and every run keeps.

    The document's shape is the EventBridge User Guide's "event structure": version, id, detail-type, source, account,
    time, region, resources, detail.
    """

    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The event's unique id."""
        return str(self.document["id"])

    @property
    def source(self) -> str:
        """Who says it, e.g. `aws.s3`."""
        return str(self.document["source"])

    @property
    def detail_type(self) -> str:
        """What kind of thing is said, e.g. `Object Created`."""
        return str(self.document["detail-type"])

    @property
    def detail(self) -> Mapping[str, Any]:
        """The particulars."""
        detail: Mapping[str, Any] = self.document["detail"]
        return detail


#: The account id of the local environment, in events and ARNs.
LOCAL_ACCOUNT = "000000000000"
#: The region of the local environment where no other is configured.
LOCAL_REGION = "us-east-1"


def new_event(
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    *,
    now: datetime,
    event_id: str | None = None,
    resources: Sequence[str] = (),
    region: str = LOCAL_REGION,
) -> Event:
    """A complete event document of the local environment; `now` becomes its time, in whole seconds as on AWS."""
    import uuid  # 4 ms, which `wherry runs` need not pay

    return Event(
        document={
            "version": "0",
            "id": event_id or str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": LOCAL_ACCOUNT,
            "time": iso_seconds(now),
            "region": region,
            "resources": list(resources),
            "detail": dict(detail),
        }
    )


def complete_event(document: Mapping[str, Any], *, now: datetime) -> Event:
    """A person's event, completed: id, time and the like are made where they are missing.

    What has none of an event's own fields is taken for the detail alone: `{"order": 7}`.
    """
    if not document.keys() & {"source", "detail-type", "detail"}:
        document = {"detail": document}
    whole = new_event("wherry", "Manual Run", {}, now=now)
    return Event(document={**whole.document, **document})


def iso_seconds(moment: datetime) -> str:
    """`2026-03-01T10:00:00Z`: an aware datetime as EventBridge writes it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Status(enum.StrEnum):
    """Where a run stands."""

    #: Waiting for a free place, or for the time of its next attempt.
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
    #: Another run of the job was active, and the job says `overlap: skip`.
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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of one attempt, as a value."""

    ending: Ending
    #: The process's exit code; 128 + the signal's number when a signal ended it, as shells count.
    exit_code: int | None = None
    #: What a person needs to know beyond that, in one line.
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        """True for exit code 0 and nothing else."""
        return self.ending is Ending.EXITED and self.exit_code == 0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One process, container or ECS task of a run."""

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    #: How its process is found again, `pid:start time` here; empty until it has one.
    process: str = ""


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
    ended_at: datetime | None = None
    #: Why it ended as it did, in one line; empty while it has not ended, and for a plain success.
    reason: str = ""
