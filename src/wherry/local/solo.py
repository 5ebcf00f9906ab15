"""One run executed in this process, without an engine: `wherry run` where no `wherry up` runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from wherry.executors.process import ProcessExecutor
from wherry.local.runs import this_process
from wherry.local.worker import AccessFor, Worker
from wherry.local.workspace import Workspace
from wherry.model import Event, Job, Overrides, Status


class Host:
    """What a gateway asks of whoever executes runs; both answers change while runs come and go."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def active_job(self, run_id: str) -> str | None:
        """The name of the job of a run that is being executed, None for others."""
        return self.worker.active().get(run_id) if self.worker else None

    def denied(self, run_id: str, message: str) -> None:
        """Note that a run was refused something."""
        if self.worker:
            self.worker.denied(run_id, message)


#: Serves a gateway for a workspace while the context lasts; gives each run's way to it.
Serve = Callable[[Workspace, Host], AbstractContextManager[AccessFor]]


class Solo:
    """Executes runs of this process's own, retries included; nobody else claims them."""

    def __init__(self, workspace: Workspace, serve: Serve) -> None:
        self._workspace = workspace
        self._me = this_process()
        self._stack = ExitStack()
        self._closing = threading.Event()
        #: Set when the run has ended.
        self.ended = threading.Event()
        self._thread: threading.Thread | None = None
        host = Host()
        workspace.buckets.recover()
        self._worker = Worker(
            jobfile=lambda: workspace.jobfile,
            home=workspace.home,
            runs=workspace.runs,
            executor=ProcessExecutor(),
            secrets=workspace.secrets,
            access_for=self._stack.enter_context(serve(workspace, host)),
            clock=workspace.clock,
            listener=lambda _: None,
        )
        host.worker = self._worker

    def start(self, job: Job, event: Event | None, overrides: Overrides) -> str:
        """Begin a run; gives its id at once."""
        run_id = self._workspace.intake.by_hand(job, event, overrides, owner=self._me)
        self._thread = threading.Thread(target=self._execute, args=(run_id,), name=f"run {run_id}")
        self._thread.start()
        return run_id

    def stop(self, run_id: str) -> bool:
        """Ask for the run's end; False when it is not executed here."""
        self._closing.set()
        return self._worker.stop(run_id)

    def close(self) -> None:
        """Stop what still runs, wait for it, and stop the gateway."""
        for run_id in self._worker.active():
            self._worker.stop(run_id)
        self._closing.set()
        if self._thread:
            self._thread.join()
        self._stack.close()

    def _execute(self, run_id: str) -> None:
        runs, clock = self._workspace.runs, self._workspace.clock
        try:
            while run := runs.claim(run_id, self._me, clock()):
                run = self._worker.execute(run)
                if run.status is not Status.QUEUED:
                    return
                if self._closing.wait(max(0.0, (run.due_at - clock()).total_seconds())):
                    runs.request_stop(run_id)
                    runs.stop_queued(run_id, clock())
        finally:
            self.ended.set()
