"""`wherry runs`."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta

from wherry.cli import output
from wherry.cli.context import add_environment, add_json, jobfile_path, load_jobfile, open_target
from wherry.errors import UserError
from wherry.model import Run, Status, did_you_mean

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--job", metavar="JOB", help="only runs of this job")
    parser.add_argument("--status", metavar="STATUS", action="append", help="only runs that stand so; may be repeated")
    parser.add_argument("--since", metavar="WHEN", help="only runs since then: 30m, 24h, 7d, or 2026-03-01[T10:00]")
    parser.add_argument("--limit", metavar="N", type=int, default=20, help="at most so many (default: 20)")
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """List runs."""
    if arguments.limit < 1:
        raise UserError("`--limit` must be at least 1")
    statuses = [status_of(name) for name in arguments.status] if arguments.status else None
    since = since_of(arguments.since, datetime.now(UTC)) if arguments.since else None  # noqa: TID251 - the edge
    with open_target(arguments) as target:
        runs = target.runs(job=arguments.job, statuses=statuses, since=since, limit=arguments.limit)
    if arguments.json:
        output.say_json([output.run_as_json(run) for run in runs])
    elif runs:
        output.table(["RUN", "JOB", "TRIGGER", "STATUS", "CREATED", "TOOK", ""], [row(run) for run in runs])
    else:
        output.note("no runs" if arguments.job is None else f"no runs of job `{arguments.job}`{_unknown(arguments)}")
    return 0


def _unknown(arguments: argparse.Namespace) -> str:
    """What is to be said of a job's name that the job file does not have: its runs may be older than the file."""
    jobs = load_jobfile(jobfile_path(arguments)).jobs
    if arguments.job in jobs:
        return ""
    hint = did_you_mean(arguments.job, jobs)
    return ", which is not in the job file" + (f"; {hint}" if hint else "")


def row(run: Run) -> list[str]:
    """A run as a line of a table."""
    first = run.attempts[0].started_at if run.attempts else None
    took = run.ended_at - first if run.ended_at and first else None
    reason = run.reason.partition(";")[0]
    tries = f"({len(run.attempts)} attempts) " if len(run.attempts) > 1 else ""
    return [
        run.id,
        run.job,
        run.trigger,
        output.status(run.status),
        output.moment(run.created_at),
        output.length(took),
        tries + reason,
    ]


def status_of(name: str) -> Status:
    """The status of that name; raises UserError."""
    try:
        return Status(name.lower())
    except ValueError:
        raise UserError(
            f"there is no status `{name}`", hint=did_you_mean(name, [status.value for status in Status])
        ) from None


def since_of(text: str, now: datetime) -> datetime:
    """`24h` ago, or a date and time of this machine's zone unless it names one; raises UserError."""
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if match:
        return now - timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise UserError(f"`{text}` is not a time", hint="write 30m, 24h, 7d, 2026-03-01 or 2026-03-01T10:00") from None
