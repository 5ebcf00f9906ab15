"""What a firing covers on AWS: the schedule's firing before it, computed by the dispatcher. Pure.

Scheduler tells when a firing was due and nothing of the one before. So each cron hands over its *calendar*: the
minutes, hours and months of its fields, its days in each of the 28 shapes that a month can have, and the offsets of its
zone. The dispatcher walks back through it as `wherry.schedule` does; `rate()` hands over its period.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from wherry import schedule
from wherry.model import ScheduleTrigger
from wherry.schedule.days import Month

#: Offsets of zones are handed over for these years; before and after, those at the ends hold on.
_YEARS = (2024, 2050)
#: A schedule that was silent for longer than this many months covers nothing: February 29 comes after 96 at most.
_MONTHS = 120
_DAY = 86_400_000


def interval_of(trigger: ScheduleTrigger) -> dict[str, Any]:
    """What the dispatcher needs to know of a schedule to tell what its firing covers."""
    parsed = schedule.parse(trigger.expression)
    if isinstance(parsed, schedule.Rate):
        return {"period": int(parsed.interval.total_seconds())}
    if not isinstance(parsed, schedule.Cron):
        return {"period": 0}
    shapes = [Month(first, length) for first in range(1, 8) for length in range(28, 32)]
    calendar = {
        "minutes": list(parsed.minutes),
        "hours": list(parsed.hours),
        "months": list(parsed.months),
        "days": {f"{shape.first}/{shape.length}": list(parsed.days.of(shape)) for shape in shapes},
        "offsets": _offsets(trigger.timezone),
    }
    everything = list(schedule.parse("* * * * *").years)  # type: ignore[attr-defined]
    if list(parsed.years) != everything:
        calendar["years"] = list(parsed.years)
    return {"calendar": calendar}


@cache
def _offsets(timezone: str) -> list[dict[str, int]]:
    """When a zone's offset changes: from which instant (milliseconds since 1970) which offset (minutes) holds."""
    zone = schedule.find_zone(timezone)
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in _YEARS)

    def offset(moment: datetime) -> int:
        found = moment.astimezone(zone).utcoffset() or timedelta(0)
        return int(found.total_seconds() // 60)

    found = [{"from": 0, "minutes": offset(first)}]
    day = first
    while day < last:
        following = day + timedelta(days=1)
        if offset(following) != offset(day):
            before, after = day, following
            while after - before > timedelta(minutes=1):
                middle = before + (after - before) // 2
                before, after = (middle, after) if offset(middle) == offset(day) else (before, middle)
            change = after.replace(second=0, microsecond=0)
            found.append({"from": int(change.timestamp() * 1000), "minutes": offset(following)})
        day = following
    return found


#: `$before(calendar, instant)`: the firing before one, both in milliseconds since 1970; the instant itself when there
#: was none. A wall time that is skipped does not fire, one that comes twice fires once, the first time.
BEFORE = f"""$before := function($calendar, $at) {{(
  $offset := function($instant) {{ $calendar.offsets[from <= $instant][-1].minutes * 60000 }};
  $pad := function($number) {{ $substring("0" & $string($number), -2) }};
  $month := function($year, $number) {{ $toMillis($string($year) & "-" & $pad($number) & "-01T00:00:00.000Z") }};
  $instants := function($wall) {{(
    $near := $distinct([$offset($wall - {_DAY}), $offset($wall + {_DAY})]);
    $sure := $filter($near, function($each) {{ $offset($wall - $each) = $each }});
    $count($sure) = 0 ? [] : $wall - $max($sure)
  )}};
  $wall := $at + $offset($at);
  $within := function($start) {{(
    $late := $filter($calendar.hours, function($hour) {{ $start + $hour * 3600000 <= $wall }});
    $few := $filter($late, function($hour, $place) {{ $place >= $count($late) - 3 }});
    $found := $few.($hour := $; $calendar.minutes.($instants($start + $hour * 3600000 + $ * 60000)));
    $found[$ < $at]
  )}};
  $look := function($year, $number, $left) {{(
    $start := $month($year, $number);
    $end := $number = 12 ? $month($year + 1, 1) : $month($year, $number + 1);
    $shape := $string(($floor($start / {_DAY}) + 4) % 7 + 1) & "/" & $string(($end - $start) / {_DAY});
    $is := $number in $calendar.months and ($exists($calendar.years) ? $year in $calendar.years : true);
    $days := $is ? $lookup($calendar.days, $shape)[$start + ($ - 1) * {_DAY} <= $wall] : [];
    $walk := function($place) {{(
      $place < 0 ? [] : (
        $found := $within($start + ($days[$place] - 1) * {_DAY});
        $count($found) > 0 ? $max($found) : $walk($place - 1)
      )
    )}};
    $found := $walk($count($days) - 1);
    $count($found) > 0 ? $found
      : $left = 0 ? $at
      : $number = 1 ? $look($year - 1, 12, $left - 1) : $look($year, $number - 1, $left - 1)
  )}};
  $today := $fromMillis($wall);
  $look($number($substring($today, 0, 4)), $number($substring($today, 5, 2)), {_MONTHS})
)}};"""
