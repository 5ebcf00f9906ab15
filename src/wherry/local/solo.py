"""Runs executed in this process, without an engine: `wherry run` and the like where no `wherry up` runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from wherry.errors import WherryError
from wherry.local.alerts import Alerts
from wherry.local.consequences import Consequences
from wherry.local.crew import Host, make_floor, take_over
from wherry.local.worker import AccessFor
from wherry.local.workspace import Workspace
from wherry.model import Run

#: Serves a gateway for a workspace while the context lasts; gives each run's way to it.
Serve = Callable[[Workspace, Host], AbstractContextManager[AccessFor]]
#: Its own runs at once: as many as one asks for.
_PLACES = 64
_LONGEST_SLEEP = 1.0


class Solo:
    """Executes runs of this process's own, retries included; whatever else they set off waits for an engine."""

    def __init__(self, workspace: Workspace, serve: Serve, failed: Callable[[BaseException], None]) -> None:
        self._workspace = workspace
        self._stack = ExitStack()
        self._own: set[str] = set()
        #: The jobs whose runs may be kept waiting by processes that have died.
        self._jobs: set[str] = set()
        self._stops: set[str] = set()
        #: Runs of other processes that have died: gone on with, and left alone when we end.
        self._adopted: set[str] = set()
        self._is_closing = False
        #: What ended the execution, for the one who waits; what may pass is told and tried again.
        self.error: BaseException | None = None
        self.changed = threading.Event()
        host = Host()
        workspace.buckets.recover()
        silent = Alerts(workspace.database, workspace.clock, lambda: workspace.jobfile, failed, silent=True)
        self._floor = make_floor(
            workspace,
            host,
            access_for=self._stack.enter_context(serve(workspace, host)),
            consequences=Consequences(workspace.intake, silent, failed),
            places=_PLACES,
            listener=lambda _: self.changed.set(),
            failed=failed,
        )
        host.settle()
        self._thread = threading.Thread(target=self._work, name="solo")
        self._thread.start()

    def execute(self, run: Run) -> None:
        """Execute a queued run that this process owns."""
        self._own.add(run.id)
        self.look_after(run.job)
        self._floor.offer(run)

    def look_after(self, job: str) -> None:
        """Go on with the attempts of the job's runs whose own process has died."""
        self._jobs.add(job)
        self._floor.ring()

    def stop(self, run_id: str) -> bool:
        """Ask for the run's end; False when it is not executed here."""
        if run_id not in self._own:
            return False
        self._stops.add(run_id)
        self._floor.ring()
        return True

    def close(self) -> None:
        """Stop what still runs or waits, wait for it, and stop the gateway."""
        self._is_closing = True
        self._floor.ring()
        self._thread.join()
        self._floor.close()
        self._stack.close()

    def _work(self) -> None:
        look_at = 0.0
        # Draining: what we own was told to end, also what had only just been offered.
        while not (self._floor.draining and self._has_ended()):
            try:
                self._floor.sleep(_LONGEST_SLEEP)
                if self._is_closing:
                    self._stops |= self._waiting() if self._floor.draining else self._unfinished()
                    self._floor.draining = True
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + _LONGEST_SLEEP
                    self._look_around()
                while self._stops:
                    self._floor.stop(self._stops.pop())
                self._floor.turn()
            except WherryError as error:
                if self._is_closing:
                    self._fail(error)
                    return
            except Exception as error:  # noqa: BLE001 - told to the one who waits
                self._fail(error)
                return

    def _look_around(self) -> None:
        """What others want of our runs, and what keeps those waiting: ended attempts of processes that have died."""
        self._floor.line.unblock()
        for run_id, _ in self._workspace.runs.stop_requests():
            if run_id in self._own:
                self._stops.add(run_id)
        for job in list(self._jobs):
            self._adopted |= take_over(self._workspace, self._floor, job=job)

    def _has_ended(self) -> bool:
        return not (self._floor.worker.active().keys() - self._adopted) and not self._waiting()

    def _unfinished(self) -> set[str]:
        """Those of our own that are still ours: an ended one may have been given to an engine for another round."""
        return (self._own & self._floor.worker.active().keys()) | self._waiting()

    def _waiting(self) -> set[str]:
        """Our own in the line; other ones that wait there are left to others."""
        return {run_id for run_id in self._own if run_id in self._floor.line}

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self.changed.set()
