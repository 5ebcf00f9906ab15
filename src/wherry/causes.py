"""Why a run is made: which events which jobs want, and what makes a cause the same cause again. Pure.

Every environment asks here, so that one event starts the same jobs under the same causes wherever they run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from wherry import announcements, mapping, pattern
from wherry.errors import UserError
from wherry.model import AfterTrigger, Bucket, Event, EventTrigger, Job, JobFile, QueueTrigger, UploadTrigger

#: The causes of runs that fill an interval afterwards begin so.
_BACKFILL = "backfill"

#: The causes of runs that do once more what another one was to do.
_REPLAY = "replay:"

#: The causes of workers that poll a queue by themselves.
_WORKER = "worker:"

#: How a resource begins that makes an event the same event again, however often it was put on a bus: each time it gets
#: another id there.
ONCE = "wherry:once/"

#: What an execution takes as its input, in bytes (Step Functions Developer Guide, "Quotas").
LARGEST_INPUT = 262_144
#: The largest event that starts a job: its name, the trigger and the cause go with it.
LARGEST_EVENT = LARGEST_INPUT - 4_096
#: What to do about more.
SMALLER = "put what is large into a bucket, and its key into the event"

#: What a bucket is called where the jobs run: events name it so.
BucketName = Callable[[Bucket], str]


def cause_of(event: Event) -> str:
    """What makes an event the same event again: an upload's version of the object, its sender's token, or its id."""
    if event.source == "aws.s3" and event.detail_type == "Object Created":
        detail = event.detail
        return (
            f"upload:{detail['bucket']['name']}/{detail['object']['key']}#{detail['object'].get('sequencer', event.id)}"
        )
    resources = event.document.get("resources")
    tokens = [one for one in resources if str(one).startswith(ONCE)] if isinstance(resources, list) else []
    return f"event:{tokens[0].removeprefix(ONCE) if tokens else event.id}"


def cause_of_call(event: Event) -> str:
    """What makes a call of a job's function the same call again: the request's id, or the id that the caller gives."""
    return f"invoke:{event.id}"


def cause_of_worker(queue: str, number: str) -> str:
    """What makes a worker that polls a queue by itself one of its own."""
    return f"{_WORKER}{queue}/{number}"


def queue_of_worker(cause: str) -> str:
    """The queue that such a worker polls; empty for any other cause."""
    return cause.removeprefix(_WORKER).partition("/")[0] if cause.startswith(_WORKER) else ""


def is_admitted(cause: str) -> bool:
    """True for workers: how many of them there are is their queue's affair, and not `overlap`'s."""
    return cause.startswith(_WORKER)


def is_patient(cause: str) -> bool:
    """True for the intervals of a backfill: they wait where others are skipped."""
    return cause.startswith(_BACKFILL)


def rules_of(jobfile: JobFile, name_of: BucketName) -> Iterator[tuple[tuple[str, str], pattern.Pattern]]:
    """The event patterns of a job file: ((job, trigger kind), pattern)."""
    for name, document in documents_of(jobfile, name_of):
        yield name, pattern.parse(document)


def documents_of(jobfile: JobFile, name_of: BucketName) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """The event patterns of a job file as documents."""
    for job in jobfile.jobs.values():
        for trigger in job.triggers:
            match trigger:
                case UploadTrigger():
                    bucket = name_of(jobfile.buckets[trigger.bucket])
                    yield (job.name, trigger.kind), upload_pattern(bucket, trigger.prefix, trigger.suffix)
                case EventTrigger():
                    yield (job.name, trigger.kind), dict(trigger.pattern)
                case AfterTrigger():
                    yield (job.name, trigger.kind), announcements.after_pattern(trigger)


def feeds_of(jobfile: JobFile, name_of: BucketName) -> Iterator[tuple[str, dict[str, Any]]]:
    """(queue, the pattern of the events that become its messages) for each queue that is fed."""
    for queue in jobfile.queues.values():
        feed = queue.feed
        if feed is None:
            continue
        if feed.bucket is not None:
            yield queue.name, upload_pattern(name_of(jobfile.buckets[feed.bucket]), feed.prefix, feed.suffix)
        else:
            yield queue.name, dict(feed.pattern or {})


def check_size(event: Event, started_by: Callable[[Event], Iterable[str]]) -> None:
    """Raise UserError for an event that is larger than a job that it starts could be given on AWS, here as there.

    The bus takes more, and so does a queue: who puts it would hear nothing, and the job neither.
    """
    size = len(json.dumps(event.document, ensure_ascii=False, separators=(",", ":")).encode())
    if size <= LARGEST_EVENT:
        return
    for job in started_by(event):
        said = f"the event has {size:,} bytes, and job `{job}` can be given {LARGEST_EVENT:,} at most"
        raise UserError(f"{said}: Step Functions takes no more on AWS", hint=SMALLER)


def fed_by(jobfile: JobFile, name_of: BucketName, event: Event) -> list[str]:
    """The queues that an event becomes a message of."""
    return [name for name, document in feeds_of(jobfile, name_of) if pattern.parse(document).matches(event.document)]


def queues_of(job: Job) -> list[str]:
    """The queues whose messages a job takes."""
    return [trigger.queue for trigger in job.triggers if isinstance(trigger, QueueTrigger)]


def is_fed(jobfile: JobFile, job: Job, bucket: str, key: str | None = None) -> bool:
    """True when uploads of this key (or of some) to a bucket of the job file become messages that the job takes."""
    feeds = [jobfile.queues[name].feed for name in queues_of(job) if name in jobfile.queues]
    return any(
        feed.bucket == bucket and (key is None or (key.startswith(feed.prefix) and key.endswith(feed.suffix)))
        for feed in feeds
        if feed is not None and feed.bucket is not None
    )


def wants_file(job: Job) -> bool:
    """True when something of the job names `${event.file}`: its runs need a message."""
    texts = [*_texts(job.command), *job.env.values()]
    for helper in job.helpers:
        texts += [*_texts(helper.command), *helper.env.values()]
    return any("${event.file}" in text and refers_to(text, "file") for text in texts)


def refers_to(text: str, *kinds: mapping.Kind) -> bool:
    """True when a value of the job file has a reference of one of these kinds."""
    return any(reference.kind in kinds for reference in mapping.parse(text).references)


def replay_of(run_id: str, token: str) -> str:
    """The cause of one replay of a run."""
    return f"{_REPLAY}{run_id}:{token}"


def replayed_run(cause: str) -> str:
    """The id of the run that a run of this cause replays; empty for the causes of all other runs."""
    return cause.removeprefix(_REPLAY).partition(":")[0] if cause.startswith(_REPLAY) else ""


def may_watch_runs(document: dict[str, Any]) -> bool:
    """False when a pattern's `source` alone keeps it from matching what wherry says."""
    if "source" not in document:
        return True
    return pattern.parse({"source": document["source"]}).matches({"source": announcements.SOURCE})


def upload_pattern(bucket: str, prefix: str, suffix: str) -> dict[str, Any]:
    """The event pattern of an upload trigger, the same here and on AWS.

    Two conditions on one key must be one `wildcard`, because the entries of an array are alternatives.
    """
    detail: dict[str, Any] = {"bucket": {"name": [bucket]}}
    if prefix and suffix:
        detail["object"] = {"key": [{"wildcard": f"{_escaped(prefix)}*{_escaped(suffix)}"}]}
    elif prefix or suffix:
        detail["object"] = {"key": [{"prefix": prefix} if prefix else {"suffix": suffix}]}
    return {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}


def _texts(command: tuple[str, ...] | str) -> Sequence[str]:
    return [command] if isinstance(command, str) else command


def _escaped(text: str) -> str:
    return re.sub(r"([*\\])", r"\\\1", text)
