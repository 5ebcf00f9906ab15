"""One attempt on Fargate.

AWS bills the size that is asked for, by the second and for at least a minute, from the beginning of the image's pull
until the task has stopped (aws.amazon.com/fargate/pricing). 20 GB of ephemeral storage are included.
"""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

from wherry.cost.deployment import Task
from wherry.cost.parts import MONTH_HOURS, Part, part, plain, rate
from wherry.cost.table import Tariff

LEAST_SECONDS = 60
_INCLUDED_GB = 20
#: Of the price on demand. Spot is in no price list and moves: "up to 70 %" off, says AWS.
SPOT = Decimal("0.35")
_HOUR = 3600


def billed(took: timedelta, *, shared: bool = False) -> int:
    """The seconds that are billed for a task of that length; `shared`: for so long a part of a worker."""
    seconds = math.ceil(took.total_seconds())
    return seconds if shared else max(LEAST_SECONDS, seconds)


def task_hour(tariff: Tariff, task: Task) -> Part:
    """A task for an hour, on demand, without a public address."""
    return part(tariff, "a task-hour", _quantities(task, Decimal(1)))


def attempt(tariff: Tariff, task: Task, took: timedelta, *, shared: bool = False) -> list[Part]:
    """What an attempt of that length costs: computing, its public address, the secrets that it reads.

    `shared` is its part of a worker that does more: by the second, and without what its start costs.
    """
    found = [compute(tariff, task, took, shared=shared)]
    if task.public_ip and task.capacity != "ec2":
        seconds = billed(took, shared=shared)
        hours = {"ipv4-hour": Decimal(seconds) / _HOUR}
        how = f"{seconds:,} s x {rate(tariff, 'ipv4-hour')} an hour"
        # AWS does not say whether part of an hour is billed as a whole one
        found.append(
            part(tariff, "public IPv4", hours, how=how, doubt="if it is billed by the second, not by the hour")
        )
    if task.secrets and not shared:
        found.append(part(tariff, "secrets read", {"secret-calls-10000": task.secrets}))
    return found


def compute(tariff: Tariff, task: Task, took: timedelta, *, shared: bool = False) -> Part:
    """CPU, memory and storage of an attempt; not known on EC2, whose instances are billed whether they work or not."""
    if task.capacity == "ec2":
        return Part(what="compute", amount=None, how="EC2 instances are billed by EC2, not by the run")
    seconds, spot = billed(took, shared=shared), task.capacity == "fargate-spot"
    length = f"{seconds:,} s of a worker" if shared else said(took)
    return part(
        tariff,
        "compute",
        _quantities(task, Decimal(seconds) / _HOUR),
        how=f"{length} x ({_rates(tariff, task)}) an hour" + (f" x {SPOT}" if spot else ""),
        factor=SPOT if spot else Decimal(1),
        doubt="Fargate Spot: an estimate" if spot else "",
    )


def always(tariff: Tariff, task: Task, count: int, why: str) -> list[Part]:
    """What so many tasks cost in a month that are always there."""
    hours, spot = Decimal(MONTH_HOURS * count), task.capacity == "fargate-spot"
    doubt, factor = ("Fargate Spot: an estimate", SPOT) if spot else ("", Decimal(1))
    found = [part(tariff, "workers", _quantities(task, hours), why=why, doubt=doubt, factor=factor)]
    if task.public_ip:
        found.append(part(tariff, "public IPv4 of workers", {"ipv4-hour": hours}, why=why))
    return found


def said(took: timedelta) -> str:
    """The seconds that are billed, and why they are more than the task took."""
    least = " (the least there is)" if took.total_seconds() < LEAST_SECONDS else ""
    return f"{billed(took):,} s{least}"


def _quantities(task: Task, hours: Decimal) -> dict[str, Decimal]:
    return {key: amount * hours for key, amount, _ in _asked(task)}


def _rates(tariff: Tariff, task: Task) -> str:
    return " + ".join(f"{plain(amount)} {unit} x {rate(tariff, key)}" for key, amount, unit in _asked(task))


def _asked(task: Task) -> list[tuple[str, Decimal, str]]:
    """What a task asks for: price, how much, and of what."""
    kind = "fargate-arm" if task.arm else "fargate"
    found = [(f"{kind}-vcpu-hour", task.cpu, "vCPU"), (f"{kind}-gb-hour", task.memory, "GB")]
    beyond = Decimal(task.ephemeral - _INCLUDED_GB)
    return [*found, ("ephemeral-gb-hour", beyond, "GB of storage")] if beyond > 0 else found
