"""`wherry schedule next EXPR`."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wherry.cli import output
from wherry.errors import UserError
from wherry.model import iso_seconds

if TYPE_CHECKING:
    from wherry.schedule import Firing

_DEFAULT_COUNT = 3
_MOST = 100_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    following = actions.add_parser("next", help="print the next firings of an expression")
    following.add_argument(
        "expression", nargs="?", metavar="EXPR", help="cron(...), rate(...), at(...) or five-field cron"
    )
    following.add_argument("--after", metavar="ISO", help="strictly after this instant (default: now)")
    following.add_argument(
        "--timezone", metavar="ZONE", default="UTC", help="IANA zone of the expression (default: UTC)"
    )
    following.add_argument(
        "-n", dest="count", type=int, default=_DEFAULT_COUNT, metavar="N", help="how many (default: 3)"
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
    if arguments.expression is None:
        raise UserError("an expression is missing", hint="e.g. wherry schedule next 'cron(0 5 * * ? *)'")
    after = _instant(arguments.after) if arguments.after else now
    firings = _firings(arguments.expression, after, arguments.timezone, arguments.count)
    for firing in firings:
        output.say(iso_seconds(firing.at) if arguments.plain else _line(firing))
    if not firings:
        output.note("it never fires after that")
    return 0


def _firings(expression: str, after: datetime, timezone: str, count: int) -> list[Firing]:
    from wherry import schedule

    if not 1 <= count <= _MOST:
        raise UserError(f"`-n` must be from 1 to {_MOST:,}")
    parsed = schedule.parse(expression)
    return list(itertools.islice(parsed.firings(after, timezone=timezone), count))


def _line(firing: Firing) -> str:
    local = firing.local
    text = f"{iso_seconds(firing.at)}  {local:%a %Y-%m-%d %H:%M} {local.tzname()}"
    return f"{text}  {firing.note}" if firing.note else text


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
