"""`wherry schedule next`: of an expression, of the job file, of an environment."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wherry.cli import output
from wherry.cli.context import jobfile_path, load_jobfile, open_target
from wherry.errors import UserError
from wherry.model import ScheduleTrigger, iso_seconds

if TYPE_CHECKING:
    from wherry.schedule import Firing

_DEFAULT_COUNT = 3
_MOST = 100_000
#: A job's name; every expression has a blank or a parenthesis in it.
_NAME = re.compile(r"[\w-]+")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    following = actions.add_parser("next", help="print the next firings of an expression, or of jobs")
    following.add_argument(
        "what",
        nargs="?",
        metavar="JOB|EXPR",
        help="a job (default: all of them), or cron(...), rate(...), at(...), five-field cron",
    )
    following.add_argument("--env", metavar="ENV", help="what comes next in an environment: deployed and enabled there")
    following.add_argument("--region", metavar="REGION", help="on AWS: another region than the job file's")
    following.add_argument("--after", metavar="ISO", help="strictly after this instant (default: now)")
    following.add_argument("--timezone", metavar="ZONE", help="IANA zone of the expression (default: UTC)")
    following.add_argument(
        "-n", dest="count", type=int, default=_DEFAULT_COUNT, metavar="N", help="how many of each (default: 3)"
    )
    following.add_argument("--plain", action="store_true", help="print the instants alone")
    following.add_argument(
        "--jsonl",
        action="store_true",
        help="read {expression, after, timezone?, n?} lines from stdin, write JSON lists",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the next firings."""
    now = datetime.now(UTC)  # noqa: TID251 - the edge
    if arguments.jsonl:
        for line in sys.stdin:
            if line.strip():
                output.say(json.dumps(_answer(line, now)))
        return 0
    is_expression = arguments.what is not None and not _NAME.fullmatch(arguments.what)
    if arguments.env and (is_expression or arguments.after):
        raise UserError("`--env` shows what comes next there, of all jobs or one", hint="leave out one or the other")
    if arguments.timezone and not is_expression:
        raise UserError("`--timezone` is of an expression; a job's schedule names its own", hint="leave it out")
    if arguments.env:
        return _show_upcoming(arguments)
    after = _instant(arguments.after) if arguments.after else now
    if is_expression:
        firings = [("", each) for each in _firings(arguments.what, after, arguments.timezone or "UTC", arguments.count)]
    else:
        firings = _of_jobs(arguments, after)
    for job, firing in firings:
        output.say(iso_seconds(firing.at) if arguments.plain else _line(firing, job))
    if not firings:
        whose = f"no schedule of job `{arguments.what}`" if arguments.what else "no schedule"
        output.note("it never fires after that" if is_expression else f"{whose} fires after that")
    return 0


def _of_jobs(arguments: argparse.Namespace, after: datetime) -> list[tuple[str, Firing]]:
    """The next firings of each schedule of the job file, in order."""
    jobfile = load_jobfile(jobfile_path(arguments))
    jobs = [jobfile.job(arguments.what)] if arguments.what else list(jobfile.jobs.values())
    found = [
        (job.name, firing)
        for job in jobs
        for trigger in job.triggers
        if isinstance(trigger, ScheduleTrigger)
        for firing in _firings(trigger.expression, after, trigger.timezone, arguments.count)
    ]
    return sorted(found, key=lambda each: (each[1].at, each[0]))


def _show_upcoming(arguments: argparse.Namespace) -> int:
    """The next firing of each schedule that is at work in an environment."""
    if arguments.what:
        load_jobfile(jobfile_path(arguments)).job(arguments.what)
    with open_target(arguments) as target:
        upcoming = [each for each in target.status().upcoming if arguments.what in (None, each.job)]
    for each in upcoming:
        output.say(iso_seconds(each.at) if arguments.plain else f"{iso_seconds(each.at)}  {each.job}")
    if not upcoming:
        output.note("no schedule is at work there")
    return 0


def _firings(expression: str, after: datetime, timezone: str, count: int) -> list[Firing]:
    from wherry import schedule

    if not 1 <= count <= _MOST:
        raise UserError(f"`-n` must be from 1 to {_MOST:,}")
    parsed = schedule.parse(expression)
    return list(itertools.islice(parsed.firings(after, timezone=timezone), count))


def _line(firing: Firing, job: str) -> str:
    local = firing.local
    words = [iso_seconds(firing.at), f"{local:%a %Y-%m-%d %H:%M} {local.tzname()}", job, firing.note]
    return "  ".join(word for word in words if word)


def _answer(line: str, now: datetime) -> Any:
    """The answer to one line of JSON: a list of instants, or {"error": ...}."""
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or not isinstance(request.get("expression"), str):
            raise UserError("a line is {expression, after, timezone?, n?}")
        after = _instant(request["after"]) if request.get("after") is not None else now
        count = request.get("n", _DEFAULT_COUNT)
        if not isinstance(count, int) or isinstance(count, bool):
            raise UserError("`n` must be a whole number")
        firings = _firings(request["expression"], after, str(request.get("timezone") or "UTC"), count)
    except UserError as error:
        return {"error": error.message}
    except ValueError as error:
        return {"error": f"not valid JSON: {error}"}
    return [iso_seconds(firing.at) for firing in firings]


def _instant(text: Any) -> datetime:
    """An ISO 8601 instant; one without an offset is taken for UTC. Raises UserError."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise UserError(f"`{text}` is not an instant", hint="write it as 2026-03-01T10:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
