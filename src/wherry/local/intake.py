"""Events become runs here, and nowhere else: uploads, events, firings and hands all come through this door."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from wherry import pattern
from wherry.local.bus import RuleIndex
from wherry.local.clock import Clock
from wherry.local.database import Database, Transaction
from wherry.local.runs import Runs
from wherry.model import Event, EventTrigger, Job, JobFile, Overrides, UploadTrigger, complete_event


class Intake:
    """Matches events to triggers and adds runs, at most one per job and cause."""

    def __init__(
        self, jobfile: JobFile, database: Database, runs: Runs, clock: Clock, offer: Callable[[str], object]
    ) -> None:
        self._database = database
        self._runs = runs
        self._clock = clock
        self._offer = offer
        self._rules = RuleIndex(rules_of(jobfile))

    def use(self, jobfile: JobFile) -> None:
        """From now on match the triggers of this job file."""
        self._rules = RuleIndex(rules_of(jobfile))

    def accept(self, *events: Event) -> list[str]:
        """Take events, all or none; gives the ids of the new runs. They are on disk, and offered to the engine."""

        def work(transaction: Transaction) -> list[str]:
            return [run_id for event in events for run_id in self.accept_within(transaction, event)]

        return self._database.write(work)

    def accept_within(self, transaction: Transaction, event: Event) -> list[str]:
        """Take an event as a part of a larger transaction, e.g. the one that creates the object it speaks of."""
        added = []
        now = self._clock()
        cause = cause_of(event)
        for job, kind in dict(self._rules.match(event.document)).items():
            run_id = self._runs.add(transaction, job=job, trigger=kind, cause=cause, event=event, now=now)
            if run_id:
                added.append(run_id)
                transaction.after_commit(partial(self._offer, run_id))
        return added

    def fire(self, job: str, trigger: str, event: Event, fired_at: datetime) -> str | None:
        """Take the firing of a job's schedule; None when that firing has its run already."""

        def work(transaction: Transaction) -> str | None:
            self._runs.keep_firing(transaction, job, trigger, fired_at)
            cause = f"{trigger} {event.document['time']}"
            run_id = self._runs.add(
                transaction, job=job, trigger="schedule", cause=cause, event=event, now=self._clock()
            )
            if run_id:
                transaction.after_commit(partial(self._offer, run_id))
            return run_id

        return self._database.write(work)

    def by_hand(self, job: Job, event: Event | None, overrides: Overrides, *, owner: str | None = None) -> str:
        """Take a person's wish to run a job now. With an `owner` that process executes it, else an engine does."""
        now = self._clock()
        event = event or complete_event({}, now=now)
        cause = f"manual:{uuid.uuid4()}"

        def work(transaction: Transaction) -> str | None:
            run_id = self._runs.add(
                transaction,
                job=job.name,
                trigger="manual",
                cause=cause,
                event=event,
                now=now,
                overrides=overrides,
                owner=owner,
            )
            if run_id and owner is None:
                transaction.after_commit(partial(self._offer, run_id))
            return run_id

        run_id = self._database.write(work)
        if run_id is None:
            raise AssertionError("a new cause cannot have a run")
        return run_id


def rules_of(jobfile: JobFile) -> Iterator[tuple[tuple[str, str], pattern.Pattern]]:
    """The event patterns of a job file: ((job, trigger kind), pattern)."""
    for job in jobfile.jobs.values():
        for trigger in job.triggers:
            if isinstance(trigger, UploadTrigger):
                bucket = jobfile.buckets[trigger.bucket].local_name
                yield (job.name, trigger.kind), pattern.parse(upload_pattern(bucket, trigger.prefix, trigger.suffix))
            elif isinstance(trigger, EventTrigger):
                yield (job.name, trigger.kind), pattern.parse(dict(trigger.pattern))


def upload_pattern(bucket: str, prefix: str, suffix: str) -> dict[str, object]:
    """The event pattern of an upload trigger, the same here and on AWS.

    Two conditions on one key must be one `wildcard`, because the entries of an array are alternatives.
    """
    detail: dict[str, object] = {"bucket": {"name": [bucket]}}
    if prefix and suffix:
        detail["object"] = {"key": [{"wildcard": f"{_escaped(prefix)}*{_escaped(suffix)}"}]}
    elif prefix or suffix:
        detail["object"] = {"key": [{"prefix": prefix} if prefix else {"suffix": suffix}]}
    return {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}


def _escaped(text: str) -> str:
    return re.sub(r"([*\\])", r"\\\1", text)


def cause_of(event: Event) -> str:
    """What makes an event the same event again: for an upload the object's version, for others the event's id."""
    if event.source == "aws.s3" and event.detail_type == "Object Created":
        detail = event.detail
        return (
            f"upload:{detail['bucket']['name']}/{detail['object']['key']}#{detail['object'].get('sequencer', event.id)}"
        )
    return f"event:{event.id}"
