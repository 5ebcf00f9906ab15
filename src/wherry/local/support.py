"""What the job file can say and the local environment cannot do: refused by name, never silently ignored."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterable, Iterator

from wherry.errors import Problem, Unsupported, UserError
from wherry.executors.recipe import recipe
from wherry.local.alerts import SENDMAIL
from wherry.local.environment import folder_of
from wherry.model import Job, JobFile, QueueTrigger

_LATER = "take it out, or wait for the version of wherry that can"


def refuse_unsupported(jobfile: JobFile, jobs: Iterable[Job], *, triggers: bool, in_containers: bool) -> None:
    """Raise Unsupported naming every part of these jobs that would be ignored.

    `triggers` includes their triggers and what else an engine alone does; `in_containers` says what they run as.
    """
    found = []
    for job in jobs:
        wanting = _without_image(job, jobfile) if in_containers else _without_command(job)
        for path, what, hint in (*_unsupported(job), *wanting):
            found.append(_problem(jobfile, path, f"job `{job.name}`: {what}", hint))
    if triggers:
        found += [_problem(jobfile, path, what, hint) for path, what, hint in _out_of_reach(jobfile)]
        found += [_problem(jobfile, "environments.local.alerts", what, hint) for what, hint in _unreachable(jobfile)]
    if found:
        raise Unsupported(found)


def _problem(jobfile: JobFile, path: str, message: str, hint: str) -> Problem:
    place = jobfile.place(path)
    return Problem(place, message, source=linecache.getline(place.file, place.line).rstrip("\n"), hint=hint)


#: Dotted path, what is said of it, what to do about it.
_Finding = tuple[str, str, str]


def _unsupported(job: Job) -> Iterator[_Finding]:
    base = f"jobs.{job.name}"
    if job.task_definition is not None and not job.command:
        yield f"{base}.task_definition", "`task_definition` is not yet run by the local environment", _LATER


def _out_of_reach(jobfile: JobFile) -> Iterator[_Finding]:
    """Commands that would look for a queue of ours at AWS."""
    local = jobfile.environments.get("local")
    if local is None or local.aws != "inherit":
        return
    for job in jobfile.jobs.values():
        for number, trigger in enumerate(job.triggers):
            if isinstance(trigger, QueueTrigger) and not trigger.is_managed:
                what = f"job `{job.name}` polls queue `{trigger.queue}` by itself, and with `aws: inherit` it finds AWS"
                hint = "leave `aws: inherit` out of `local`, or `mode: self-polling` out of the trigger"
                yield f"jobs.{job.name}.on.{number}", what, hint


def _without_command(job: Job) -> Iterator[_Finding]:
    """What cannot run as a process, because only an image knows its command."""
    hint = "add `command:`, or run it in a container: `--executor docker`"
    if not job.command and job.task_definition is None:
        yield f"jobs.{job.name}", "it has no command, so it cannot run as a process", hint
    for helper in job.helpers:
        if not helper.command:
            what = f"helper `{helper.name}` has an image and no command, so it cannot run as a process"
            yield f"jobs.{job.name}.helpers.{helper.name}", what, hint


def _without_image(job: Job, jobfile: JobFile) -> Iterator[_Finding]:
    """What cannot run in a container, because there is nothing to make an image of."""
    if job.image:
        return
    try:
        recipe(folder_of(job, jobfile))
    except UserError as error:
        yield f"jobs.{job.name}{'.build' if job.build else ''}", error.message, error.hint or ""


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
