"""The engine: accepts what happens, fires what is due, and executes runs until it is told to stop.

One loop sleeps until the next firing, the next due attempt, or a byte in the wake pipe. It executes nothing itself:
runs go to a pool of threads, one thread a running attempt. What it knows beyond the store is only a shortcut to it:
at a restart, and at each wake-up from outside, the store is read again.
"""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from wherry.errors import WherryError
from wherry.executors import GRACE
from wherry.executors.process import ProcessExecutor, is_alive
from wherry.local.runs import this_process
from wherry.local.scheduler import Scheduler
from wherry.local.solo import Host
from wherry.local.support import refuse_unsupported
from wherry.local.wake import EngineInfo, EngineSeat
from wherry.local.watch import Watcher
from wherry.local.worker import AccessFor, Listener, Worker
from wherry.local.workspace import Workspace
from wherry.model import Run, Status, iso_seconds

#: The longest sleep, in seconds: a moved clock and a changed job file are seen after so long.
LONGEST_SLEEP = 1.0


def default_slots() -> int:
    """How many attempts run at once on this machine: batch jobs wait a good part of their time."""
    return max(4, 2 * (os.cpu_count() or 1))


class Engine:
    """Runs one workspace. `run` blocks; `stop` may be called from any thread or a signal handler."""

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
        slots: int | None = None,
    ) -> None:
        self._workspace = workspace
        self._runs = workspace.runs
        self._clock = workspace.clock
        self._seat = seat
        self._listener = listener
        self._failed = failed
        self._changed = changed
        self._me = this_process()
        self._pool = ThreadPoolExecutor(slots or default_slots(), thread_name_prefix="run")
        self._lock = threading.Lock()
        self._waiting: list[tuple[datetime, str]] = []
        self._offered: set[str] = set()
        self._stopping = threading.Event()
        self.worker = Worker(
            jobfile=lambda: workspace.jobfile,
            home=workspace.home,
            runs=workspace.runs,
            executor=ProcessExecutor(),
            secrets=workspace.secrets,
            access_for=access_for,
            clock=workspace.clock,
            listener=listener,
        )
        host.worker = self.worker
        self.scheduler = Scheduler(workspace.jobfile, workspace.runs, workspace.intake, now=self._clock())
        self._watcher = Watcher(workspace.buckets)

    def run(self, endpoint: str) -> None:
        """Work until `stop`; then wait for what still runs."""
        self._workspace.buckets.recover()
        self._workspace.offer = self._offer
        self._seat.announce(EngineInfo(pid=os.getpid(), endpoint=endpoint, started_at=iso_seconds(self._clock())))
        self._take_over()
        self._watcher.start()
        self._read_store()
        try:
            while not self._stopping.is_set():
                woken = self._seat.sleep(self._seconds_to_next())
                if self._workspace.has_changed():
                    self._change()
                if woken:
                    self._read_store()
        finally:
            self._watcher.stop()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """Begin nothing new. Runs that wait stay in the store for the next engine."""
        self._stopping.set()
        self._seat.wake()

    def stop_runs(self) -> None:
        """Ask everything that runs to end, too."""
        for run_id in self.worker.active():
            self.worker.stop(run_id, GRACE.total_seconds())

    def _change(self) -> None:
        """Go on with the changed job file; when it is not right, say so and go on with the one we have."""
        try:
            jobfile = self._workspace.load_again()
            refuse_unsupported(jobfile, jobfile.jobs.values(), triggers=True)
        except WherryError as error:
            self._failed(error)
            return
        self._workspace.use(jobfile)
        self.scheduler = Scheduler(jobfile, self._runs, self._workspace.intake, now=self._clock())
        self._watcher.refresh()
        self._changed()

    def _offer(self, run_id: str) -> None:
        """Take a queued run that is due now."""
        with self._lock:
            if self._stopping.is_set() or run_id in self._offered:
                return
            self._offered.add(run_id)
        self._pool.submit(self._take, run_id).add_done_callback(self._check)

    def _take(self, run_id: str) -> None:
        with self._lock:
            self._offered.discard(run_id)
        if self._stopping.is_set():
            return
        run = self._runs.claim(run_id, self._me, self._clock())
        if run is not None:
            self._listener(run)
            self._after(self.worker.execute(run))

    def _check(self, future: Future[None]) -> None:
        """Tell of what a thread could not: the store refused (the disk is full), or a mistake of ours."""
        if not future.cancelled() and (error := future.exception()) is not None:
            self._failed(error)

    def _after(self, run: Run) -> None:
        if run.status is Status.QUEUED:
            with self._lock:
                heapq.heappush(self._waiting, (run.due_at, run.id))
            self._seat.wake()

    def _seconds_to_next(self) -> float:
        """Fire and offer what is due; how long there is nothing to do."""
        now = self._clock()
        next_firing = self.scheduler.turn(now)
        due = []
        with self._lock:
            while self._waiting and self._waiting[0][0] <= now:
                due.append(heapq.heappop(self._waiting)[1])
            times = [self._waiting[0][0]] if self._waiting else []
        for run_id in due:
            self._offer(run_id)
        if next_firing is not None:
            times.append(next_firing)
        return min([LONGEST_SLEEP, *((moment - now).total_seconds() for moment in times)])

    def _read_store(self) -> None:
        """Look for runs that other processes added, and for stops that people asked for."""
        now = self._clock()
        with self._lock:
            known = {run_id for _, run_id in self._waiting}
        for run_id, due in self._runs.queued():
            if due <= now:
                self._offer(run_id)
            elif run_id not in known:
                with self._lock:
                    heapq.heappush(self._waiting, (due, run_id))
        for run_id, status in self._runs.stop_requests():
            if not self.worker.stop(run_id) and status is Status.QUEUED:
                self._runs.stop_queued(run_id, self._clock())

    def _take_over(self) -> None:
        """Bring runs to an end whose owner died."""
        for run_id, owner in self._runs.owned():
            if is_alive(owner) or not self._runs.adopt(run_id, old_owner=owner, owner=self._me):
                continue
            run = self._runs.get(run_id)
            if run.status is Status.QUEUED:
                self._runs.release(run_id, self._me)
            else:
                threading.Thread(target=lambda run=run: self._after(self.worker.take_over(run)), daemon=True).start()
