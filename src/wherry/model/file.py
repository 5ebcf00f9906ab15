"""What the job file says: jobs, triggers, buckets, queues, environments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from wherry.errors import NotFound, Place


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
class Feed:
    """What becomes a message of a queue by itself: uploads to a bucket, or events that match a pattern."""

    bucket: str | None = None
    prefix: str = ""
    suffix: str = ""
    #: An EventBridge event pattern, where no bucket feeds the queue.
    pattern: Mapping[str, Any] | None = None
    #: What the message's body is: `event`, the whole EventBridge event, or `s3`, an S3 event notification.
    format: str = "event"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue of messages, as in SQS: fed by uploads or events (`from`), by `wherry queue send`, by any SDK."""

    name: str
    feed: Feed | None = None
    #: How long a received message stays hidden from other receivers.
    visibility: timedelta = timedelta(seconds=30)
    #: A message received this often without being deleted goes to the dead letters.
    max_receives: int = 3
    #: How long a new message waits before anybody can receive it.
    delay: timedelta = timedelta(0)
    #: A message that nobody has deleted after this is deleted.
    retention: timedelta = timedelta(days=4)
    #: FIFO: messages with the same body within five minutes are one, where the sender names no deduplication id.
    content_deduplication: bool = False

    @property
    def is_fifo(self) -> bool:
        """In each message group the order is kept, one message at a time."""
        return self.name.endswith(".fifo")

    @property
    def dead_letters(self) -> str:
        """The name of the queue for messages that were received too often; it is made with the queue."""
        stem = self.name.removesuffix(".fifo")
        return f"{stem}-dead-letters{'.fifo' if self.is_fifo else ''}"


@dataclass(frozen=True, kw_only=True)
class ScheduleTrigger:
    """A clock: EventBridge `cron()`, `rate()` or `at()`, or five-field cron."""

    expression: str
    #: IANA name of the zone whose wall time the expression means.
    timezone: str = "UTC"
    #: What to do with firings missed while the engine was down: `none`, `latest` or `all`.
    catch_up: str = "none"
    #: A firing may come so much later, where that spreads load (AWS); here it comes at its time.
    window: timedelta = timedelta(0)

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
    """Messages of a queue, and the workers that take them."""

    queue: str
    #: `managed`: a run for each message (or `batch`). `self-polling`: the command receives and deletes by itself.
    mode: str = "managed"
    #: Managed: messages of one run.
    batch: int = 1
    min_workers: int = 0
    max_workers: int = 1
    #: One worker is wanted for so many messages that wait.
    backlog: int = 10
    #: Workers above `min` go when the queue has been empty, nothing in flight either, for so long.
    idle: timedelta = timedelta(minutes=5)
    #: Managed: with these exit codes a failed message is deleted: it will never succeed.
    drop: frozenset[int] = frozenset()
    #: Managed: with these exit codes a failed message is due again at once; it counts as received like any other.
    give_back: frozenset[int] = frozenset()

    kind = "queue"

    @property
    def is_managed(self) -> bool:
        """The worker is wherry's own: it receives, runs the command, and deletes after success."""
        return self.mode == "managed"

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


@dataclass(frozen=True, kw_only=True)
class InvokeTrigger:
    """A call: whoever may invoke the job's function starts a run and is told which."""

    #: Whether the function has an URL as well, for callers with a signature (`AWS_IAM`).
    url: bool = False

    kind = "invoke"

    @property
    def label(self) -> str:
        """The trigger's identity within its job; a job has one function."""
        return "invoke"


Trigger = ScheduleTrigger | UploadTrigger | EventTrigger | QueueTrigger | AfterTrigger | InvokeTrigger


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
class Helper:
    """A process (a container on ECS) beside the job's main one: a proxy, a database, a log shipper.

    It starts before the main one and is stopped when that has ended; what becomes of it decides nothing.
    """

    name: str
    #: A list of arguments, or a string for the shell; empty means the image's own command.
    command: tuple[str, ...] | str = ()
    image: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


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
    #: The queues that it may send messages to.
    sends: tuple[str, ...] = ()
    #: Whether it may put events on the bus.
    emits: bool = False
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
    helpers: tuple[Helper, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CommandAlert:
    """Reports a failure by running a command on this machine; it gets the alert as JSON on its standard input."""

    command: tuple[str, ...] | str


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How much history is kept. What is over any of the limits goes, the oldest first; open runs never go."""

    age: timedelta = timedelta(days=30)
    #: How many ended runs.
    runs: int = 100_000
    #: Bytes of all logs together.
    logs: int = 10 << 30


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where the tasks of an environment on AWS stand. All empty: the default VPC's subnets, else a small own VPC."""

    #: `default` or `own`: that one and no other.
    which: str | None = None
    subnets: tuple[str, ...] = ()
    #: Empty: one of wherry's own, with no inbound rule.
    security_groups: tuple[str, ...] = ()
    #: Whether tasks in the given subnets get a public address: without a NAT gateway or endpoints they need one.
    public_ip: bool = True


@dataclass(frozen=True, kw_only=True)
class Instances:
    """The EC2 instances of an environment with `capacity: ec2`: none while nothing runs."""

    #: Such as `m7i.large`; None: a type with two vCPUs and 8 GB for the environment's platform.
    type: str | None = None
    #: No more of them than this, so that the bill has a bound.
    max: int = 4


@dataclass(frozen=True, kw_only=True)
class Bus:
    """The event bus that `event` triggers listen on and `wherry emit` speaks to."""

    #: Its name in this account, or the ARN of another account's.
    name: str = "default"
    #: The accounts that may put events on it besides this one; None: the bus is somebody else's, and stays as it is.
    accounts: tuple[str, ...] | None = None

    @property
    def is_owned(self) -> bool:
        """The bus comes and goes with the environment; the account's default bus is always there."""
        return self.accounts is not None and self.name != "default"

    @property
    def is_elsewhere(self) -> bool:
        """The bus is in another account."""
        return self.name.startswith("arn:")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where jobs run: `local`, or a name under `environments`."""

    name: str
    region: str | None = None
    #: `fargate`, `fargate-spot` or `ec2`.
    capacity: str | None = None
    #: What `capacity: ec2` consists of (AWS only).
    instances: Instances = Instances()
    #: What images are built for: `linux/amd64` or `linux/arm64` (AWS only).
    platform: str = "linux/amd64"
    #: Where images are pushed, without the image's own name; None: ECR (AWS only).
    registry: str | None = None
    #: The secret with which ECS pulls from the registry; None: what everybody may pull (AWS only).
    registry_secret: str | None = None
    network: Network = Network()
    #: The event bus (AWS only).
    bus: Bus = Bus()
    #: Physical names of owned buckets, where the usual ones will not do (AWS only).
    buckets: Mapping[str, str] = field(default_factory=dict)
    #: Where failures are reported: e-mail addresses, https URLs, topics, commands.
    alerts: tuple[str | CommandAlert, ...] = ()
    #: Whether there is a page of graphs in CloudWatch (AWS only).
    dashboard: bool = False
    #: `inherit`: jobs get the caller's own AWS configuration instead of the gateway (local only).
    aws: str | None = None
    #: How much history is kept; of an environment on AWS only the age counts, for its logs.
    keep: Keep = Keep()


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

    def taker(self, queue: str) -> tuple[Job, QueueTrigger] | None:
        """The job that takes a queue's messages, and its trigger; None when no job does."""
        return next(
            (
                (job, trigger)
                for job in self.jobs.values()
                for trigger in job.triggers
                if isinstance(trigger, QueueTrigger) and trigger.queue == queue
            ),
            None,
        )

    def bucket_by_local_name(self, local_name: str) -> Bucket | None:
        """The bucket that S3 clients know by this name here, or None."""
        return next((bucket for bucket in self.buckets.values() if bucket.local_name == local_name), None)


def no_such_queue(name: str, known: Iterable[str]) -> NotFound:
    """The error for a queue that is not one of these; a queue of dead letters is asked for by the other one's name."""
    names = list(known)
    whose = next((one for one in names if Queue(name=one).dead_letters == name), None)
    hint = f"these are the dead letters of `{whose}`: name that, as in `wherry queue peek {whose} --dead`"
    return NotFound(f"there is no queue `{name}` in the job file", hint=hint if whose else did_you_mean(name, names))


def did_you_mean(name: str, known: Mapping[str, Any] | Sequence[str]) -> str | None:
    """A hint naming the nearest known name, or listing the known ones, or None when there are none."""
    import difflib  # costs 10 ms, and only mistakes need it

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return "known: " + ", ".join(f"`{known_name}`" for known_name in sorted(names)) if names else None
