"""The engine: accepts what happens, fires what is due, and executes runs until it is told to stop.

One loop, asleep until something happens: an attempt ended, a schedule is due, another process wrote into the wake pipe.
What it knows beyond the store is only a shortcut to it: at a restart, and at each wake-up from outside, the store is
read again.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

from wherry.errors import WherryError
from wherry.local.alerts import Alerts
from wherry.local.consequences import Consequences
from wherry.local.crew import DOCKER, Host, executor_of, make_floor, take_over
from wherry.local.floor import Listener
from wherry.local.leftovers import left_behind
from wherry.local.retention import Janitor
from wherry.local.scaler import Scaler
from wherry.local.scheduler import Scheduler
from wherry.local.support import refuse_unsupported
from wherry.local.wake import EngineInfo, EngineSeat
from wherry.local.watch import Watcher
from wherry.local.worker import AccessFor
from wherry.local.workspace import Workspace
from wherry.model import JobFile, Run, Status, iso_seconds

#: The longest sleep, in seconds: a moved clock and a changed job file are seen after so long.
LONGEST_SLEEP = 1.0
#: How often runs are looked for whose owner has died, in seconds.
_LOOK_AROUND = 5.0
#: Reading the whole waiting line again takes at most this part of the time.
_READING_SHARE = 0.1


def default_places() -> int:
    """How many attempts run at once on this machine: batch jobs wait a good part of their time."""
    return max(4, 2 * (os.cpu_count() or 1))


class Engine:
    """Runs one workspace. `run` blocks; `stop` and `stop_runs` may be called from any thread or a signal handler."""

    def __init__(
        self,
        workspace: Workspace,
        seat: EngineSeat,
        *,
        access_for: AccessFor,
        host: Host,
        listener: Listener,
        failed: Callable[[BaseException], None],
        changed: Callable[[], None],
        places: int | None = None,
    ) -> None:
        self._workspace = workspace
        self._clock = workspace.clock
        self._seat = seat
        self._host = host
        self._failed = failed
        self._access_for = access_for
        self._changed = changed
        self._alerts = Alerts(workspace.database, workspace.clock, lambda: workspace.jobfile, failed)
        self._consequences = Consequences(workspace.intake, self._alerts, failed)
        self._floor = make_floor(
            workspace,
            host,
            access_for=access_for,
            consequences=self._consequences,
            places=places or default_places(),
            listener=self._hear_of,
            failed=failed,
        )
        self._listener = listener
        self._scaler = Scaler(workspace, self._floor, places or default_places())
        self.worker = self._floor.worker
        self._scheduler = self._make_scheduler(workspace.jobfile)
        self._watcher = Watcher(workspace.buckets)
        self._janitor = Janitor(workspace, failed)
        self._is_stopping = False
        self._is_ending_runs = False
        self._read_again_at = 0.0
        self._look_around_at = 0.0
        #: What the clock is ahead of the monotonic one; at first as if it had been set back just now.
        self._lead = float("inf")

    def run(self, endpoint: str) -> None:
        """Work until `stop`; then wait for what still runs."""
        self._workspace.buckets.recover()
        self._workspace.host = self._floor
        self._workspace.queues.on_arrival = self._arrived
        self._take_over()
        self._host.settle()
        self._workspace.event_files.remove_all_but(self._workspace.runs.open_ids())
        self._workspace.feeding.greet(self._clock())
        self._tell_of_leftovers(None)
        self._seat.announce(
            EngineInfo(
                pid=os.getpid(),
                endpoint=endpoint,
                started_at=iso_seconds(self._clock()),
                executor=executor_of(self._workspace),
            )
        )
        self._watcher.start()
        self._alerts.start()
        self._janitor.start()
        self._floor.listen(self._seat.fileno())
        self._scaler.part_with_the_deaf(self._queue_url)
        self._read_store()
        # The job file and all the code are here to stay: the collector need not look at them ever again.
        gc.collect()
        gc.freeze()
        try:
            while not (self._is_stopping and self._floor.is_idle):
                self._step()
        finally:
            self._watcher.stop()
            self._janitor.stop()
            self._alerts.stop()
            self._floor.close()

    def stop(self) -> None:
        """Begin nothing new. Runs that wait stay in the store for the next engine."""
        self._is_stopping = True
        self._floor.draining = True
        self._scaler.close()
        self._floor.ring()

    def stop_runs(self) -> None:
        """Ask everything that runs to end, too. Messages that are worked on wait for the next engine."""
        self._is_ending_runs = True
        self._floor.ring()

    def _step(self) -> None:
        woken = self._floor.sleep(min(self._seconds_to_firing(), self._seconds_to_scaling()))
        if self._is_ending_runs:
            self._is_ending_runs = False
            self.worker.stop_all()
        if woken:
            self._seat.hear()
            self._workspace.queues.look_again()
        try:
            if self._workspace.has_changed():
                self._change()
            if woken or time.monotonic() >= self._read_again_at + LONGEST_SLEEP:
                self._read_store()
            if time.monotonic() >= self._look_around_at:
                self._look_around_at = time.monotonic() + _LOOK_AROUND
                self._take_over()
                self._look_at_the_clock()
        except WherryError as error:  # the store is out of reach for now
            self._failed(error)
        self._floor.turn()

    def _seconds_to_firing(self) -> float:
        """Fire what is due; how long nothing else will be, at most `LONGEST_SLEEP`."""
        if self._is_stopping:
            return LONGEST_SLEEP
        now = self._clock()
        try:
            due = self._scheduler.turn(now)
        except WherryError as error:
            self._failed(error)
            return LONGEST_SLEEP
        return min(LONGEST_SLEEP, (due - now).total_seconds()) if due else LONGEST_SLEEP

    def _seconds_to_scaling(self) -> float:
        """Begin and end workers of queues; how long there will be no reason to."""
        try:
            return self._scaler.turn()
        except WherryError as error:
            self._failed(error)
            return LONGEST_SLEEP

    def _queue_url(self, run_id: str, queue: str) -> str | None:
        """What a run would be told of a queue now."""
        access = self._access_for(run_id)
        return access.queue_url(queue) if access else None

    def _hear_of(self, run: Run) -> None:
        """A step of a run."""
        self._scaler.heard(run)
        self._listener(run)

    def _arrived(self, queue: str) -> None:
        """A queue has something to receive; from any thread."""
        self._floor.arrived(queue)
        self._scaler.arrived(queue)

    def _make_scheduler(self, jobfile: JobFile) -> Scheduler:
        workspace = self._workspace
        return Scheduler(
            jobfile,
            workspace.database,
            workspace.firings,
            workspace.intake,
            self._consequences,
            workspace.clock,
        )

    def _change(self) -> None:
        """Go on with the changed job file; when it is not right, say so and go on with the one we have."""
        try:
            jobfile = self._workspace.load_again()
            refuse_unsupported(
                jobfile, jobfile.jobs.values(), triggers=True, in_containers=executor_of(self._workspace) == DOCKER
            )
        except WherryError as error:
            self._failed(error)
            return
        before = self._workspace.jobfile
        try:
            scheduler = self._make_scheduler(jobfile)
            self._workspace.use(jobfile)
            # Now what cannot fail: all of the engine goes by one job file.
            self._scheduler = scheduler
            self._scaler.use(jobfile)
            self._floor.line.unblock()
            self._watcher.refresh()
            self._workspace.feeding.greet(self._clock())
        except WherryError:
            self._workspace.forget_stamp()  # the store is out of reach: the change is taken up once it is not
            raise
        self._changed()
        self._tell_of_leftovers(before)

    def _tell_of_leftovers(self, before: JobFile | None) -> None:
        for error in left_behind(self._workspace.queues, self._workspace.jobfile, before):
            self._failed(error)

    def _read_store(self) -> None:
        """Look for runs that other processes added, and for stops that people asked for."""
        began = time.monotonic()
        self._floor.line.unblock()
        self._floor.look_at_queues()
        if began >= self._read_again_at:
            for queued in self._workspace.runs.queued():
                self._floor.line.add(queued)
            took = time.monotonic() - began
            self._read_again_at = began + took / _READING_SHARE
        for run_id, status in self._workspace.runs.stop_requests():
            if status is Status.QUEUED or run_id in self.worker.active():
                self._floor.stop(run_id)
        self._scaler.look_around()

    def _look_at_the_clock(self) -> None:
        """Neither messages nor runs must wait until a clock that was set back has come as far again."""
        lead = self._clock().timestamp() - time.monotonic()
        if lead < self._lead - 1:
            self._workspace.queues.mend_clock()
            for run_id in self._workspace.runs.mend_clock(self._clock()):
                self._floor.line.remove(run_id)  # what is read from the store next waits anew
        self._lead = lead

    def _take_over(self) -> None:
        """Go on with the runs of engines, and of lone `wherry run`s, that died."""
        take_over(self._workspace, self._floor)
