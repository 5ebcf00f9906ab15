"""Processes as the system knows them, also those that are not ours: who they are, whether they live, when they end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator

from wherry.executors.procfs import identify, marked, pids, stat_fields

__all__ = ["ends_within", "find_marked", "identify", "is_alive", "kill_marked", "signal_group"]


def is_alive(identity: str) -> bool:
    """True while the very process of that identity runs (a zombie does not)."""
    pid = int(identity.partition(":")[0] or 0)
    if not pid:
        return False
    try:
        os.kill(pid, 0)
        dead = stat_fields(pid)[0] in (b"Z", b"X")
    except ProcessLookupError:
        return False
    except PermissionError:
        dead = False
    except OSError:  # no /proc here: the signal was delivered, that must do
        dead = False
    return not dead and identify(pid) == identity


def ends_within(pid: int, timeout: float | None) -> bool:
    """Wait for the end of any process, without reaping it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0, timeout) * 1000))
    finally:
        os.close(descriptor)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal all processes of a group; nothing happens when there are none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def find_marked(run_id: str, attempt: int) -> str | None:
    """The process of an attempt, by the run and attempt in its environment: the first that leads a session."""
    leaders = []
    for pid in _marked(run_id, attempt):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == pid:
                leaders.append(identify(pid))
    # What it began in sessions of their own came after it.
    return min(leaders, key=lambda identity: int(identity.partition(":")[2]), default=None)


def kill_marked(run_id: str, attempt: int) -> None:
    """Kill every process of an attempt, wherever it has gone."""
    while pids := list(_marked(run_id, attempt)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ends_within(pids[0], 1.0)


def _marked(run_id: str, attempt: int) -> Iterator[int]:
    """The processes that say, in the environment that they were started with, that they are of this attempt.

    A zombie has no environment any more.
    """
    return (pid for pid in pids() if marked(pid) == f"{run_id}.{attempt}")
