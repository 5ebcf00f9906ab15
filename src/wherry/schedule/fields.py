"""One field of a cron expression: its grammar, its values, its text.

The values of a field are a sorted sequence: a `range` where they are three or more and evenly spaced, else a tuple. So
`0/15`, `*/15` and `0,15,30,45` are equal, and print short.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wherry.errors import ScheduleError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
#: In EventBridge's order: `WEEKDAY_NAMES[0]` is day 1.
WEEKDAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

#: Fewer values than this are not worth a range.
_SHORTEST_RANGE = 3


@dataclass(frozen=True, kw_only=True)
class Field:
    """What one field of one dialect allows."""

    name: str
    low: int
    high: int
    #: Where `*` and `a/n` end.
    end: int
    #: The names of `low`, `low + 1` ...
    names: tuple[str, ...] = ()
    #: True when `20-2` goes on over the end of the field.
    wraps: bool = True
    #: The longest step that makes sense.
    longest_step: int
    #: What to know about the values, for those who got one wrong.
    hint: str | None = None

    @property
    def allowed(self) -> str:
        """`1-12 or JAN-DEC`."""
        numbers = f"{self.low}-{self.high}"
        return f"{numbers} or {self.names[0]}-{self.names[-1]}" if self.names else numbers

    def error(self, what: str, *, hint: str | None = None) -> ScheduleError:
        """An error that names the field."""
        return ScheduleError(f"{self.name} field: {what}", hint=hint)


# EventBridge. Quartz, from which the syntax comes, refuses longer steps than these; AWS does not say (UNVERIFIED).
MINUTES = Field(name="minutes", low=0, high=59, end=59, longest_step=59)
HOURS = Field(name="hours", low=0, high=23, end=23, longest_step=23)
MONTH_DAYS = Field(name="day-of-month", low=1, high=31, end=31, longest_step=31)
MONTHS = Field(name="month", low=1, high=12, end=12, names=_MONTHS, longest_step=12)
WEEKDAYS = Field(
    name="day-of-week",
    low=1,
    high=7,
    end=7,
    names=WEEKDAY_NAMES,
    longest_step=7,
    hint="in EventBridge 1 is SUN and 7 is SAT, or write the names",
)
# Scheduled rules do not check the upper end; a schedule beyond it is a slip of the pen.
YEARS = Field(name="year", low=1970, high=2199, end=2199, wraps=False, longest_step=229)

# Five-field cron: steps of the whole field (`*/60`, `*/24`) say what they mean, longer ones (`*/90`) do not.
UNIX_MINUTES = Field(name="minutes", low=0, high=59, end=59, wraps=False, longest_step=60)
UNIX_HOURS = Field(name="hours", low=0, high=23, end=23, wraps=False, longest_step=24)
UNIX_MONTH_DAYS = Field(name="day-of-month", low=1, high=31, end=31, wraps=False, longest_step=31)
UNIX_MONTHS = Field(name="month", low=1, high=12, end=12, names=_MONTHS, wraps=False, longest_step=12)
UNIX_WEEKDAYS = Field(
    name="day-of-week",
    low=0,
    high=7,
    end=6,
    names=WEEKDAY_NAMES,
    wraps=False,
    longest_step=7,
    hint="in five-field cron 0 and 7 are SUN, or write the names",
)


def compact(values: Iterable[int]) -> Sequence[int]:
    """The values in order, each once: as a range where they are evenly spaced, else as a tuple."""
    ordered = tuple(sorted(set(values)))
    if len(ordered) < _SHORTEST_RANGE:
        return ordered
    even = range(ordered[0], ordered[-1] + 1, ordered[1] - ordered[0])
    return even if tuple(even) == ordered else ordered


@functools.lru_cache(maxsize=4096)  # thousands of schedules are made of a few hundred fields
def parse_values(text: str, field: Field) -> Sequence[int]:
    """The values of a field: `*`, `a`, `a-b`, `a/n`, `a-b/n`, `*/n`, and lists of these.

    `a/n` goes on to the field's end and never wraps; a range wraps where the field does. Raises ScheduleError.
    """
    if "?" in text:
        raise field.error(
            f"`{text}` is not allowed, `?` stands alone in day-of-month or day-of-week of `cron()`", hint="write `*`"
        )
    return compact(value for item in text.split(",") for value in _item(item, text, field))


def parse_value(text: str, item: str, field: Field) -> int:
    """One number or name of a field; `item` is what it stands in. Raises ScheduleError."""
    # what has passed the expression's own check is ASCII, so that these are 0-9 only
    if text.isdecimal():
        # a number of many digits never becomes an int: Python limits that, and it is too large anyway
        digits = text.lstrip("0") or "0"
        if len(digits) <= len(str(field.high)) and field.low <= int(digits) <= field.high:
            return int(digits)
    elif text.upper() in field.names:
        return field.low + field.names.index(text.upper())
    where = "" if text == item else f" in `{item}`"
    what = f"`{text}`{where} is" if text else f"a value is missing{where}, and must be"
    expected = f"{'not ' if text else ''}one of {field.allowed}"
    raise field.error(f"{what} {expected}", hint=_nearest(text, field) or field.hint)


def _nearest(text: str, field: Field) -> str | None:
    if not text.isalpha() or not field.names:
        return None
    import difflib  # costs 10 ms, and only mistakes need it

    close = difflib.get_close_matches(text.upper(), field.names, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None


def _item(item: str, text: str, field: Field) -> Iterable[int]:
    """The values of one item of a list."""
    if not item:
        raise field.error(f"an item is missing in `{text}`" if text else "it is empty", hint=field.hint)
    base, slash, step_text = item.partition("/")
    step = _step(step_text, item, field) if slash else 1
    first_text, dash, last_text = base.partition("-")
    if base == "*":
        return range(field.low, field.end + 1, step)
    first = parse_value(first_text, item, field)
    if dash:
        return _span(first, parse_value(last_text, item, field), step, item, field)
    return range(first, field.end + 1, step) if slash else (first,)


def _step(text: str, item: str, field: Field) -> int:
    digits = text.lstrip("0")
    if text.isdecimal() and digits and len(digits) <= len(str(field.longest_step)):
        step = int(digits)
        if step <= field.longest_step:
            return step
    hint = None
    if text.isdecimal() and digits and field.name == "minutes":
        hint = f"steps start anew each hour; for an even pace write `rate({digits} minutes)`"
    elif text.isdecimal() and digits and field.name == "hours":
        hint = f"steps start anew each day; for an even pace write `rate({digits} hours)`"
    raise field.error(f"the step in `{item}` is not one of 1-{field.longest_step}", hint=hint)


def _span(first: int, last: int, step: int, item: str, field: Field) -> Iterable[int]:
    """The values of a range, both ends included."""
    if first <= last:
        return range(first, last + 1, step)
    if field is UNIX_WEEKDAYS and last == 0:
        return range(first, 8, step)  # a range may end in Sunday by any of its names
    if field.wraps:
        size = field.high - field.low + 1
        return [field.low + (value - field.low) % size for value in range(first, last + size + 1, step)]
    if field is YEARS:
        raise field.error(f"`{item}` ends before it begins")
    # a week's 7 is its 0 again
    head = f"{first}-{field.end}," if first <= field.end else ""
    hint = f"ranges of five-field cron do not wrap; write `{head}{field.low}-{last}`"
    raise field.error(f"`{item}` ends before it begins", hint=None if step > 1 else hint)


def runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """The values as (first, last) of consecutive ones; two neighbours stay two."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and found[-1][1] == value - 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    pairs = [[run] if run[1] - run[0] != 1 else [(run[0], run[0]), (run[1], run[1])] for run in found]
    return [run for pair in pairs for run in pair]


def render_values(values: Sequence[int], field: Field) -> str:
    """The values as EventBridge writes them; the inverse of `parse_values`."""
    if not isinstance(values, range):
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs(values))
    first, last, step = values[0], values[-1], values.step
    if step == 1:
        return "*" if (first, last) == (field.low, field.high) else f"{first}-{last}"
    if last + step <= field.high:
        return f"{first}-{last}/{step}"
    return f"*/{step}" if first == field.low else f"{first}/{step}"
