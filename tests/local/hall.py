"""A floor without processes: what it makes of runs, queues and time."""

import dataclasses
import math
import os
from datetime import UTC, datetime

from tests.local.ear import intake_of
from wherry.local.alerts import Alerts
from wherry.local.clerk import Clerk
from wherry.local.consequences import Consequences
from wherry.local.database import Database
from wherry.local.floor import Floor
from wherry.local.history import History
from wherry.local.holding import Holding
from wherry.local.queues import Queues
from wherry.local.runs import Runs
from wherry.local.takers import Takers
from wherry.local.worker import Finished
from wherry.model import Ending, Outcome
from wherry.target import Wish

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Idle:
    """A worker whose attempts do nothing until they are told to end, and the executor that it would have."""

    def __init__(self):
        self._end, self._other_end = os.pipe()
        #: The runs whose attempts have begun, in that order.
        self.began = []
        self.has_failed_to_start = False
        self._runs = {}
        self._finished = []

    def fileno(self):
        return self._end

    def close(self):
        os.close(self._end)
        os.close(self._other_end)

    def __len__(self):
        return 0

    def collect(self):
        finished, self._finished = self._finished, []
        return [], finished

    def forget(self, finished):
        for one in finished:
            del self._runs[one.run.id]

    def stop(self, run_id):
        return False

    def start(self, run):
        self.began.append(run.id)
        self._runs[run.id] = run

    @property
    def under_way(self):
        """The runs with an attempt under way, the first begun first."""
        return list(self._runs.values())

    def end(self, run_id, outcome, now):
        """An attempt ends."""
        run = self._runs[run_id]
        last = dataclasses.replace(run.attempts[-1], ended_at=now, outcome=outcome)
        run = dataclasses.replace(run, attempts=(*run.attempts[:-1], last))
        self._finished.append(Finished(run=run, outcome=outcome))

    def launch_made(self):
        pass

    def seconds_to_bound(self):
        return math.inf

    def flush(self):
        pass


class Hall:
    """A floor over a real store; time is `now`."""

    def __init__(self, folder, jobfile, places):
        self.now = NOW
        self.errors = []
        clock = lambda: self.now  # noqa: E731
        #: Changed as the engine would change it.
        self.jobfile = jobfile
        self.database = Database(str(folder / "wherry.db"))
        self.runs, self.history = Runs(self.database), History(self.database)
        self.idle = Idle()
        self.queues = Queues(self.database, jobfile.queues, clock, self.arrived)
        self.holding = Holding(lambda: self.jobfile, self.database, self.queues, self.runs)
        self.intake = intake_of(jobfile, self.database, self.runs, clock, self)
        alerts = Alerts(self.database, clock, lambda: self.jobfile, self.errors.append, silent=True)
        clerk = Clerk(
            jobfile=lambda: self.jobfile,
            runs=self.runs,
            holding=self.holding,
            consequences=Consequences(self.intake, alerts, self.errors.append),
            clock=clock,
            me=self.me,
            failed=self.errors.append,
        )
        self.floor = Floor(
            jobfile=lambda: self.jobfile,
            database=self.database,
            clerk=clerk,
            worker=self.idle,
            executor=self.idle,
            takers=Takers(lambda: self.jobfile, self.queues, clock),
            clock=clock,
            places=places,
            listener=lambda run: None,
            failed=self.errors.append,
        )

    me = "1:1"

    def offer(self, run):
        self.floor.offer(run)

    def reserve(self, job):
        return False

    def arrived(self, queue):
        self.floor.arrived(queue)

    def ask_for(self, job):
        return self.intake.by_hand(Wish(job=job))

    def turn(self):
        self.floor._rest_until = 0.0
        self.floor.turn()

    def fail_a_turn(self, monkeypatch):
        """The store refuses the next transaction."""

        def refuse(work):
            raise OSError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(self.database, "write", refuse)
            self.turn()
        assert len(self.errors) == 1

    def end(self, run_id, code=0):
        """A run's attempt exits; what becomes of it is the next turn's affair."""
        self.idle.end(run_id, Outcome(ending=Ending.EXITED, exit_code=code), self.now)

    def end_unstarted(self, run_id, **more):
        """There is no such program, or whatever `more` says."""
        outcome = Outcome(ending=Ending.COULD_NOT_START, reason="there is no program `x` on PATH", **more)
        self.idle.end(run_id, outcome, self.now)

    def close(self):
        self.floor.close()
        self.database.close()
