"""What runs have cost, by what was set aside for their attempts; those of messages are parts of a worker's time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from wherry.cost import fargate
from wherry.cost.bill import REQUESTS, REQUESTS_WHY, TRANSITIONS_DOUBT
from wherry.cost.deployment import Task, Work
from wherry.cost.parts import Part, part, total
from wherry.cost.table import Tariff
from wherry.messages import queue_of
from wherry.model import Attempt, Run, Usage
from wherry.reasons import never_began

_NOT_STARTED = "nothing is billed of it, as far as is known: it did not start"
_UNKNOWN = "nobody knows what was billed of it"


@dataclass(frozen=True, kw_only=True)
class AttemptCost:
    """One attempt."""

    number: int
    #: None where nothing was billed, or nobody knows what: `why`.
    task: Task | None = None
    why: str = ""
    #: From the beginning of the pull to the stop; here, and of a message, from its start to its end.
    took: timedelta = timedelta(0)
    #: It is a part of a worker that does more.
    shared: bool = False
    parts: list[Part] = field(default_factory=list)

    @property
    def billed_seconds(self) -> int:
        """The seconds that are billed."""
        return fargate.billed(self.took, shared=self.shared) if self.task else 0

    @property
    def amount(self) -> Decimal:
        """US dollars."""
        return total(self.parts)


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """One run."""

    run: Run
    attempts: list[AttemptCost]
    #: Beyond the attempts: the state transitions of all of it, or its requests of SQS.
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
    is_message = queue_of(run.cause) is not None
    attempts = [_attempt(tariff, attempt, work, now, shared=is_message) for attempt in run.attempts]
    further = max(0, len(run.attempts) - 1)
    rest = []
    if is_message:
        rest = [part(tariff, "SQS", {"sqs-1000000": REQUESTS + further}, why=REQUESTS_WHY)]
    elif run.trigger != "queue" and work is not None and work.transitions:
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


def _attempt(tariff: Tariff, attempt: Attempt, work: Work | None, now: datetime, *, shared: bool) -> AttemptCost:
    usage = attempt.usage
    if usage is not None:
        task, took = _task(usage, work), (usage.ended_at or attempt.ended_at or now) - usage.began_at
    elif never_began(attempt.outcome):
        return AttemptCost(number=attempt.number, why=_NOT_STARTED)
    elif work is None or not _is_timed(attempt, shared=shared):
        return AttemptCost(number=attempt.number, why=_UNKNOWN)
    else:
        task, took = work.task, (attempt.ended_at or now) - attempt.started_at
    parts = fargate.attempt(tariff, task, took, shared=shared)
    return AttemptCost(number=attempt.number, task=task, took=took, shared=shared, parts=parts)


def _is_timed(attempt: Attempt, *, shared: bool) -> bool:
    """Whether its times say what it has taken: a worker's word, or a process here; not when its end is unknown."""
    has_times = shared or not attempt.process.startswith("arn:")
    return has_times and (attempt.outcome is None or attempt.ended_at is not None)


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
