"""The command of one attempt: a process in a session of its own, its end, and the end of all that it has started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

#: prctl(2): orphans below us become our children, as they are where we are process 1.
_SUBREAPER = 36
#: Seconds.
_TURN = 0.5


class Bell:
    """Wakes the main thread: signals ring it, and other threads may."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._drained_at = float("inf")
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._drain)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def ring(self) -> None:
        """Wake it."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"\0")

    def is_drained(self, *, after: float = 0.0) -> bool:
        """SIGTERM came, and so many seconds have gone by since then."""
        return time.monotonic() >= self._drained_at + after

    def wait(self, seconds: float) -> None:
        """Until it rings, or so long."""
        select.select([self._read], [], [], max(seconds, 0))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass

    def _drain(self, *_: object) -> None:
        self._drained_at = min(self._drained_at, time.monotonic())


def adopt_orphans() -> None:
    """Become the parent of processes below us whose own parent is gone; where that is not possible we do without."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # slim images may lack what it needs

        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


class Command:
    """One process, begun."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        # one stream for both: the lines of an attempt then stand between the marks of its beginning and end
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        #: As shells count: 128 + the signal's number; None while it runs.
        self.exit_code: int | None = None
        #: The most memory that it, or a process that it waited for, took, in bytes.
        self.peak = 0

    def wait(self, bell: Bell, until: Callable[[], bool]) -> bool:
        """Until it has ended (True), or `until` says so (False), which is asked twice a second and at the bell."""
        while not self._reap():
            if until():
                return False
            bell.wait(_TURN)
        return True

    def end(self, bell: Bell, *, grace: float) -> None:
        """SIGTERM to its group, and SIGKILL when `grace` seconds were not enough."""
        self._signal(signal.SIGTERM)
        limit = time.monotonic() + grace
        if not self.wait(bell, lambda: time.monotonic() > limit):
            self._signal(signal.SIGKILL)
            self.wait(bell, lambda: False)

    def clear_away(self) -> None:
        """End what it has left behind: its session's processes, and orphans of them."""
        self._signal(signal.SIGKILL)
        for _ in range(100):
            left = _children()
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._reap_others()
            time.sleep(0.01)

    def _reap(self) -> bool:
        """Take note of every child that has ended; True when the command is among them, or was."""
        self._reap_others()
        return self.exit_code is not None

    def _reap_others(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._process.pid:
                code = os.waitstatus_to_exitcode(status)
                self.exit_code = code if code >= 0 else 128 - code
                self._process.returncode = code
                self.peak = usage.ru_maxrss * 1024

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _children() -> list[int]:
    """Our children, those that we were given included; none where Linux does not tell (proc(5), `children`)."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                found += [int(pid) for pid in file.read().split()]
    return found
