"""A bill as people and programs see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from wherry.cli import output
from wherry.cli.context import LOCAL
from wherry.cost.bill import FREE, Bill, JobBill
from wherry.cost.fargate import SPOT
from wherry.cost.parts import Part, dollars, exact, plain, total
from wherry.cost.table import Price, Source, Tariff
from wherry.lifecycle import duration

_NOT_COUNTED = "objects in buckets, data that goes through a NAT gateway or leaves AWS, tax"
Row = tuple[str, str, str]
#: A run costs parts of a cent.
RUN_PLACES = 6


class Footnotes:
    """Numbers for sources, in the order in which they are named."""

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def mark(self, prices: Iterable[Price]) -> str:
        """`[1, 3]`, or nothing."""
        numbers = []
        for price in prices:
            if price.source not in self.sources:
                self.sources.append(price.source)
            numbers.append(self.sources.index(price.source) + 1)
        return f"[{', '.join(str(number) for number in sorted(set(numbers)))}]" if numbers else ""

    def show(self) -> None:
        """What the numbers mean."""
        for number, source in enumerate(self.sources, 1):
            doubt = "" if source.verified else "unverified: "
            output.say(output.paint(f"[{number}] {doubt}{source.about} ({source.date})", "grey"))


def head(tariff: Tariff) -> str:
    """Where and when the prices hold."""
    return f"prices of {tariff.code} ({tariff.name}) as of {tariff.date}, US dollars"


def row(part: Part, notes: Footnotes, places: int = RUN_PLACES) -> Row:
    """A part as a line."""
    doubt = output.paint(f"({part.doubt})", "yellow") if part.doubt else ""
    mark = output.paint(notes.mark(part.prices), "grey")
    return part.what, dollars(part.amount, places), " ".join(word for word in (part.how, mark, doubt) if word)


def block(title: str, unit: str, why: str, rows: Sequence[Row], widths: tuple[int, int] = (27, 10)) -> None:
    """Lines below a heading, in the same columns as all others."""
    first, second = widths
    output.say(
        f"{output.paint(title.ljust(first), 'bold')}  {output.paint(unit.rjust(second), 'grey')}  {why}".rstrip()
    )
    for what, amount, how in rows:
        output.say(f"{what.ljust(first)}  {amount.rjust(second)}  {how}".rstrip())
    output.say()


def show(bill: Bill, app: str, environment: str) -> None:
    """A bill for people."""
    notes = Footnotes()
    where = f"{app} in {environment}" if environment != LOCAL else f"{app}, if it were on Fargate"
    output.say(f"{output.paint(where, 'bold')}: {head(bill.tariff)}, on demand")
    output.say()
    rows = [row(part, notes, 2) for part in bill.idle]
    block("when nothing runs", "a month", "", [*rows, ("together", dollars(bill.per_idle_month), "")])
    for job in bill.jobs.values():
        _show_job(job, notes)
    monthly = [("when nothing runs", dollars(bill.per_idle_month), "")]
    monthly += [(name, dollars(job.per_month), _runs(job)) for name, job in bill.jobs.items()]
    without = f"without the runs of {', '.join(bill.uncounted)}" if bill.uncounted else ""
    block("all of it", "a month", "", [*monthly, ("together", dollars(bill.per_month), without)])
    for said in _remarks(bill):
        output.say(said)
    notes.show()


def _show_job(job: JobBill, notes: Footnotes) -> None:
    task = job.work.task
    rows = [row(part, notes) for part in job.run]
    rows.append(("together", dollars(job.per_run, RUN_PLACES), ""))
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


def _runs(job: JobBill) -> str:
    if job.count.runs is None:
        return f"nobody knows how many runs there are ({job.count.why}); `--runs N` or `--measured` says it"
    kept = f", and {dollars(total(job.kept))} for logs that are kept" if job.kept else ""
    return f"{plain(job.count.runs)} runs ({job.count.why}){kept}"


def _remarks(bill: Bill) -> list[str]:
    said = [output.paint(text, "yellow") for text in bill.unpriced]
    if any(not job.work.task.public_ip for job in bill.jobs.values()):
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
        "not_priced": list(bill.unpriced),
        "not_counted": _NOT_COUNTED,
        "free_for_the_account": list(FREE),
        "sources": _sources(bill),
    }


def tariff_as_json(tariff: Tariff) -> dict[str, Any]:
    """Which prices these are."""
    return {"region": tariff.code, "currency": "USD", "prices_of": tariff.date}


def part_as_json(part: Part) -> dict[str, Any]:
    """A part, with the prices in it."""
    return {
        "what": part.what,
        "amount": exact(part.amount),
        "how": part.how,
        "doubt": part.doubt or None,
        "prices": [
            {"key": price.key, "amount": exact(price.amount), "source": price.source.name} for price in part.prices
        ],
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
