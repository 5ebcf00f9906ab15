"""Checks what other parts of wherry understand: schedules, event patterns, `$.path` and `${...}`.

Their errors become problems at the value's own place, and where the source spells the text as it is, at the very
character.
"""

from __future__ import annotations

from wherry import schedule
from wherry.errors import ScheduleError
from wherry.jobfile.convert import Values
from wherry.jobfile.report import Spot


def check_expressions(values: Values, root: Spot) -> None:
    """Note every expression in the jobs and defaults that its own part refuses."""
    for name, job in values.get("jobs", {}).items():
        for number, trigger in enumerate(job.get("on", ())):
            if trigger is not None:
                _check_trigger(trigger, root.at(f"jobs.{name}.on.{number}"))


def _check_trigger(trigger: Values, spot: Spot) -> None:
    match trigger:
        case {"schedule": expression}:
            _check_schedule(expression, trigger.get("timezone"), spot)


def _check_schedule(expression: str, timezone: str | None, spot: Spot) -> None:
    try:
        schedule.parse(expression)
    except ScheduleError as error:
        spot.problem(spot.key("schedule").value_place, error.message, error.hint)
    if timezone is not None:
        try:
            schedule.find_zone(timezone)
        except ScheduleError as error:
            spot.problem(spot.key("timezone").value_place, error.message, error.hint)
