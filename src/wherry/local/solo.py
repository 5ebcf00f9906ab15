"""Runs executed in this process, without an engine: `wherry run` and the like where no `wherry up` runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from wherry.local.alerts import Alerts
from wherry.local.consequences import Consequences
from wherry.local.crew import Host, make_floor
from wherry.local.worker import AccessFor
from wherry.local.workspace import Workspace

#: Serves a gateway for a workspace while the context lasts; gives each run's way to it.
Serve = Callable[[Workspace, Host], AbstractContextManager[AccessFor]]
#: Its own runs at once: as many as one asks for.
_PLACES = 64
_LONGEST_SLEEP = 1.0


class Solo:
    """Executes runs of this process's own, retries included; whatever else they set off waits for an engine."""

    def __init__(self, workspace: Workspace, serve: Serve) -> None:
        self._workspace = workspace
        self._stack = ExitStack()
        self._own: set[str] = set()
        self._stops: set[str] = set()
        self._is_closing = False
        #: What went wrong while executing, for the one who waits.
        self.error: BaseException | None = None
        self.changed = threading.Event()
        host = Host()
        workspace.buckets.recover()
        silent = Alerts(workspace.database, workspace.clock, lambda: workspace.jobfile, self._fail, silent=True)
        self._floor = make_floor(
            workspace,
            host,
            access_for=self._stack.enter_context(serve(workspace, host)),
            consequences=Consequences(workspace.intake, silent, self._fail),
            places=_PLACES,
            listener=lambda _: self.changed.set(),
            failed=self._fail,
        )
        self._thread = threading.Thread(target=self._work, name="solo")
        self._thread.start()

    def execute(self, run_id: str) -> None:
        """Execute a queued run that this process owns."""
        run = self._workspace.history.get(run_id)
        self._own.add(run_id)
        self._floor.offer(run)

    def stop(self, run_id: str) -> bool:
        """Ask for the run's end; False when it is not executed here."""
        if run_id not in self._own:
            return False
        self._stops.add(run_id)
        self._floor.ring()
        return True

    def close(self) -> None:
        """Stop what still runs, wait for it, and stop the gateway."""
        self._is_closing = True
        self._floor.ring()
        self._thread.join()
        self._floor.close()
        self._stack.close()

    def _work(self) -> None:
        while not (self._is_closing and self._floor.is_idle):
            try:
                self._floor.sleep(_LONGEST_SLEEP)
                self._floor.line.unblock()
                if self._is_closing:
                    self._stops |= self._floor.worker.active().keys()
                    self._floor.draining = True
                while self._stops:
                    self._floor.stop(self._stops.pop())
                self._floor.turn()
            except Exception as error:  # noqa: BLE001 - told to the one who waits
                self._fail(error)
                if self._is_closing:
                    break

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self.changed.set()
