"""What there is to be billed: tasks, why they run, and what stands there when nothing runs. Records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Task:
    """The size of a task on ECS: what is asked for is billed, not what is used."""

    #: vCPUs.
    cpu: Decimal
    #: GB (2^30 bytes), as Fargate counts.
    memory: Decimal
    #: GB of ephemeral storage; 20 are included.
    ephemeral: int = 20
    arm: bool = False
    #: `fargate`, `fargate-spot` or `ec2`.
    capacity: str = "fargate"
    #: It has a public address.
    public_ip: bool = True
    #: Secrets that are read at its start.
    secrets: int = 0


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job as it is deployed."""

    name: str
    task: Task
    timeout: timedelta | None = None
    #: Attempts at most.
    attempts: int = 1
    #: State transitions of a run that succeeds at once, and of each further attempt.
    transitions: int = 0
    again: int = 0
    #: Kind of trigger -> state transitions of the dispatcher for one firing.
    dispatched: Mapping[str, int] = field(default_factory=dict)
    #: (expression, time zone).
    schedules: tuple[tuple[str, str], ...] = ()
    #: Jobs that it follows.
    after: tuple[str, ...] = ()
    #: Kinds of triggers that nobody knows the number of: `upload`, `event`, `queue`.
    others: tuple[str, ...] = ()
    #: How long its logs are kept.
    kept: timedelta = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """An environment."""

    works: Mapping[str, Work] = field(default_factory=dict)
    #: What stands there: price -> how many of what it counts in a month; how many things these are, in words.
    standing: Mapping[str, Decimal] = field(default_factory=dict)
    things: Mapping[str, str] = field(default_factory=dict)
    #: Jobs with workers that are always there: (job, how many, what they are).
    always: tuple[tuple[str, int, Task], ...] = ()
    #: Types of EC2 instances that come and go with the tasks.
    instances: tuple[str, ...] = ()
    #: What costs money and has no price here, in words.
    unpriced: tuple[str, ...] = ()
