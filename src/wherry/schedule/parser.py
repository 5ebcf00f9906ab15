"""Text to schedule: which kind of expression it is."""

from __future__ import annotations

import functools
import re

from wherry.errors import ScheduleError
from wherry.schedule.base import Schedule
from wherry.schedule.eventbridge import parse_at, parse_cron, parse_rate
from wherry.schedule.unix import parse_macro, parse_unix

_FORMS = "write `cron(0 5 * * ? *)`, `rate(5 minutes)`, `at(2026-07-01T09:00:00)`, or five fields as in `30 2 * * 1-5`"

#: AWS's limit, in characters.
LONGEST_EXPRESSION = 256

_UNIX_FIELDS = 5


@functools.lru_cache(maxsize=16_384)  # a file is checked, and then scheduled
def parse(expression: str) -> Schedule:
    """The schedule of an expression, as EventBridge Scheduler reads it; or of five-field cron, as Vixie cron does.

    Raises ScheduleError, with what is wrong and what to write instead.
    """
    _check_text(expression)
    call = re.fullmatch(r"([A-Za-z]+)\((.*)\)", expression)
    if call is not None:
        return _parse_call(expression, call[1], call[2])
    if expression.startswith("@"):
        return parse_macro(expression)
    opened = re.match(r"(cron|rate|at)\(", expression, re.IGNORECASE)
    if opened is not None and ")" not in expression:
        raise ScheduleError(f"`{expression}` has no closing parenthesis", hint=f"write `{expression})`")
    if opened is not None:
        raise ScheduleError(f"`{expression}` goes on after the closing parenthesis", hint=_FORMS)
    return _parse_bare(expression)


def _check_text(expression: str) -> None:
    """Refuse what no kind of expression may have, so that messages may quote the rest safely."""
    if not expression.strip():
        raise ScheduleError("the schedule expression is empty", hint=_FORMS)
    if len(expression) > LONGEST_EXPRESSION:
        raise ScheduleError(
            f"a schedule expression has at most {LONGEST_EXPRESSION} characters, this one has {len(expression)}"
        )
    for character in expression.strip():
        if character != "\t" and not " " <= character <= "~":
            shown = f"`{character}` (U+{ord(character):04X})" if character.isprintable() else f"U+{ord(character):04X}"
            raise ScheduleError(f"the character {shown} cannot stand in a schedule expression")
    if expression != expression.strip():
        raise ScheduleError(
            "the schedule expression begins or ends with white space", hint=f"write `{expression.strip()}`"
        )


def _parse_call(expression: str, keyword: str, inner: str) -> Schedule:
    # AWS takes `AT(...)`; nothing is known of `CRON(...)` and `RATE(...)` (UNVERIFIED)
    if keyword.lower() == "at":
        return parse_at(expression, inner)
    if keyword == "cron":
        return parse_cron(expression, inner)
    if keyword == "rate":
        return parse_rate(expression, inner)
    if keyword.lower() in ("cron", "rate"):
        raise ScheduleError(
            f"`{keyword}` must be in lower case", hint=f"write `{keyword.lower()}{expression[len(keyword) :]}`"
        )
    raise ScheduleError(f"`{keyword}(...)` is not a kind of schedule", hint=_FORMS)


def _parse_bare(expression: str) -> Schedule:
    fields = expression.split()
    # no minute has a name, and `every day at 5 pm` is five words
    if len(fields) == _UNIX_FIELDS and not expression[0].isalpha():
        return parse_unix(expression, fields)
    for wrapped in (f"cron({expression})", f"rate({expression})", f"at({expression})"):
        if _parses(wrapped):
            raise ScheduleError(f"`{expression}` stands without its wrapper", hint=f"write `{wrapped}`")
    if len(fields) > _UNIX_FIELDS and re.match(r"[0-9*@]", expression):
        raise ScheduleError(
            f"`{expression}` has {len(fields)} fields, five-field cron has minutes, hours, day-of-month, month and "
            "day-of-week",
            hint="it has no seconds, no year and no command",
        )
    raise ScheduleError(f"`{expression}` is not a schedule expression", hint=_FORMS)


def _parses(expression: str) -> bool:
    try:
        parse(expression)
    except ScheduleError:
        return False
    return True
