"""What runs have cost, as people and programs see it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from wherry.cli import lines, output
from wherry.cli.context import LOCAL
from wherry.cost.actual import AttemptCost, JobCost, RunCost
from wherry.cost.parts import dollars, exact, plain
from wherry.cost.table import Tariff

_HERE = "it ran here: this is what it would have cost on Fargate"


def show_run(cost: RunCost, tariff: Tariff, environment: str) -> None:
    """A run's cost for people."""
    notes = lines.Footnotes()
    run = cost.run
    output.say(f"{output.paint(f'run {run.id}', 'bold')} of {run.job}: {lines.head(tariff)}")
    if environment == LOCAL:
        output.say(_HERE)
    output.say()
    for attempt in cost.attempts:
        rows = [lines.row(part, notes) for part in attempt.parts]
        lines.block(f"attempt {attempt.number}", dollars(attempt.amount, lines.RUN_PLACES), _attempt(attempt), rows)
    rows = [lines.row(part, notes) for part in cost.rest]
    lines.block(
        "all of it", dollars(cost.amount, lines.RUN_PLACES), "" if run.status.ended else "so far: it goes on", rows
    )
    output.say("logs and what the job itself calls are not counted")
    notes.show()


def _attempt(attempt: AttemptCost) -> str:
    if attempt.task is None:
        return attempt.why
    size = f"{plain(attempt.task.cpu)} vCPU, {plain(attempt.task.memory)} GB, {attempt.task.capacity}"
    return f"{output.length(attempt.took)} on {size}"


def run_as_json(cost: RunCost, tariff: Tariff, environment: str) -> dict[str, Any]:
    """A run's cost for other programs."""
    return {
        "run": cost.run.id,
        "job": cost.run.job,
        "environment": environment,
        "would_have_cost": environment == LOCAL,
        **lines.tariff_as_json(tariff),
        "attempts": [
            {
                "number": attempt.number,
                "seconds": attempt.took.total_seconds(),
                "billed_seconds": attempt.billed_seconds,
                "parts": [lines.part_as_json(part) for part in attempt.parts],
                "amount": exact(attempt.amount),
            }
            for attempt in cost.attempts
        ],
        "parts": [lines.part_as_json(part) for part in cost.rest],
        "amount": exact(cost.amount),
    }


def show_sums(sums: list[JobCost], tariff: Tariff, environment: str, since: datetime) -> None:
    """What the runs of each job have cost, for people."""
    output.say(f"{lines.head(tariff)}; runs in {environment} since {output.moment(since)}")
    if environment == LOCAL:
        output.say(_HERE.replace("it ran", "they ran").replace("it would", "they would"))
    if not sums:
        output.note("no runs")
        return
    output.say()
    rows = [
        [
            one.job,
            str(one.runs),
            str(one.attempts),
            output.length(one.took),
            dollars(one.amount / one.runs, lines.RUN_PLACES),
            dollars(one.amount, 4),
        ]
        for one in sums
    ]
    rows.append(["together", str(sum(one.runs for one in sums)), "", "", "", dollars(_sum(sums), 4)])
    output.table(["JOB", "RUNS", "ATTEMPTS", "TIME", "A RUN", "TOGETHER"], rows)


def sums_as_json(sums: list[JobCost], tariff: Tariff, environment: str, since: datetime) -> dict[str, Any]:
    """What the runs of each job have cost, for other programs."""
    return {
        "environment": environment,
        "would_have_cost": environment == LOCAL,
        "since": output.instant(since),
        **lines.tariff_as_json(tariff),
        "jobs": {
            one.job: {
                "runs": one.runs,
                "attempts": one.attempts,
                "seconds": one.took.total_seconds(),
                "amount": exact(one.amount),
            }
            for one in sums
        },
        "amount": exact(_sum(sums)),
    }


def _sum(sums: list[JobCost]) -> Decimal:
    return sum((one.amount for one in sums), Decimal(0))
