"""The same work on AWS Lambda and AWS Glue, as far as they can do it.

Limits: Lambda Developer Guide, "Quotas" (15 minutes, 10,240 MB), and "Memory" (1,769 MB come with one vCPU); Glue
Developer Guide, "Worker types" (G.1X is 1 DPU, 4 vCPU and 16 GB; two workers at least); a Python shell job has 1/16 DPU
or 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from wherry.cost.deployment import Task
from wherry.cost.fargate import billed, said
from wherry.cost.parts import Part, part, plain, rate
from wherry.cost.table import Tariff

_LAMBDA_LONGEST = timedelta(minutes=15)
_LAMBDA_MOST = 10_240
_LAMBDA_VCPU = 1_769
_SHELL_SMALL = Decimal("0.0625")
_DPU_CPU = 4
_DPU_MEMORY = 16
_LEAST_WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Rival:
    """Another service, and what the same run would cost there."""

    name: str
    #: None where it cannot.
    part: Part | None
    #: Why it cannot, else what is assumed.
    note: str


def rivals(tariff: Tariff, task: Task, took: timedelta) -> list[Rival]:
    """Lambda and both kinds of Glue job, for a run of that length on that much CPU and memory."""
    return [_lambda(tariff, task, took), _spark(tariff, task, took), _shell(tariff, task, took)]


def glue(tariff: Tariff, dpus: Decimal, took: timedelta) -> Part:
    """So many DPUs for so long: by the second, a minute at least (Glue 2.0 and later)."""
    hours = dpus * Decimal(billed(took)) / 3600
    how = f"{said(took)} x {plain(dpus)} DPU x {rate(tariff, 'glue-dpu-hour')} an hour"
    return part(tariff, "Glue", {"glue-dpu-hour": hours}, how=how)


def _lambda(tariff: Tariff, task: Task, took: timedelta) -> Rival:
    megabytes = max(math.ceil(task.memory * 1024), math.ceil(task.cpu * _LAMBDA_VCPU))
    if took > _LAMBDA_LONGEST:
        return Rival(name="Lambda", part=None, note="cannot: longer than 15 minutes")
    if megabytes > _LAMBDA_MOST:
        return Rival(name="Lambda", part=None, note=f"cannot: {megabytes:,} MB, and it has at most {_LAMBDA_MOST:,}")
    seconds = Decimal(math.ceil(took.total_seconds() * 1000)) / 1000
    kind = "lambda-arm-gb-second" if task.arm else "lambda-gb-second"
    used: dict[str, Decimal | int] = {kind: seconds * megabytes / 1024, "lambda-requests-1000000": 1}
    how = f"{plain(seconds)} s x {plain(Decimal(megabytes) / 1024)} GB x {rate(tariff, kind)}, and the request"
    return Rival(name="Lambda", part=part(tariff, "Lambda", used, how=how), note=f"{megabytes:,} MB")


def _spark(tariff: Tariff, task: Task, took: timedelta) -> Rival:
    workers = max(_LEAST_WORKERS, _dpus(task))
    return Rival(name="Glue Spark", part=glue(tariff, Decimal(workers), took), note=f"{workers} workers G.1X")


def _shell(tariff: Tariff, task: Task, took: timedelta) -> Rival:
    if _dpus(task) > 1:
        return Rival(name="Glue Python shell", part=None, note="cannot: more than 4 vCPU or 16 GB")
    small = task.cpu <= _SHELL_SMALL * _DPU_CPU and task.memory <= _SHELL_SMALL * _DPU_MEMORY
    dpus = _SHELL_SMALL if small else Decimal(1)
    return Rival(name="Glue Python shell", part=glue(tariff, dpus, took), note="for Python alone")


def _dpus(task: Task) -> int:
    return math.ceil(max(task.cpu / _DPU_CPU, task.memory / _DPU_MEMORY))
