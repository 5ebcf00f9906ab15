"""What a worker is told: one JSON document in one environment variable, made when the job file is compiled.

A task of a service with workers is made so (`aws/agents.py` writes the document):

- `EntryPoint` is `ENTRY_POINT`, `Command` is not set: the image's own entry point and command are in a file beside the
  worker (`IMAGE_FILE`), for jobs that need them;
- `Environment` has `VARIABLE` besides the region; the job's own variables stand in the document, so that one called
  `PATH` is the command's alone; secrets are variables of the container, which the command inherits;
- `StopTimeout` is `STOP_TIMEOUT`, the most that ECS allows, and the task definition has `InitProcessEnabled`.

The task role permits `sqs:ReceiveMessage`, `sqs:DeleteMessage` and `sqs:ChangeMessageVisibility` on the queue,
`s3:GetObject` on what feeds it; in the work bucket `s3:GetObject`, `s3:PutObject` and `s3:DeleteObject` on
`RECORDS/JOB/*`, and `s3:GetObject` on `STOPS/JOB/*`; and `ecs:UpdateTaskProtection` on the cluster's tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import timedelta
from typing import Any

#: The environment variable that holds the document.
VARIABLE = "WHERRY_WORKER"
#: Where the worker is in an image, and what a task starts.
FOLDER = "/opt/wherry"
ENTRY_POINT = (f"{FOLDER}/worker",)
#: The image's own `Entrypoint` and `Cmd`, as JSON.
IMAGE_FILE = f"{FOLDER}/image.json"
#: Seconds between SIGTERM and SIGKILL: what ECS gives at most (`stopTimeout`, ECS Developer Guide).
STOP_TIMEOUT = 120
#: Folders of the work bucket: what is known of runs, and which runs somebody wants to end.
RECORDS = "queue-runs"
STOPS = "queue-stops"
#: SQS keeps a received message hidden for so long in all, however often that is prolonged (SQS Developer Guide).
LONGEST_HIDDEN = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one job's workers work. Durations are in seconds in the document."""

    job: str
    #: The queue's name in the job file: part of the cause of its runs.
    queue: str
    url: str
    #: A list of arguments, a string for the shell, or empty for the image's own; with `${...}` as in the job file.
    command: tuple[str, ...] | str = ()
    #: The job's own variables, with `${...}` as in the job file.
    env: Mapping[str, str] = field(default_factory=dict)
    #: Name in the job file -> physical name.
    buckets: Mapping[str, str] = field(default_factory=dict)
    #: Name in the job file -> URL.
    queues: Mapping[str, str] = field(default_factory=dict)
    #: As PutEvents takes it.
    bus: str = "default"
    #: Messages of one run.
    batch: int = 1
    visibility: timedelta = timedelta(seconds=30)
    max_receives: int = 3
    #: The wait before a failed message comes back, as of `retry: {backoff, factor, cap}`.
    backoff: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    cap: timedelta = timedelta(minutes=15)
    #: The part of a wait that chance may take away, 0 to 1.
    jitter: float = 0.0
    drop: frozenset[int] = frozenset()
    give_back: frozenset[int] = frozenset()
    #: Of one attempt.
    timeout: timedelta | None = None
    #: Of a run, from when its message was first received.
    deadline: timedelta | None = None
    #: The work bucket, for records and stops; empty: nothing is recorded.
    work_bucket: str = ""
    stop_timeout: timedelta = timedelta(seconds=STOP_TIMEOUT)
    #: Who has been busy for so long without a pause ends between two messages.
    shift: timedelta = timedelta(minutes=30)

    def document(self) -> dict[str, Any]:
        """As a JSON document; what is as usual is left out."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self) if not self._is_usual(each)}

    def _is_usual(self, each: Field[Any]) -> bool:
        usual = each.default if each.default_factory is MISSING else each.default_factory()
        return bool(getattr(self, each.name) == usual)


_DURATIONS = frozenset(("visibility", "backoff", "cap", "timeout", "deadline", "stop_timeout", "shift"))
_SETS = frozenset(("drop", "give_back"))


def read(text: str) -> Settings:
    """The settings of a document; raises ValueError for anything else."""
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - of a text, not of a type
    try:
        return Settings(**{name: _meant(name, value) for name, value in document.items()})
    except TypeError as error:
        raise ValueError(str(error)) from None


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _meant(name: str, value: Any) -> Any:
    if name in _DURATIONS:
        return None if value is None else timedelta(seconds=value)
    if name in _SETS:
        return frozenset(value)
    return tuple(value) if isinstance(value, list) else value
