"""`wherry up`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

from wherry.causes import queue_of_worker
from wherry.cli import output
from wherry.cli.context import add_executor, open_workspace
from wherry.errors import UserError, WherryError
from wherry.model import JobFile, Run, Status

if TYPE_CHECKING:
    from wherry.local.history import History
    from wherry.local.wake import EngineSeat
    from wherry.local.workspace import Workspace

#: How often another engine's runs are looked at, in seconds.
_PULSE = 0.2
_MOST_FOLLOWED = 500
_LAST_PORT = 65_535


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--port", type=int, help="the gateway's port (default: the one of last time)")
    parser.add_argument(
        "--parallel",
        metavar="N",
        type=int,
        help="attempts at once on this machine (default: twice its CPUs, at least 4)",
    )
    add_executor(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run the engine in the foreground; where one runs already, be its client until it ends."""
    from wherry.cli.serving import serve_again
    from wherry.local.crew import DOCKER, Host, executor_of
    from wherry.local.engine import Engine
    from wherry.local.support import refuse_unsupported

    if arguments.parallel is not None and arguments.parallel < 1:
        raise UserError("`--parallel` must be at least 1")
    if arguments.port is not None and not 0 <= arguments.port <= _LAST_PORT:
        raise UserError(f"`--port` must be from 0 (any that is free) to {_LAST_PORT}")
    workspace = open_workspace(arguments)
    jobfile = workspace.jobfile
    in_containers = executor_of(workspace) == DOCKER
    refuse_unsupported(jobfile, jobfile.jobs.values(), triggers=True, in_containers=in_containers)
    host = Host()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(workspace))
        seat = _take_seat(stack, workspace)
        gateway = stack.enter_context(serve_again(workspace, host, arguments.port))
        engine = Engine(
            workspace,
            seat,
            access_for=gateway.access_for,
            host=host,
            listener=_report,
            failed=_report_failure,
            changed=_report_change,
            places=arguments.parallel,
        )
        _stop_on_signals(engine)
        output.note(f"{jobfile.app}: {output.count(len(jobfile.jobs), 'job')}, AWS endpoint {gateway.endpoint}")
        output.note('upload with `wherry cp FILE s3://BUCKET/`, or use any AWS client: eval "$(wherry env)"')
        _warn_of_crowding(jobfile, arguments.parallel)
        output.note("Ctrl-C ends the engine")
        engine.run(gateway.endpoint)
    return 0


def _warn_of_crowding(jobfile: JobFile, parallel: int | None) -> None:
    """Workers that wait for messages keep their places; where they may keep all, say so before somebody wonders."""
    from wherry.local.engine import default_places
    from wherry.local.scaler import most_of_all

    places = parallel or default_places()
    kept = most_of_all(jobfile, places)
    if kept >= places and len(jobfile.jobs) > 1:
        all_places = f"all {output.count(places, 'place')} of this machine"
        output.note(
            f"workers that poll their queues may keep {all_places}, and other jobs wait for them: "
            f"`wherry up --parallel {kept + 1}` leaves one"
        )


def _take_seat(stack: contextlib.ExitStack, workspace: Workspace) -> EngineSeat:
    """The engine's place on the folder, as soon as it is free; until then the other engine's runs are shown."""
    from wherry.local.wake import EngineSeat, SeatTaken

    follower = None
    while True:
        try:
            return stack.enter_context(EngineSeat(workspace.home))
        except SeatTaken as taken:
            if follower is None:
                output.note(f"{taken.message}\n  {taken.hint}")
                follower = _Follower(workspace.history, workspace.clock())
        follower.look()
        time.sleep(_PULSE)


class _Follower:
    """Reports the steps of another engine's runs, as they are found in the store."""

    def __init__(self, history: History, since: datetime) -> None:
        self._history = history
        self._since = since
        self._seen: dict[str, tuple[Status, int]] = {}

    def look(self) -> None:
        """Report what has changed since the last look, oldest first."""
        for run in reversed(self._history.listing(since=self._since, limit=_MOST_FOLLOWED)):
            step = run.status, len(run.attempts)
            if self._seen.get(run.id) != step:
                self._seen[run.id] = step
                _report(run)


def _stop_on_signals(engine: object) -> None:
    """The first signal lets running jobs finish, the second one stops them."""
    from wherry.local.engine import Engine

    assert isinstance(engine, Engine)  # noqa: S101 - the import is late, the type is not
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's shape
        # A signal may come while something is being printed, which the standard library takes badly.
        with contextlib.suppress(OSError, RuntimeError):
            say()
        if asked.is_set():
            engine.stop_runs()
        asked.set()
        engine.stop()

    def say() -> None:
        running = len(engine.worker)
        if running:
            what = f"stopping {output.count(running, 'run')}"
            if not asked.is_set():
                what = f"waiting for {output.count(running, 'run')} to end; Ctrl-C again stops them"
            output.note(what)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _unheard(report: Callable[[Any], None]) -> Callable[[Any], None]:
    """The same, where nobody may listen any more: a closed terminal does not end the engine."""

    @functools.wraps(report)
    def quietly(subject: Any) -> None:
        with contextlib.suppress(OSError):
            report(subject)

    return quietly


@_unheard
def _report_failure(error: BaseException) -> None:
    if isinstance(error, WherryError):
        output.error(error)
    else:
        output.note(f"{output.paint('error', 'red', sys.stderr)}: this is a bug in wherry: {error!r}")


def _report_change() -> None:
    with contextlib.suppress(OSError):
        output.note("the job file was changed: going on with it")


_VERBS = {Status.STARTING: "starts", Status.QUEUED: "will be tried again", Status.RUNNING: None}


@_unheard
def _report(run: Run) -> None:
    """One line a step, for the person who watches."""
    verb = _VERBS.get(run.status, output.status(run.status))
    if verb is None:
        return
    last = run.attempts[-1] if run.attempts else None
    now = run.ended_at or (last.ended_at or last.started_at if last else run.created_at)
    queue = queue_of_worker(run.cause)
    why = f"a worker of `{queue}`" if queue else run.cause
    cause = f"  {output.paint(why, 'grey')}" if run.status is Status.STARTING else ""
    took = ""
    if run.status.ended and run.attempts and run.ended_at:
        took = f" in {output.length(run.ended_at - run.attempts[0].started_at)}"
    reason = f": {run.reason}" if run.reason else ""
    output.note(f"{now.astimezone():%H:%M:%S}  {run.id}  {run.job}  {verb}{took}{reason}{cause}")
