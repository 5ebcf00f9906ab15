"""How many runs there are in a month: exactly where schedules make them, else as somebody says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from wherry.cost.deployment import Deployment
from wherry.cost.months import per_month


class Count(NamedTuple):
    """How many runs there are in a month, and who says so; None: nobody does."""

    runs: Decimal | None
    why: str


def counts_of(deployment: Deployment, now: datetime, *, given: Mapping[str, Count]) -> dict[str, Count]:
    """Runs a month of each job: what its schedules make, and what it follows; `given` is for what these do not tell."""
    found: dict[str, Count] = {}
    for name in deployment.works:
        _count(deployment, name, now, given, found)
    return found


def _count(
    deployment: Deployment, name: str, now: datetime, given: Mapping[str, Count], found: dict[str, Count]
) -> Count:
    if name in found:
        return found[name]
    work = deployment.works[name]
    # a circle of jobs that follow one another adds nothing: runs do not go round in it
    found[name] = Count(Decimal(0), "")
    sums, whys = Decimal(0), []
    if work.schedules:
        sums = sum((per_month(expression, zone, now) for expression, zone in work.schedules), Decimal(0))
        whys = ["by its schedule" if len(work.schedules) == 1 else "by its schedules"]
    for other in work.after:
        before = _count(deployment, other, now, given, found) if other in deployment.works else Count(None, "")
        if before.runs is None and name not in given:
            found[name] = Count(None, f"as many as of {other}")
            return found[name]
        sums += before.runs or Decimal(0)
        whys.append(f"as many as of {other}")
    by_hand = not (work.schedules or work.after or work.others)
    if work.others or by_hand:
        if name not in given:
            found[name] = Count(None, " and ".join(work.others) or "by hand")
            return found[name]
        sums += given[name].runs or Decimal(0)
        whys.append(given[name].why)
    found[name] = Count(sums, " and ".join(whys))
    return found[name]
