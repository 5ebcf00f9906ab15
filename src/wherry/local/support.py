"""What the job file can say and the local environment does not yet do: refused by name, never silently ignored."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Iterator

from wherry.errors import Problem, Unsupported
from wherry.model import AfterTrigger, Job, JobFile, QueueTrigger, ScheduleTrigger

_LATER = "take it out, or wait for the version of wherry that can"


def refuse_unsupported(jobfile: JobFile, jobs: Iterable[Job], *, triggers: bool) -> None:
    """Raise Unsupported naming every part of these jobs that would be ignored; `triggers` includes their triggers."""
    found = [problem for job in jobs for problem in _problems(jobfile, job, triggers=triggers)]
    if found:
        raise Unsupported(found)


def _problems(jobfile: JobFile, job: Job, *, triggers: bool) -> Iterator[Problem]:
    for path, what in _unsupported(job, triggers=triggers):
        place = jobfile.place(path)
        yield Problem(
            place,
            f"job `{job.name}`: {what} by the local environment",
            source=linecache.getline(place.file, place.line).rstrip("\n"),
            hint=_LATER,
        )


def _unsupported(job: Job, *, triggers: bool) -> Iterator[tuple[str, str]]:
    """(dotted path, what is said of it)."""
    base = f"jobs.{job.name}"
    if job.overlap != "allow":
        yield f"{base}.overlap", f"`overlap: {job.overlap}` is not yet honoured"
    if job.concurrency is not None:
        yield f"{base}.concurrency", "`concurrency` is not yet honoured"
    if job.deadline is not None:
        yield f"{base}.deadline", "`deadline` is not yet honoured"
    if job.task_definition is not None and not job.command:
        yield f"{base}.task_definition", "`task_definition` is not yet run"
    if not triggers:
        return
    for number, trigger in enumerate(job.triggers):
        path = f"{base}.on.{number}"
        match trigger:
            case QueueTrigger():
                yield path, "queues are not yet run"
            case AfterTrigger():
                yield path, "`after` triggers are not yet run"
            case ScheduleTrigger() if trigger.catch_up != "none":
                yield f"{path}.catch_up", f"`catch_up: {trigger.catch_up}` is not yet honoured"
