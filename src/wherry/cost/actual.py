"""What runs have cost, by what was set aside for their attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from wherry.cost import fargate
from wherry.cost.bill import TRANSITIONS_DOUBT
from wherry.cost.deployment import Task, Work
from wherry.cost.parts import Part, part, total
from wherry.cost.table import Tariff
from wherry.lifecycle import could_not_start
from wherry.model import Attempt, Run, Usage


@dataclass(frozen=True, kw_only=True)
class AttemptCost:
    """One attempt."""

    number: int
    #: None where nothing was billed: it did not come so far.
    task: Task | None
    #: From the beginning of the pull to the stop; here from its start to its end.
    took: timedelta
    parts: list[Part]

    @property
    def amount(self) -> Decimal:
        """US dollars."""
        return total(self.parts)


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """One run."""

    run: Run
    attempts: list[AttemptCost]
    #: Beyond the attempts: the state transitions of all of it.
    rest: list[Part]

    @property
    def amount(self) -> Decimal:
        """US dollars."""
        return sum((attempt.amount for attempt in self.attempts), Decimal(0)) + total(self.rest)


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """The runs of a job together."""

    job: str
    runs: int
    attempts: int
    took: timedelta
    amount: Decimal


def run_cost(tariff: Tariff, run: Run, work: Work | None, now: datetime) -> RunCost:
    """What a run has cost until `now`; a run here, what it would have cost as a task of the job's size.

    `work` is the job as it would be deployed; without it a run here has no size, and transitions are not counted.
    """
    attempts = [_attempt(tariff, attempt, work, now) for attempt in run.attempts]
    rest = []
    if work is not None and work.transitions:
        further = max(0, len(run.attempts) - 1)
        states = work.transitions + further * work.again + work.dispatched.get(run.trigger, 0)
        rest = [part(tariff, "Step Functions", {"transitions-1000": states}, doubt=TRANSITIONS_DOUBT)]
    return RunCost(run=run, attempts=attempts, rest=rest)


def by_job(costs: Iterable[RunCost]) -> list[JobCost]:
    """The sums of each job, the dearest first."""
    jobs: dict[str, list[RunCost]] = {}
    for each in costs:
        jobs.setdefault(each.run.job, []).append(each)
    found = [
        JobCost(
            job=name,
            runs=len(runs),
            attempts=sum(len(each.attempts) for each in runs),
            took=sum((attempt.took for each in runs for attempt in each.attempts), timedelta(0)),
            amount=sum((each.amount for each in runs), Decimal(0)),
        )
        for name, runs in jobs.items()
    ]
    return sorted(found, key=lambda each: (-each.amount, each.job))


def _attempt(tariff: Tariff, attempt: Attempt, work: Work | None, now: datetime) -> AttemptCost:
    usage = attempt.usage
    # a task on AWS that nothing is known of is not priced as if it had run here
    if usage is not None:
        task, took = _task(usage, work), (usage.ended_at or attempt.ended_at or now) - usage.began_at
    elif work is not None and not attempt.process.startswith("arn:") and not could_not_start(attempt.outcome):
        task, took = work.task, (attempt.ended_at or now) - attempt.started_at
    else:
        return AttemptCost(number=attempt.number, task=None, took=timedelta(0), parts=[])
    return AttemptCost(number=attempt.number, task=task, took=took, parts=fargate.attempt(tariff, task, took))


def _task(usage: Usage, work: Work | None) -> Task:
    made = Task(
        cpu=Decimal(usage.cpu) / 1024,
        memory=Decimal(usage.memory) / 1024,
        ephemeral=usage.ephemeral,
        arm=usage.arm,
        capacity=usage.capacity,
        public_ip=usage.public_ip,
    )
    return made if work is None else replace(made, secrets=work.task.secrets)


def median(lengths: Mapping[str, list[timedelta]]) -> dict[str, timedelta]:
    """The middle one of each job's lengths; of an even number the longer of the two in the middle."""
    return {job: sorted(found)[len(found) // 2] for job, found in lengths.items() if found}
