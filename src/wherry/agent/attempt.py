"""One attempt: the folder, the file, the command; how it ended."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from wherry.agent.batches import deadline_left
from wherry.agent.client import CallFailed
from wherry.agent.command import Bell, Command
from wherry.agent.heartbeat import Heartbeat
from wherry.agent.job import Job, NoCommand, Prepared
from wherry.agent.services import S3, DiskFailed, Gone, Message, Stopped
from wherry.agent.settings import Settings
from wherry.agent.verdicts import COULD_NOT_START, EXITED, OUT_OF_MEMORY, STOPPED, TIMED_OUT, End
from wherry.errors import WherryError

#: Seconds that a command has between SIGTERM and SIGKILL; the latter is less when the task itself has to go.
_GRACE = 30.0
_LAST_GRACE = 2.0
#: So many seconds before ECS kills the task the command is ended, so that its messages are given back in time.
_BEFORE_THE_END = 5.0
#: ValueError: what the system takes from nobody, as a host that cannot be one, or a character that its locale lacks.
_CANNOT_START = (CallFailed, DiskFailed, Gone, OSError, NoCommand, WherryError, ValueError, RecursionError)


class Attempt:
    """Works on messages once; `cut` says why it must end now, or is empty."""

    def __init__(self, settings: Settings, job: Job, s3: S3, bell: Bell, beat: Heartbeat) -> None:
        self._settings = settings
        self._job = job
        self._s3 = s3
        self._bell = bell
        self._beat = beat
        #: Somebody wants the run to end; set by another thread.
        self.is_unwanted = False
        self.prepared: Prepared | None = None
        self.peak = 0
        self._ends_at = float("inf")
        self._why = ""

    def go(self, run_id: str, number: int, event: dict[str, Any], taken: Sequence[Message]) -> End:
        """Do it, and clean up."""
        folder = ""
        try:
            folder = tempfile.mkdtemp(prefix=f"wherry-{run_id[:8]}-{number}-")
            file = self._job.file(taken, folder, self._s3, self._is_cut)
            self.prepared = self._job.prepare(event, file)
            env = self._job.environment(self.prepared, run_id, number, event, folder)
            return self._run(self.prepared.command, env, taken)
        except Stopped:
            return self._cut_short(None)
        except _CANNOT_START as error:
            return _not_started(error)
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)

    def _run(self, command: tuple[str, ...], env: dict[str, str], taken: Sequence[Message]) -> End:
        self._bound(taken)
        kills = _oom_kills()
        try:
            process = Command(command, env)
        except OSError as error:
            # a program that is not there is no message's fault; a command that is too long has its length from one
            passing = error.errno != errno.E2BIG
            return End(COULD_NOT_START, reason=f"`{command[0]}` cannot be executed: {error.strerror}", passing=passing)
        try:
            if process.wait(self._bell, self._is_cut):
                return self._ended(process, kills)
            grace = _GRACE if self._is_late() or self.is_unwanted else _LAST_GRACE
            process.end(self._bell, grace=grace)
            return self._cut_short(process.exit_code)
        finally:
            process.clear_away()
            self.peak = process.peak

    def _ended(self, process: Command, kills: int) -> End:
        code = process.exit_code
        if code == 137 and _oom_kills() > kills:
            return End(OUT_OF_MEMORY, code, "the container's memory was used up")
        return End(EXITED, code)

    def _bound(self, taken: Sequence[Message]) -> None:
        """How long the attempt may take, and why: its timeout, the run's deadline, or SQS's twelve hours."""
        bounds = [(self._beat.left(), "SQS hides a message for 12 hours at most, and others would receive it then")]
        if self._settings.timeout is not None:
            bounds.append((self._settings.timeout.total_seconds(), f"timeout: {_length(self._settings.timeout)}"))
        if self._settings.deadline is not None:
            now = datetime.now(timezone.utc)
            left = min(deadline_left(each, self._settings, now) for each in taken)
            bounds.append((left, f"deadline: {_length(self._settings.deadline)}"))
        length, self._why = min(bounds)
        self._ends_at = time.monotonic() + length

    def _is_late(self) -> bool:
        return time.monotonic() > self._ends_at

    def _is_drained(self) -> bool:
        return self._bell.is_drained(after=self._settings.stop_timeout.total_seconds() - _BEFORE_THE_END)

    def _is_cut(self) -> bool:
        return self.is_unwanted or self._is_late() or self._is_drained()

    def _cut_short(self, code: int | None) -> End:
        if self.is_unwanted:
            return End(STOPPED, code)
        if self._is_late():
            return End(TIMED_OUT, code, self._why)
        reason = "its task had to go, and ECS waits no longer; its message was given back"
        return End(STOPPED, code, reason, passing=True)


def _not_started(error: Exception) -> End:
    """What is in the way of an attempt; passing where the next one may fare better."""
    said, passing = str(error), isinstance(error, (CallFailed, DiskFailed, NoCommand, OSError))
    if isinstance(error, Gone):
        said = "its object is gone: there is nothing to fetch"
    elif isinstance(error, (CallFailed, DiskFailed)):
        said = f"its object could not be fetched: {error}"
    elif isinstance(error, OSError):
        said = f"no folder for it: {error}"
    elif isinstance(error, (ValueError, RecursionError)):
        said = f"its message cannot be given to a command: {error}"
    return End(COULD_NOT_START, reason=said, passing=passing)


def _oom_kills() -> int:
    """How many processes of this container the kernel has ended for their memory; 0 where it does not tell."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0


def _length(length: timedelta | None) -> str:
    seconds = length.total_seconds() if length else 0
    return f"{seconds:g}s" if seconds % 60 else f"{seconds / 60:g}m"
