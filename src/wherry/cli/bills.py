"""A bill as people and programs see it."""

from __future__ import annotations

from typing import Any

from wherry.cli import output
from wherry.cli.context import LOCAL
from wherry.cli.lines import RUN_PLACES, Footnotes, block, head, part_as_json, row, tariff_as_json
from wherry.cost.bill import FREE, Bill, JobBill
from wherry.cost.fargate import SPOT
from wherry.cost.parts import Part, dollars, exact, plain, total
from wherry.lifecycle import duration

_NOT_COUNTED = "objects in buckets, data that goes through a NAT gateway or leaves AWS, tax"


def show(bill: Bill, app: str, environment: str) -> None:
    """A bill for people."""
    notes = Footnotes()
    where = f"{app} in {environment}" if environment != LOCAL else f"{app}, if it were on Fargate"
    output.say(f"{output.paint(where, 'bold')}: {head(bill.tariff)}, on demand")
    output.say()
    rows = [row(part, notes, 2) for part in bill.idle]
    block("when nothing runs", "a month", "", [*rows, ("together", dollars(bill.per_idle_month), _without(bill.idle))])
    for job in bill.jobs.values():
        _show_job(job, notes)
    monthly = [("when nothing runs", dollars(bill.per_idle_month), "")]
    monthly += [(name, dollars(job.per_month), _runs(job)) for name, job in bill.jobs.items()]
    lacks = [*bill.missing, *(f"the runs of {name}" for name in bill.uncounted)]
    without = f"without {', '.join(lacks)}" if lacks else ""
    block("all of it", "a month", "", [*monthly, ("together", dollars(bill.per_month), without)])
    for said in _remarks(bill):
        output.say(said)
    notes.show()


def _show_job(job: JobBill, notes: Footnotes) -> None:
    task = job.work.task
    rows = [row(part, notes) for part in job.run]
    rows.append(("together", dollars(job.per_run, RUN_PLACES), _without(job.run)))
    if job.work.attempts > 1:
        rows.append(("each further attempt", dollars(job.again, RUN_PLACES), f"{job.work.attempts} attempts at most"))
    spot = spot_estimate(job)
    if spot is not None:
        rows.append(("on Fargate Spot", dollars(spot.amount, RUN_PLACES), f"(estimate: x {SPOT}; its price moves)"))
    for rival in job.rivals:
        if rival.part is None:
            rows.append((f"on {rival.name}", "-", rival.note))
        else:
            _, amount, how = row(rival.part, notes)
            rows.append((f"on {rival.name}", amount, f"{how}; {rival.note}"))
    size = f"{plain(task.cpu)} vCPU, {plain(task.memory)} GB, {'arm64' if task.arm else 'amd64'}, {task.capacity}"
    block(job.work.name, "a run", f"{duration(job.length.took)} ({job.length.why}) on {size}", rows)


def spot_estimate(job: JobBill) -> Part | None:
    """What a run's computing would cost on Spot; None where it is there already, or on EC2."""
    compute = job.run[0]
    if job.work.task.capacity != "fargate" or compute.amount is None:
        return None
    rest = total(job.run[1:])
    return Part(what="on Fargate Spot", amount=compute.amount * SPOT + rest, how="", doubt="estimate")


def _without(parts: list[Part]) -> str:
    lacks = [part.what for part in parts if part.amount is None]
    return f"without {', '.join(lacks)}" if lacks else ""


def _runs(job: JobBill) -> str:
    if job.count.runs is None:
        return f"nobody knows how many runs there are ({job.count.why}); `--runs N` or `--measured` says it"
    kept = f", and {dollars(total(job.kept))} for logs that are kept" if job.kept else ""
    return f"{plain(job.count.runs)} runs ({job.count.why}){kept}"


def _remarks(bill: Bill) -> list[str]:
    said = [output.paint(text, "yellow") for text in bill.unpriced]
    if any(not job.work.task.public_ip and job.work.task.capacity != "ec2" for job in bill.jobs.values()):
        said.append(
            output.paint(
                "tasks have no public address: what leads them out (NAT, endpoints) is not in these sums", "yellow"
            )
        )
    said.append(f"not counted: {_NOT_COUNTED}")
    said.append(f"free each month, for the whole account, and not taken off: {', '.join(FREE)}")
    return said


def as_json(bill: Bill, app: str, environment: str) -> dict[str, Any]:
    """A bill for other programs."""
    return {
        "app": app,
        "environment": environment,
        **tariff_as_json(bill.tariff),
        "idle": {"parts": [part_as_json(part) for part in bill.idle], "per_month": exact(bill.per_idle_month)},
        "jobs": {name: _job_as_json(job) for name, job in bill.jobs.items()},
        "per_month": exact(bill.per_month),
        "without_runs_of": bill.uncounted,
        "without": bill.missing,
        "not_priced": list(bill.unpriced),
        "not_counted": _NOT_COUNTED,
        "free_for_the_account": list(FREE),
        "sources": _sources(bill),
    }


def _job_as_json(job: JobBill) -> dict[str, Any]:
    spot = spot_estimate(job)
    task = job.work.task
    return {
        "cpu": exact(task.cpu),
        "memory_gb": exact(task.memory),
        "ephemeral_gb": task.ephemeral,
        "platform": "linux/arm64" if task.arm else "linux/amd64",
        "capacity": task.capacity,
        "duration": {"seconds": job.length.took.total_seconds(), "from": job.length.why},
        "runs_per_month": {"number": exact(job.count.runs), "from": job.count.why},
        "parts": [part_as_json(part) for part in job.run],
        "per_run": exact(job.per_run),
        "each_further_attempt": exact(job.again),
        "attempts_at_most": job.work.attempts,
        "kept": [part_as_json(part) for part in job.kept],
        "per_month": exact(job.per_month),
        "on_fargate_spot": exact(spot.amount) if spot else None,
        "elsewhere": [
            {"name": rival.name, "amount": exact(rival.part.amount if rival.part else None), "note": rival.note}
            for rival in job.rivals
        ],
    }


def _sources(bill: Bill) -> dict[str, Any]:
    parts = [*bill.idle]
    for job in bill.jobs.values():
        parts += [*job.run, *job.kept, *(rival.part for rival in job.rivals if rival.part)]
    used = {price.source.name: price.source for part in parts for price in part.prices}
    return {
        name: {"about": source.about, "date": source.date, "verified": source.verified}
        for name, source in sorted(used.items())
    }
