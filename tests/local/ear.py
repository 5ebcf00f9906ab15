"""Stands where an engine would: hears of new runs, and has no place for any."""

from __future__ import annotations

from wherry.local.clock import Clock
from wherry.local.database import Database
from wherry.local.feeding import Feeding
from wherry.local.holding import Holding
from wherry.local.intake import Host, Intake
from wherry.local.queues import Queues
from wherry.local.runs import Queued, Runs
from wherry.model import JobFile, Run


class Ear:
    me = "1:1"

    def __init__(self) -> None:
        self.offered: list[Queued] = []

    def offer(self, run: Run) -> None:
        self.offered.append(Queued.of(run))

    def reserve(self, job: str) -> bool:
        return False

    def begin(self, run: Run) -> None:
        raise AssertionError("nothing was reserved")

    def release(self) -> None:
        raise AssertionError("nothing was reserved")


def intake_of(jobfile: JobFile, database: Database, runs: Runs, clock: Clock, host: Host) -> Intake:
    """The door for events of a store without a workspace."""
    queues = Queues(database, jobfile.queues, clock, lambda queue: None)
    feeding = Feeding(lambda: jobfile, database, queues)
    holding = Holding(lambda: jobfile, database, queues, runs)
    return Intake(jobfile, database, runs, clock, lambda: host, feeding=lambda: feeding, holding=lambda: holding)
