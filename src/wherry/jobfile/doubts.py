"""What is allowed in a job file and may yet be meant otherwise: told, never refused. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.errors import Problem
from wherry.model import Feed, Job, JobFile, QueueTrigger, UploadTrigger


def doubts(jobfile: JobFile) -> list[Problem]:
    """What a person might want to know before it happens, in the order of the file."""
    found = [doubt for job in jobfile.jobs.values() for doubt in _circles(jobfile, job)]
    return sorted(found, key=lambda doubt: doubt.place)


def _circles(jobfile: JobFile, job: Job) -> Iterator[Problem]:
    """A job that may write to a bucket of which every upload starts it.

    Who wrote an object no event of S3 tells, so neither the engine nor AWS can see the circle. Where a prefix or suffix
    says what is wanted somebody has thought of it: which keys a job writes is its own affair.
    """
    for path, source in _sources(jobfile, job):
        if source.bucket in job.writes and not (source.prefix or source.suffix):
            yield Problem(
                jobfile.place(path),
                f"job `{job.name}` may write to bucket `{source.bucket}`, and every upload there starts it: what it "
                "writes starts it again, without end, and on AWS without an end to the bill",
                hint="let a `prefix` or `suffix` here leave out what it writes, or write to another bucket; "
                "a job that only deletes there is right as it is",
            )


def _sources(jobfile: JobFile, job: Job) -> Iterator[tuple[str, UploadTrigger | Feed]]:
    """Which uploads start a job, directly or through a queue, and where the job file says so."""
    for number, trigger in enumerate(job.triggers):
        if isinstance(trigger, UploadTrigger):
            yield f"jobs.{job.name}.on.{number}", trigger
        elif isinstance(trigger, QueueTrigger) and (feed := jobfile.queues[trigger.queue].feed):
            yield f"queues.{trigger.queue}.from", feed
