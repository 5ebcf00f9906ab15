"""The sizes of tasks, and which memory goes with which CPU on Fargate (ECS API Reference, RegisterTaskDefinition)."""

from __future__ import annotations

import math
from typing import NamedTuple

from wherry.model import Job

_MIB = 1 << 20
#: CPU units -> the memory that goes with them, in MiB.
FARGATE = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}


class Size(NamedTuple):
    """A size of a task."""

    #: ECS units: 1,024 are one vCPU.
    cpu: int
    #: MiB.
    memory: int

    def __str__(self) -> str:
        memory = f"{self.memory // 1024}GB" if self.memory % 1024 == 0 else f"{self.memory}MB"
        return f"cpu: {self.cpu / 1024:g}, memory: {memory}"


#: What a job has that says nothing.
_SMALLEST = Size(256, 512)


def size_of(job: Job) -> Size | None:
    """The size of a job's tasks; None when Fargate has none like it.

    What the job leaves open is the least that goes with the other; both open is the smallest size.
    """
    cpu = None if job.cpu is None else round(job.cpu * 1024)
    memory = None if job.memory is None else job.memory // _MIB if job.memory % _MIB == 0 else -1
    for units, memories in FARGATE.items():
        if cpu not in (None, units):
            continue
        if memory is None:
            return Size(units, memories[0])
        if memory in memories:
            return Size(units, memory)
    return None


def on_instances(job: Job) -> Size:
    """The size of a job's tasks on EC2, where any is possible; what the job leaves open is as on Fargate."""
    size = size_of(job)
    if size is not None:
        return size
    cpu = _SMALLEST.cpu if job.cpu is None else math.ceil(job.cpu * 1024)
    memory = _SMALLEST.memory if job.memory is None else math.ceil(job.memory / _MIB)
    return Size(cpu, memory)


def nearest(job: Job) -> Size:
    """The smallest size that has at least what the job asks for, else the largest of all."""
    return at_least(Size(math.ceil((job.cpu or 0) * 1024), math.ceil((job.memory or 0) / _MIB)))


def at_least(wanted: Size) -> Size:
    """The smallest size on Fargate that has all that is wanted, else the largest of all."""
    sizes = (Size(units, each) for units, memories in FARGATE.items() for each in memories)
    largest = Size(16384, FARGATE[16384][-1])
    return next((size for size in sizes if size.cpu >= wanted.cpu and size.memory >= wanted.memory), largest)
