"""`wherry show RUN`."""

from __future__ import annotations

import argparse
import json
import shlex

from wherry import lifecycle
from wherry.cli import output
from wherry.cli.context import add_environment, add_json, open_target
from wherry.errors import UserError
from wherry.model import Attempt, Run, Status
from wherry.target import Target

_LAST_LINES = 10
_TAIL = 1 << 16


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's id, or the beginning of it")
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Show the run."""
    with open_target(arguments) as target:
        run = target.find(arguments.run)
        if arguments.json:
            output.say_json(output.run_as_json(run))
            return 0
        show(target, run)
    return 0


def show(target: Target, run: Run) -> None:
    """All that is known of a run, for a person."""
    _show(run)
    if run.status in (Status.FAILED, Status.TIMED_OUT) and run.attempts:
        _show_all("end of the log", last_lines(target, run))
        output.note(f"`wherry explain {run.id}` says what to change")


def last_lines(target: Target, run: Run, count: int = _LAST_LINES) -> list[str]:
    """The last lines that the last attempt wrote, none where its log is elsewhere. Of a long log its end is read."""
    try:
        tail = b"".join(target.log(run, run.attempts[-1].number, last=_TAIL))
    except UserError as error:  # a task definition of one's own may log wherever it likes
        output.note(error.message)
        return []
    return tail.decode(errors="replace").splitlines()[-count:]


def _show(run: Run) -> None:
    rows = [
        ("run", f"{run.id}  {output.status(run.status)}"),
        ("why", run.reason),
        ("job", run.job),
        ("started by", f"{run.trigger}  {output.paint(run.cause, 'grey')}"),
        ("created", output.moment(run.created_at)),
        ("retried", output.moment(run.asked_at) if run.earlier_attempts else ""),
        ("due", output.moment(run.due_at) if not run.status.ended and run.due_at > run.created_at else ""),
        ("ended", output.moment(run.ended_at) if run.ended_at else ""),
        ("command", shlex.join(run.command)),
    ]
    for name, value in rows:
        if value:
            output.say(f"{output.paint(name.ljust(10), 'grey')}  {value}")
    _show_all("env", [f"{name}={value}" for name, value in run.env.items()])
    _show_all("attempts", [_attempt(attempt) for attempt in run.attempts])
    _show_all("event", json.dumps(run.event.document, indent=2, ensure_ascii=False).splitlines())


def _attempt(attempt: Attempt) -> str:
    took = output.length(attempt.ended_at - attempt.started_at) if attempt.ended_at else "running"
    how = lifecycle.describe(attempt.outcome) if attempt.outcome else ""
    used = [f"{attempt.cpu_seconds:.1f}s CPU"] if attempt.cpu_seconds and attempt.cpu_seconds >= 0.05 else []
    used += [output.bytes_of(attempt.peak_memory)] if attempt.peak_memory else []
    usage = f"  ({', '.join(used)})" if used else ""
    return f"{attempt.number}  {output.moment(attempt.started_at)}  {took}  {how}{output.paint(usage, 'grey')}"


def _show_all(name: str, lines: list[str]) -> None:
    if lines:
        output.say(output.paint(name, "grey"))
        for line in lines:
            output.say(f"  {line}")
