"""The only door for text to people: stdout for what was asked, stderr for the rest; colour only on a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from wherry.errors import JobFileError, Problem, WherryError

if TYPE_CHECKING:
    from wherry.model import Run, Status

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "grey": "90", "bold": "1"}
_STATUS_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "stopped": "yellow",
    "skipped": "grey",
    "running": "blue",
    "starting": "blue",
}


#: The commands that notes name are meant for this environment; empty: for the local one.
_environment = ""
#: Commands within prose that take `--env`.
_COMMAND = re.compile(
    r"`wherry (?:run|emit|cp|runs|show|logs|explain|stop|retry|replay|backfill|dead-letters|queues|queue"
    r"|status|secrets|verify|policy) ?[^`]*`"
)


def speak_of(environment: str) -> None:
    """From now on name commands as one types them for that environment."""
    global _environment  # noqa: PLW0603 - who speaks, and of what, is the same for a whole process
    _environment = environment


def addressed(text: str) -> str:
    """The text with `--env` in the commands that it names, where they need it."""
    if not _environment:
        return text
    return _COMMAND.sub(
        lambda found: found[0] if "--env" in found[0] else f"{found[0][:-1]} --env {_environment}`", text
    )


def say(text: str = "") -> None:
    """Print what was asked for."""
    print(text)  # noqa: T201 - this is the door


def note(text: str) -> None:
    """Tell a person something that was not asked for; never mixed into the output."""
    print(addressed(text), file=sys.stderr, flush=True)  # noqa: T201 - this is the door


def write(data: bytes) -> None:
    """Pass on a job's own bytes as they are."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say_json(value: Any) -> None:
    """Print a value as JSON, for other programs."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def error(failure: WherryError) -> None:
    """Print an error and what to do about it."""
    if isinstance(failure, JobFileError):
        note("\n".join(str(problem) for problem in failure.problems))
        note(f"{paint('error', 'red', sys.stderr)}: {count(len(failure.problems), 'problem')}")
    else:
        note(f"{paint('error', 'red', sys.stderr)}: {failure.message}")
    if failure.hint:
        note(f"  {failure.hint}")


def doubts(found: Iterable[Problem]) -> None:
    """Tell what is right and may yet be meant otherwise."""
    for doubt in found:
        note(str(doubt._replace(message=f"{paint('note', 'yellow', sys.stderr)}: {doubt.message}")))


def paint(text: str, colour: str, stream: Any = None) -> str:
    """The text in colour, where the stream (stdout unless given) is a terminal and NO_COLOR is not set."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def status(value: Status) -> str:
    """A status, in its colour."""
    colour = _STATUS_COLOURS.get(value.value)
    return paint(value.value, colour) if colour else value.value


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print rows in columns, those of `right` (by their heads) with their ends below each other.

    The last column takes what room is left and wraps as the terminal likes.
    """
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    if head[-1] not in right:
        widths[-1] = 0
    for number, line in enumerate(lines):
        cells = zip(line, widths, head, strict=False)
        text = "  ".join(_cell(cell, width, right=name in right) for cell, width, name in cells).rstrip()
        say(paint(text, "grey") if number == 0 else text)


def _cell(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    return len(re.sub(r"\x1b\[\d+m", "", text))


def moment(value: datetime | None) -> str:
    """A time as people here read it: local time, to the second."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else "-"


def instant(value: datetime | None) -> str | None:
    """A time for other programs: ISO 8601 in UTC with milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if value else None


def length(value: timedelta | None) -> str:
    """A length of time, as short as it stays exact enough: `0.4s`, `12s`, `3m05s`, `2h07m`."""
    if value is None:
        return "-"
    seconds = max(0.0, value.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def count(number: int, noun: str) -> str:
    """`1 job`, `3 jobs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def bytes_of(size: int) -> str:
    """A size as people read it: `812 B`, `1.4 MB`."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def run_as_json(run: Run) -> dict[str, Any]:
    """A run for other programs; the same shape for every environment."""
    return {
        "id": run.id,
        "job": run.job,
        "trigger": run.trigger,
        "cause": run.cause,
        "status": run.status.value,
        "reason": run.reason,
        "created_at": instant(run.created_at),
        "due_at": instant(run.due_at),
        "ended_at": instant(run.ended_at),
        "command": list(run.command),
        "env": dict(run.env),
        "overrides": {
            "command": None if run.overrides.command is None else list(run.overrides.command),
            "args": list(run.overrides.args),
            "env": dict(run.overrides.env),
        },
        "event": run.event.document,
        "attempts": [
            {
                "number": attempt.number,
                "started_at": instant(attempt.started_at),
                "ended_at": instant(attempt.ended_at),
                "ending": attempt.outcome.ending.value if attempt.outcome else None,
                "exit_code": attempt.outcome.exit_code if attempt.outcome else None,
                "process": attempt.process,
                "reason": attempt.outcome.reason if attempt.outcome else "",
                "peak_memory": attempt.peak_memory,
                "cpu_seconds": attempt.cpu_seconds,
            }
            for attempt in run.attempts
        ],
    }
