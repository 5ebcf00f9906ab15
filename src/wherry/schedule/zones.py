"""Time zones: names to rules, wall times to instants."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from wherry.errors import ScheduleError


def find_zone(timezone: tzinfo | str) -> tzinfo:
    """The zone of an IANA name, as in `Europe/Berlin`; a zone is given back as it is.

    Raises ScheduleError with the nearest name when there is none of exactly that name.
    """
    if isinstance(timezone, tzinfo):
        return timezone
    return _named_zone(timezone)


@functools.cache
def _named_zone(name: str) -> ZoneInfo:
    # ZoneInfo alone would also take `localtime` and `right/...`, which AWS does not know, and on some file systems
    # names in the wrong case; and a name from a list can never lead to a file of somebody's choice.
    if name not in _zone_names():
        raise ScheduleError(f"there is no time zone {_quoted(name)}", hint=_suggestion(name))
    return ZoneInfo(name)


@functools.cache
def _zone_names() -> frozenset[str]:
    """All IANA names. `zoneinfo.available_timezones` opens 600 files to learn the same."""
    from importlib import resources  # costs 10 ms, and not every command asks for a zone

    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def _quoted(name: str) -> str:
    """The name in backticks, without what would break a line of text."""
    return f"`{name}`" if name.isprintable() else f"`{ascii(name)[1:-1]}`"


def _suggestion(name: str) -> str:
    import difflib  # costs 10 ms, and only mistakes need it

    wanted = name.strip().replace(" ", "_").casefold()
    names = sorted(_zone_names())
    # the right name in the wrong case, or a city without its continent
    same = [known for known in names if known.casefold() == wanted]
    same += [known for known in names if known.casefold().rpartition("/")[2] == wanted]
    close = same or difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    return f"did you mean `{close[0]}`?" if close else "write an IANA name such as `Europe/Berlin`, or `UTC`"


def in_utc(moment: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError for a naive datetime, which would mean the machine's own zone."""
    if moment.utcoffset() is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC)


def wall_of(instant: datetime, zone: tzinfo) -> datetime:
    """What the clocks of the zone show at that instant, naive."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def instant_of(wall: datetime, zone: tzinfo) -> datetime | None:
    """The instant in UTC at which the zone's clocks show that time; the first of two, None when they never do."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    return instant if wall_of(instant, zone) == wall else None


def happens_twice(wall: datetime, zone: tzinfo) -> bool:
    """True when the zone's clocks, being set back, show that (existing) time twice."""
    local = wall.replace(tzinfo=zone)
    return local.utcoffset() != local.replace(fold=1).utcoffset()


def latest_wall(instant: datetime, zone: tzinfo) -> datetime:
    """A wall time that no first pass before that instant goes beyond.

    In the second pass of a repeated hour it is later than what the clocks show: 01:59 of the first pass lies before
    01:10 of the second.
    """
    local = instant.astimezone(zone)
    offset = local.replace(fold=0).utcoffset() or timedelta(0)
    return max(instant.replace(tzinfo=None) + offset, local.replace(tzinfo=None, fold=0))


def end_of_gap(wall: datetime, zone: tzinfo) -> datetime:
    """The instant, to the second, at which the clocks jump over that nonexistent wall time."""
    local = wall.replace(tzinfo=zone)
    # fold=0 reads a time in a gap with the offset before the jump, fold=1 with the one after it (PEP 495): that
    # brackets the jump
    before, after = local.replace(fold=1).astimezone(UTC), local.astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
