"""Puts a floor together for a workspace: the one place that chooses an executor."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from wherry.errors import NotFound
from wherry.executors import Executor, Key
from wherry.executors.combined import Combined
from wherry.executors.containers import began
from wherry.executors.proc import is_alive
from wherry.executors.process import ProcessExecutor
from wherry.local.clerk import Clerk
from wherry.local.consequences import Consequences
from wherry.local.floor import Floor, Listener
from wherry.local.takers import Takers
from wherry.local.worker import AccessFor, Worker
from wherry.local.workspace import Workspace
from wherry.model import Job, Status

#: The names of executors.
PROCESS, DOCKER = "process", "docker"
#: No engine takes longer to know its runs, in seconds; a client waits for its answer meanwhile.
_SETTLING = 20.0


class Host:
    """What a gateway asks of whoever executes runs; both answers change while runs come and go."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._is_settled = threading.Event()

    def settle(self) -> None:
        """From now on it is known which runs are being executed, those of an engine before this one included."""
        self._is_settled.set()

    def active_job(self, run_id: str) -> Job | None:
        """The job of a run that is being executed, as it was when its attempt began; None for others.

        A gateway is there before the runs of a killed engine are taken over: these wait, and are not turned away.
        """
        self._is_settled.wait(_SETTLING)
        return self.worker.job_of(run_id) if self.worker else None

    def denied(self, run_id: str, message: str) -> None:
        """Note that a run was refused something."""
        if self.worker:
            self.worker.denied(run_id, message)


def _make_process(workspace: Workspace) -> Executor:
    return ProcessExecutor(workspace.home.keepers)


def _make_docker(workspace: Workspace) -> Executor:
    from wherry.executors.docker import DockerExecutor  # whoever has no containers does not wait for it

    def is_open(key: Key) -> bool:
        try:
            run = workspace.history.get(key.run_id)
        except NotFound:
            return False
        return not run.status.ended and bool(run.attempts) and run.attempts[-1].number == key.attempt

    return DockerExecutor(folder=workspace.home.keepers, me=workspace.me, is_open=is_open)


#: What `--executor` chooses from.
EXECUTORS: dict[str, Callable[[Workspace], Executor]] = {PROCESS: _make_process, DOCKER: _make_docker}


def _whose(folder: str, process: str, owner: str) -> str:
    """Which executor began an attempt of an engine that died."""
    return DOCKER if began(process, folder=folder, owner=owner) else PROCESS


def executor_of(workspace: Workspace) -> str:
    """The name of the executor of what begins in this process."""
    return workspace.executor or PROCESS


def take_over(workspace: Workspace, floor: Floor, *, job: str | None = None) -> set[str]:
    """Go on with the runs (of one job, or of all) whose owner has died; gives those with an attempt under way."""
    runs, under_way = workspace.runs, set()
    for owned in runs.owned():
        is_half_done = owned.owner == workspace.me and owned.run_id in floor.adopting
        if job not in (None, owned.job) or (is_alive(owned.owner) and not is_half_done):
            continue
        # Ours from now on, and nobody else's: if the store fails before we go on with it, the next look does.
        floor.adopting.add(owned.run_id)
        if runs.adopt(owned.run_id, old_owner=owned.owner, owner=workspace.me):
            run = workspace.history.get(owned.run_id)
            if run.status is Status.QUEUED:
                runs.release(run.id, workspace.me)
            else:
                floor.take_over(run, owned.begun_by)
                under_way.add(run.id)
        floor.adopting.discard(owned.run_id)
    return under_way


def make_floor(
    workspace: Workspace,
    host: Host,
    *,
    access_for: AccessFor,
    consequences: Consequences,
    places: int,
    listener: Listener,
    failed: Callable[[BaseException], None],
) -> Floor:
    """A floor that executes runs by the workspace's executor, `places` at once."""
    chosen = executor_of(workspace)
    makers = {name: functools.partial(make, workspace) for name, make in EXECUTORS.items()}
    executor = Combined(chosen, makers, functools.partial(_whose, workspace.home.keepers))
    worker = Worker(
        jobfile=lambda: workspace.jobfile,
        home=workspace.home,
        executor=executor,
        secrets=workspace.secrets,
        access_for=access_for,
        clock=workspace.clock,
        files=workspace.event_files,
        in_containers=chosen == DOCKER,
    )
    host.worker = worker
    clerk = Clerk(
        jobfile=lambda: workspace.jobfile,
        runs=workspace.runs,
        holding=workspace.holding,
        consequences=consequences,
        clock=workspace.clock,
        me=workspace.me,
        failed=failed,
    )
    return Floor(
        jobfile=lambda: workspace.jobfile,
        database=workspace.database,
        clerk=clerk,
        worker=worker,
        executor=executor,
        takers=Takers(lambda: workspace.jobfile, workspace.queues, workspace.clock),
        clock=workspace.clock,
        places=places,
        listener=listener,
        failed=failed,
    )
