"""How long runs take and how many there are: as given, as measured, else as the job file says."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from wherry.cli import output
from wherry.cli.context import LOCAL, jobfile_path, open_target
from wherry.cost.actual import median
from wherry.cost.bill import Length
from wherry.cost.counts import Count
from wherry.errors import UserError
from wherry.model import Attempt, JobFile, Run, Status

if TYPE_CHECKING:
    from wherry.cost.deployment import Deployment, Work

_DAYS = 30
_MEAN_DAYS = Decimal("30.4375")
#: So many runs are looked at.
_MOST = 1_000
#: Nobody says how long a run takes.
_UNKNOWN = timedelta(hours=1)
#: Of these the number follows from the job file.
_COUNTED = ("schedule", "after")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What ran."""

    #: The median of each job's successful attempts.
    lengths: dict[str, timedelta] = field(default_factory=dict)
    #: Runs of the last 30 days that neither a schedule nor another job has started; None: nobody was asked.
    counts: dict[str, int] | None = None
    where: str = ""


def measure(arguments: argparse.Namespace, jobfile: JobFile, now: datetime) -> Measured:
    """What ran in the environment, where it is to be asked; else how long the runs took that there were here."""
    if arguments.measured:
        arguments.env = arguments.env or next((name for name in jobfile.environments if name != LOCAL), LOCAL)
        runs = _runs(arguments, now)
        counts = Counter(run.job for run in runs if run.trigger not in _COUNTED and run.status is not Status.SKIPPED)
        return Measured(lengths=_lengths(runs), counts=dict(counts), where=f"in {arguments.env}")
    from wherry.local.home import FOLDER

    folder = os.path.dirname(jobfile_path(arguments))
    if arguments.duration or not os.path.isfile(os.path.join(folder, FOLDER, "wherry.db")):
        return Measured()
    here = argparse.Namespace(**{**vars(arguments), "env": LOCAL})
    return Measured(lengths=_lengths(_runs(here, now)), where="here")


def lengths_of(deployment: Deployment, given: str | None, measured: Measured) -> dict[str, Length]:
    """How long a run of each job takes; raises UserError for what is no length."""
    if given is not None:
        length = _parsed(given)
        return {name: Length(length, "as given") for name in deployment.works}
    return {name: _length(work, measured) for name, work in deployment.works.items()}


def given_counts(deployment: Deployment, runs: int | None, measured: Measured) -> dict[str, Count]:
    """How many runs a month there are that the job file does not tell the number of; raises UserError."""
    if runs is not None:
        if runs < 0:
            raise UserError("`--runs` is a number of runs a month: 0 or more")
        return {name: Count(Decimal(runs), "as given") for name in deployment.works}
    if measured.counts is None:
        return {}
    return {
        name: Count(measured.counts.get(name, 0) * _MEAN_DAYS / _DAYS, f"of the last {_DAYS} days {measured.where}")
        for name in deployment.works
    }


def _length(work: Work, measured: Measured) -> Length:
    if work.name in measured.lengths:
        return Length(measured.lengths[work.name], f"the median of what ran {measured.where}")
    if work.timeout is not None:
        return Length(work.timeout, "its `timeout`")
    return Length(_UNKNOWN, "assumed: it has no `timeout`; `--duration` says it")


def _runs(arguments: argparse.Namespace, now: datetime) -> list[Run]:
    try:
        with open_target(arguments) as target:
            return target.runs(job=arguments.job, statuses=None, since=now - timedelta(days=_DAYS), limit=_MOST)
    finally:
        output.speak_of("")


def _lengths(runs: list[Run]) -> dict[str, timedelta]:
    found: dict[str, list[timedelta]] = {}
    for run in runs:
        took = _took(run.attempts[-1]) if run.status is Status.SUCCEEDED and run.attempts else None
        if took is not None:
            found.setdefault(run.job, []).append(took)
    return median(found)


def _took(attempt: Attempt) -> timedelta | None:
    began = attempt.usage.began_at if attempt.usage else attempt.started_at
    ended = (attempt.usage and attempt.usage.ended_at) or attempt.ended_at
    return ended - began if ended else None


def _parsed(text: str) -> timedelta:
    from wherry.jobfile.values import BadValue, parse_duration

    try:
        found = parse_duration(text)
    except BadValue as error:
        raise UserError(f"`--duration` {error}", hint="`--duration 10m`") from None
    if not found:
        raise UserError("`--duration` must be longer than nothing", hint="`--duration 10m`")
    return found
