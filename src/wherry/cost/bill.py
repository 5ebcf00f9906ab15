"""What an environment costs: while nothing runs, for a run of each job, in a month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from wherry.cost import fargate
from wherry.cost.counts import Count
from wherry.cost.deployment import Deployment, Work
from wherry.cost.parts import Part, part, total
from wherry.cost.rivals import Rival, rivals
from wherry.cost.standing import idle, said_of_instances
from wherry.cost.table import Tariff

#: What nobody can know of a job file: how much a run writes, and how large an image is. Said wherever they are used.
LOG_GB = Decimal(1) / 1024
_LOG_WORDS = "1 MB, assumed"
#: 365.25 / 12.
_MEAN_DAYS = Decimal("30.4375")
#: AWS's own example counts them; nobody here has seen it on a bill.
TRANSITIONS_DOUBT = "with start and end"
#: Of SQS, for a message that is done at the first attempt; each further one receives it once more.
REQUESTS = 3
REQUESTS_WHY = "sent, received, deleted"
#: Once a month for every account: shared by all that is in it, and so not counted in.
FREE = (
    "4,000 state transitions",
    "14,000,000 Scheduler invocations",
    "1,000,000 requests of SQS",
    "5 GB of logs",
    "10 alarms and 10 metrics",
    "3 dashboards",
    "in new accounts 500 MB of images for a year",
)


class Length(NamedTuple):
    """How long a run takes, and who says so."""

    took: timedelta
    why: str


@dataclass(frozen=True, kw_only=True)
class JobBill:
    """What a job costs."""

    work: Work
    length: Length
    count: Count
    #: A run that succeeds at the first attempt.
    run: list[Part]
    #: Each further attempt.
    again: Decimal
    #: What it leaves for a month: its logs, as long as they are kept.
    kept: list[Part]
    #: The same run elsewhere.
    rivals: list[Rival]

    @property
    def per_run(self) -> Decimal:
        """US dollars."""
        return total(self.run)

    @property
    def per_month(self) -> Decimal | None:
        """US dollars; None where the number of runs is not known."""
        return None if self.count.runs is None else self.per_run * self.count.runs + total(self.kept)


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What an environment costs."""

    tariff: Tariff
    idle: list[Part]
    jobs: Mapping[str, JobBill]
    unpriced: tuple[str, ...] = ()

    @property
    def per_idle_month(self) -> Decimal:
        """US dollars for a month in which nothing runs."""
        return total(self.idle)

    @property
    def per_month(self) -> Decimal:
        """US dollars for a month, as far as the number of runs is known."""
        return self.per_idle_month + sum((job.per_month or Decimal(0) for job in self.jobs.values()), Decimal(0))

    @property
    def missing(self) -> list[str]:
        """What is in no sum, because its price is not known."""
        parts = [*self.idle, *(part for job in self.jobs.values() for part in (*job.run, *job.kept))]
        return list(dict.fromkeys(part.what for part in parts if part.amount is None))

    @property
    def uncounted(self) -> list[str]:
        """The jobs whose runs nobody has counted."""
        return [name for name, job in self.jobs.items() if job.count.runs is None]


def bill(deployment: Deployment, tariff: Tariff, lengths: Mapping[str, Length], counts: Mapping[str, Count]) -> Bill:
    """The bill of an environment, with a length and a count for each job."""
    return Bill(
        tariff=tariff,
        idle=idle(deployment, tariff),
        jobs={name: job_bill(work, tariff, lengths[name], counts[name]) for name, work in deployment.works.items()},
        unpriced=(*(said_of_instances(tariff, each) for each in deployment.instances), *deployment.unpriced),
    )


def job_bill(work: Work, tariff: Tariff, length: Length, count: Count) -> JobBill:
    """What a job costs."""
    kind = _kind(work)
    is_message = kind == "queue"
    once = fargate.attempt(tariff, work.task, length.took, shared=is_message)
    logs = part(tariff, "logs", {"logs-gb": LOG_GB}, why=_LOG_WORDS)
    run = [*once, logs]
    if is_message:
        run.append(part(tariff, "SQS", {"sqs-1000000": REQUESTS}, why=REQUESTS_WHY))
    else:
        states = work.transitions + work.dispatched.get(kind, 0)
        run.append(part(tariff, "Step Functions", {"transitions-1000": states}, doubt=TRANSITIONS_DOUBT))
    if kind == "schedule":
        run.append(part(tariff, "Scheduler", {"scheduler-1000000": 1}))
    elif kind in ("upload", "event"):
        doubt = "if AWS bills S3's events like others" if kind == "upload" else ""
        run.append(part(tariff, "EventBridge", {"events-1000000": 1}, doubt=doubt))
    more = {"sqs-1000000": 1} if is_message else {"transitions-1000": work.again}
    again = total([*once, logs, part(tariff, "", more)])
    kept = []
    if count.runs:
        months = work.kept.days / _MEAN_DAYS
        stored = LOG_GB * count.runs * months
        kept = [part(tariff, "logs kept", {"logs-kept-gb-month": stored}, why=f"{work.kept.days} days")]
    return JobBill(
        work=work,
        length=length,
        count=count,
        run=run,
        again=again,
        kept=kept,
        rivals=rivals(tariff, work.task, length.took),
    )


def _kind(work: Work) -> str:
    """Why most of its runs begin."""
    if work.others:
        return work.others[0]
    return "schedule" if work.schedules else "after" if work.after else "manual"
