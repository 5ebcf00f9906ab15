"""The difference that a plan makes to the bill."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wherry.cli import output, prices
from wherry.cli.lines import RUN_PLACES
from wherry.cost.bill import Bill, bill
from wherry.cost.counts import counts_of
from wherry.cost.parts import dollars, exact
from wherry.errors import UserError
from wherry.lifecycle import duration

if TYPE_CHECKING:
    from wherry.aws.deploy import Plan

#: So many jobs are named.
_MOST = 3


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The bill of what is deployed, and of what would be; a run takes as long as its `timeout` lets it."""

    before: Bill
    after: Bill

    @property
    def runs(self) -> list[str]:
        """The jobs of which a run would cost something else."""
        old, new = self.before.jobs, self.after.jobs
        return [name for name in new if name not in old or old[name].per_run != new[name].per_run]


def of_plan(plan: Plan) -> Difference:
    """What it comes to, from the templates alone; raises UserError where no prices are known."""
    from wherry.aws.billing import deployment_of
    from wherry.cli.lengths import Measured, given_counts, lengths_of

    survey = plan.survey
    tariff = prices.table().tariff(survey.site.aws.region)
    now = datetime.now(UTC)  # noqa: TID251 - the edge
    bills = []
    for templates in ((survey.deployed, survey.base_deployed), (plan.template, survey.base)):
        deployment = deployment_of(survey.site.jobfile, *templates)
        counts = counts_of(deployment, now, given=given_counts(deployment, None, Measured()))
        bills.append(bill(deployment, tariff, lengths_of(deployment, None, Measured()), counts))
    return Difference(before=bills[0], after=bills[1])


def show(plan: Plan) -> None:
    """One line, and another one that says what it is made of; a plan is a plan without prices, too."""
    try:
        found = of_plan(plan)
    except UserError as error:
        output.say(output.paint(f"what it costs is not known: {error.message}", "yellow"))
        return
    before, after = found.before, found.after
    said = [f"idle {_change(dollars(before.per_idle_month), dollars(after.per_idle_month))}"]
    for name in found.runs[:_MOST]:
        old = before.jobs[name].per_run if name in before.jobs else None
        job = after.jobs[name]
        costs = dollars(job.per_run, RUN_PLACES)
        cost = costs if old is None else _change(dollars(old, RUN_PLACES), costs)
        said.append(f"a run of {name}, {duration(job.length.took)}, {cost}")
    if len(found.runs) > _MOST:
        said.append(f"{len(found.runs) - _MOST} more jobs")
    monthly = _change(dollars(before.per_month), dollars(after.per_month))
    output.say(f"{output.paint('per month:', 'bold')} {monthly} ({'; '.join(said)})")
    lacks = [*after.missing, *(f"the runs of {name}" for name in after.uncounted)]
    without = f"; without {', '.join(lacks)}" if lacks else ""
    output.say(output.paint(f"  {after.tariff.code}, prices as of {after.tariff.date}{without}", "grey"))


def as_json(plan: Plan) -> dict[str, Any]:
    """The same for other programs; `unknown` says why there are no numbers."""
    try:
        found = of_plan(plan)
    except UserError as error:
        return {"unknown": error.message}
    before, after = found.before, found.after
    return {
        "region": after.tariff.code,
        "currency": "USD",
        "prices_of": after.tariff.date,
        "per_month": {"before": exact(before.per_month), "after": exact(after.per_month)},
        "idle": {"before": exact(before.per_idle_month), "after": exact(after.per_idle_month)},
        "runs": {
            name: {
                "seconds": job.length.took.total_seconds(),
                "before": exact(before.jobs[name].per_run) if name in before.jobs else None,
                "after": exact(job.per_run),
            }
            for name, job in after.jobs.items()
        },
        "without_runs_of": after.uncounted,
        "without": after.missing,
    }


def _change(before: str, after: str) -> str:
    return after if before == after else f"{before} -> {after}"
