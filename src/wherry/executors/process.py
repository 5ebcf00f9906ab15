"""Attempts as plain processes of this machine.

Each attempt leads a session and process group of its own, reads nothing, and writes into its log file by itself: the
engine is not in between, so the order of the two streams is kept and killing the engine costs no line.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess  # noqa: TID251 - this is the door
import threading

from wherry.executors import CouldNotStart, Handle, Launch
from wherry.model import Ending, Outcome


class ProcessExecutor:
    """Implements Executor."""

    def start(self, launch: Launch) -> Handle:
        """Start an attempt; raises CouldNotStart with the reason in words."""
        log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            process = subprocess.Popen(  # noqa: S603 - to run people's commands is what this is for
                launch.command,
                env=launch.env,
                cwd=launch.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise CouldNotStart(_why(launch, error)) from error
        finally:
            os.close(log)
        return _Child(process)

    def find(self, identity: str) -> Handle | None:
        """The process of that pid and start time, if it still runs."""
        return _Stranger(identity) if is_alive(identity) else None


class _Child:
    """A process that this one started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._stopping = threading.Event()
        self.pid = process.pid
        self.identity = identify(process.pid)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        if timeout is not None and not _ends_within(self.pid, timeout):
            return None
        # Seen but not yet reaped, the leader still holds the group's number: what it left behind can be killed safely.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait()
        self._stopping.set()
        return outcome_of(code)

    def stop(self, grace: float) -> None:
        _signal_group(self.pid, signal.SIGTERM)
        threading.Thread(target=self._kill_after, args=(grace,), daemon=True, name=f"stop {self.pid}").start()

    def _kill_after(self, grace: float) -> None:
        if not self._stopping.wait(grace):
            _signal_group(self.pid, signal.SIGKILL)


class _Stranger:
    """A process that an earlier engine started: it can be watched and stopped; its exit code is not ours to know."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.pid = int(identity.partition(":")[0])

    def wait(self, timeout: float | None = None) -> Outcome | None:
        if not _ends_within(self.pid, timeout):
            return None
        reason = "the engine that started it was killed; the process went on and has ended, its exit code is not known"
        return Outcome(ending=Ending.LOST, reason=reason)

    def stop(self, grace: float) -> None:
        _signal_group(self.pid, signal.SIGTERM)
        threading.Thread(target=self._kill_after, args=(grace,), daemon=True, name=f"stop {self.pid}").start()

    def _kill_after(self, grace: float) -> None:
        if not _ends_within(self.pid, grace) and is_alive(self.identity):
            _signal_group(self.pid, signal.SIGKILL)


def outcome_of(return_code: int) -> Outcome:
    """The outcome of a process's return code as `subprocess` gives it: negative for a signal."""
    if return_code >= 0:
        return Outcome(ending=Ending.EXITED, exit_code=return_code)
    name = signal.Signals(-return_code).name if -return_code in set(signal.Signals) else f"signal {-return_code}"
    return Outcome(ending=Ending.EXITED, exit_code=128 - return_code, reason=f"ended by {name}")


def identify(pid: int) -> str:
    """`pid:start time`: a pid alone may come to mean another process later."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold spaces; the start time is the 22nd field, the 20th after the name.
            return f"{pid}:{int(file.read().rpartition(b')')[2].split()[19])}"
    except (OSError, IndexError):
        return f"{pid}:0"


def is_alive(identity: str) -> bool:
    """True while the very process of that identity runs (a zombie does not)."""
    pid = int(identity.partition(":")[0])
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", "rb") as file:
            dead = file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except ProcessLookupError:
        return False
    except PermissionError:
        dead = False
    except OSError:  # no /proc here: the signal was delivered, that must do
        dead = False
    return not dead and identify(pid) == identity


def _ends_within(pid: int, timeout: float | None) -> bool:
    """Wait for the end of any process of ours, without reaping it."""
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


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _why(launch: Launch, error: Exception) -> str:
    program = launch.command[0] if launch.command else ""
    if not os.path.isdir(launch.folder):
        return f"the folder `{launch.folder}` does not exist"
    if isinstance(error, FileNotFoundError):
        if "/" in program and os.path.exists(os.path.join(launch.folder, program)):
            return f"`{program}` names an interpreter in its first line that does not exist"
        where = "here" if "/" in program else "on PATH"
        near = {"python": "python3", "pip": "pip3"}.get(program)
        hint = f"; there is `{near}`" if near and shutil.which(near, path=launch.env.get("PATH")) else ""
        return f"there is no program `{program}` {where}{hint}"
    if isinstance(error, PermissionError):
        return f"`{program}` is not executable: `chmod +x {program}`"
    if isinstance(error, OSError) and error.strerror == "Exec format error":
        return f"`{program}` has no interpreter line: begin it with `#!/bin/sh` or the like"
    return f"`{program}` cannot be started: {error}"
