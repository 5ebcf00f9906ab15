"""What the job file can say and the local environment cannot do: refused by name, never silently ignored."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterable, Iterator

from wherry.errors import Problem, Unsupported
from wherry.local.alerts import SENDMAIL
from wherry.model import Job, JobFile, QueueTrigger

_LATER = "take it out, or wait for the version of wherry that can"


def refuse_unsupported(jobfile: JobFile, jobs: Iterable[Job], *, triggers: bool) -> None:
    """Raise Unsupported naming every part of these jobs that would be ignored.

    `triggers` includes their triggers and what else an engine alone does.
    """
    found = [
        _problem(jobfile, path, f"job `{job.name}`: {what} by the local environment", _LATER)
        for job in jobs
        for path, what in _unsupported(job, triggers=triggers)
    ]
    if triggers:
        found += [_problem(jobfile, "environments.local.alerts", what, hint) for what, hint in _unreachable(jobfile)]
    if found:
        raise Unsupported(found)


def _problem(jobfile: JobFile, path: str, message: str, hint: str) -> Problem:
    place = jobfile.place(path)
    return Problem(place, message, source=linecache.getline(place.file, place.line).rstrip("\n"), hint=hint)


def _unsupported(job: Job, *, triggers: bool) -> Iterator[tuple[str, str]]:
    """(dotted path, what is said of it)."""
    base = f"jobs.{job.name}"
    if job.task_definition is not None and not job.command:
        yield f"{base}.task_definition", "`task_definition` is not yet run"
    for helper in job.helpers:
        if not helper.command:
            yield (
                f"{base}.helpers.{helper.name}",
                f"helper `{helper.name}` has an image and no command: it is not yet run",
            )
    if not triggers:
        return
    for number, trigger in enumerate(job.triggers):
        if isinstance(trigger, QueueTrigger):
            yield f"{base}.on.{number}", "queues are not yet run"


def _unreachable(jobfile: JobFile) -> Iterator[tuple[str, str]]:
    """(what is said of an address that reports cannot be sent to from here, what to do)."""
    local = jobfile.environments.get("local")
    for address in local.alerts if local else ():
        if not isinstance(address, str) or address.startswith("http"):
            continue
        if address.startswith("arn:"):
            yield f"reports to `{address}` cannot be sent from here", "a `command:` can publish to it with the AWS CLI"
        elif not os.path.exists(SENDMAIL):
            yield (
                f"mail to `{address}` cannot be sent: this machine has no {SENDMAIL}",
                "install a mail transfer agent (`apt-get install msmtp-mta`), or report to an URL or a command",
            )
