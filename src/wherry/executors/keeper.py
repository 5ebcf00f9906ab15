"""The keeper: a small program between an engine and its attempts. It makes their processes and knows how they end.

It runs beside each engine as `python keeper.py SOCKET FOLDER OWNER`, by the standard library alone, and outlives it:
when the engine is killed, its attempts go on, and the keeper writes how each one ended into a file beside its log,
where the next engine finds it. So no exit code is lost with an engine. It also spawns outside the engine's interpreter
lock.

::

    engine -> keeper   start KEY ...   stop KEY   settled KEYS (their ends are in the store: forget them)
    keeper -> engine   started KEY   failed KEY   ended KEY

Messages are lines of JSON. A `KEY` is `RUN.ATTEMPT`. While a keeper lives, the file `FOLDER/OWNER` names it; once its
engine has died the file lists the attempts that it still holds. What is neither there nor has an end on file was never
started: a fact, not a guess.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import heapq
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":  # a program of its own, which need not load the package
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import procfs  # type: ignore[import-not-found]  # it is wherry.executors.procfs
else:
    from wherry.executors import procfs

#: How often processes with a memory limit are looked at, and the system's out-of-memory killer, in seconds.
LOOK = 0.25
#: After an attempt's end, its runaway processes are looked for so soon, in seconds.
SWEEP = 0.5
#: An attempt that lives so long is reported as started, in seconds; a shorter one has its end to report.
NOTABLE = 0.02
#: How long helpers may take to end once the main process has.
HELPER_GRACE = 10.0

_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_CHUNK = 1 << 18
#: There is no room, or the disk does not answer.
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
#: What we may still grow by, in bytes.
_MARGIN = 2 << 20
#: Signals that we, or Python, treat in a way of our own, which attempts must not inherit.
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
_OURS = (*_IGNORED, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)


class Attempt:
    """One attempt: the main process and its helpers, each the leader of a session of its own."""

    def __init__(self, key: str, log: str, memory: int | None, cpus: set[int] | None) -> None:
        self.key = key
        self.log = log
        self.memory = memory
        self.cpus = cpus
        self.pids: set[int] = set()
        self.main = 0
        self.began = time.monotonic()
        #: What is told of the end, once the main process has ended.
        self.end: dict[str, Any] = {}
        #: What it took when it outgrew its memory, in bytes.
        self.outgrew: int | None = None
        self.killed = False


class Keeper:
    """One epoll loop over the socket, the deaths of children, and a heap of times."""

    def __init__(self, channel: socket.socket, folder: str, owner: str) -> None:
        self._channel = channel
        self._path = os.path.join(folder, owner)
        self._inbox = b""
        self._outbox = bytearray()
        self._is_waiting_to_send = False
        self._orphaned = False
        self._attempts: dict[str, Attempt] = {}
        self._of_pid: dict[int, Attempt] = {}
        self._unsettled: dict[str, Attempt] = {}
        #: Their ends belong into files, and the disk is full.
        self._unwritten: dict[str, Attempt] = {}
        self._times: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._looking = False
        self._sweeping = False
        self._found: dict[tuple[str, str], str] = {}
        self._found_at = 0.0
        # A process counts what we took when it was split off from us: less than that cannot be known.
        self._own_size = procfs.peak_size(os.getpid()) + _MARGIN
        self._oom_kills = procfs.oom_kills()
        self._oom_seen_at = float("-inf")
        self._pinned = dict.fromkeys(os.sched_getaffinity(0), 0)
        self._poll = select.epoll()
        self._deaths, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Work until the engine has gone and nothing is left to keep."""
        self._write_own_file()
        self._channel.setblocking(False)
        self._poll.register(self._channel, select.EPOLLIN)
        self._poll.register(self._deaths, select.EPOLLIN)
        while not (self._orphaned and not self._attempts and not self._unwritten):
            for descriptor, happened in self._poll.poll(self._pause()):
                if descriptor == self._deaths:
                    os.read(self._deaths, 4096)
                    self._reap()
                else:
                    self._talk(happened)
            self._on_time()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    # ------------------------------------------------------------------------------------------------ the engine

    def _talk(self, happened: int) -> None:
        if happened & select.EPOLLOUT:
            self._flush()
        if happened & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not self._receive():
            self._lose_engine()

    def _receive(self) -> bool:
        """Do what the engine says; False when it is gone."""
        try:
            data = self._channel.recv(_CHUNK)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            match message["do"]:
                case "start":
                    self._start(message)
                case "stop":
                    self._stop(message["key"], message["grace"])
                case "settled":
                    for key in message["keys"]:
                        self._unsettled.pop(key, None)
        return bool(data)

    def _say(self, **message: Any) -> None:
        if self._orphaned:
            return
        self._outbox += json.dumps(message).encode() + b"\n"
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outbox:
                sent = self._channel.send(self._outbox)
                del self._outbox[:sent]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._outbox.clear()  # its end is noticed when we read
        if bool(self._outbox) is not self._is_waiting_to_send:
            self._is_waiting_to_send = bool(self._outbox)
            self._poll.modify(self._channel, select.EPOLLIN | (select.EPOLLOUT if self._outbox else 0))

    def _lose_engine(self) -> None:
        """The engine has died: from now on ends go into files, and whoever asks finds what we hold."""
        self._orphaned = True
        self._poll.unregister(self._channel)
        self._channel.close()
        for attempt in self._unsettled.values():
            self._write_end(attempt)
        self._unsettled.clear()
        self._write_own_file()

    def _write_own_file(self) -> None:
        me = procfs.identify(os.getpid())
        held = sorted({**self._attempts, **self._unwritten}) if self._orphaned else None
        try:
            _write_whole(self._path, {"keeper": me, "held": held})
        except OSError:  # the disk is full: the next engine waits for this file, so that we must bring it
            self._at(1.0, self._write_own_file)

    def _write_end(self, attempt: Attempt) -> None:
        """How an attempt ended, for the next engine, which waits for it while the disk is full."""
        self._unwritten.pop(attempt.key, None)
        try:
            _write_whole(f"{attempt.log.removesuffix('.log')}.end", attempt.end)
        except OSError as error:
            if error.errno in _PASSING:
                self._unwritten[attempt.key] = attempt
                self._at(1.0, lambda: self._write_end(attempt))

    # ------------------------------------------------------------------------------------------------- beginnings

    def _start(self, message: dict[str, Any]) -> None:
        cpus = self._choose_cpus(message.get("cpus"))
        attempt = Attempt(message["key"], message["log"], message.get("memory"), cpus)
        helper = ""
        try:
            for name, part in (*message.get("helpers", {}).items(), ("", message)):
                helper = name
                attempt.main = self._spawn(attempt, part)
        except Exception as error:  # noqa: BLE001 - a launch that no system accepts must not cost the others their keeper
            for pid in attempt.pids:
                _signal(pid, signal.SIGKILL)
            number, where = (error.errno, error.filename) if isinstance(error, OSError) else (None, None)
            self._say(
                say="failed", key=attempt.key, helper=helper, errno=number or errno.EINVAL, at=where, why=str(error)
            )
            if not attempt.pids:
                self._release_cpus(attempt)
                return
            attempt.main = 0
            attempt.end = {}
        else:
            self._at(NOTABLE, lambda: self._tell_started(attempt))
        self._attempts[attempt.key] = attempt
        if not self._looking:
            self._looking = True
            self._oom_kills = procfs.oom_kills()
            self._at(LOOK, self._look)

    def _tell_started(self, attempt: Attempt) -> None:
        if attempt.main in attempt.pids:
            self._say(say="started", key=attempt.key, process=procfs.identify(attempt.main))

    def _spawn(self, attempt: Attempt, part: dict[str, Any]) -> int:
        """Make a process; raises OSError whose `filename` says what could not be used."""
        os.makedirs(os.path.dirname(part["log"]), exist_ok=True)
        os.chdir(part["folder"])
        env = part["env"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            self._program(part["argv"][0], env.get("PATH", os.defpath)),
            part["argv"],
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, part["log"], flags, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_OURS,
        )
        attempt.pids.add(pid)
        self._of_pid[pid] = attempt
        if attempt.cpus is not None:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(pid, attempt.cpus)
        return pid

    def _program(self, name: str, path: str) -> str:
        """The file that a command's first word means; found again each second, for it may be installed anew."""
        if time.monotonic() - self._found_at > 1:
            self._found.clear()
            self._found_at = time.monotonic()
        if "/" in name or (name, path) not in self._found:
            self._found[name, path] = _program(name, path)
        return self._found[name, path]

    def _choose_cpus(self, count: int | None) -> set[int] | None:
        """The processors that the fewest attempts are bound to; None where there is nothing to bind."""
        if count is None or count >= len(self._pinned):
            return None
        chosen = set(sorted(self._pinned, key=lambda cpu: self._pinned[cpu])[:count])
        for cpu in chosen:
            self._pinned[cpu] += 1
        return chosen

    def _release_cpus(self, attempt: Attempt) -> None:
        for cpu in attempt.cpus or ():
            self._pinned[cpu] -= 1

    # ------------------------------------------------------------------------------------------------------- ends

    def _stop(self, key: str, grace: float) -> None:
        attempt = self._attempts.get(key)
        if attempt is None:
            return
        for pid in attempt.pids:
            _signal(pid, signal.SIGTERM)
        self._at(grace, lambda: self._kill(key))

    def _kill(self, key: str) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            attempt.killed = True
            for pid in attempt.pids:
                _signal(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Take the dead. A leader is looked at before it is reaped: so long it holds its group's number."""
        with contextlib.suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                pid = dead.si_pid
                attempt = self._of_pid.pop(pid, None)
                if attempt is not None:
                    _signal(pid, signal.SIGKILL)  # what it left behind in its group
                _, status, usage = os.wait4(pid, 0)
                if attempt is not None:
                    self._leader_ended(attempt, pid, os.waitstatus_to_exitcode(status), usage)

    def _leader_ended(self, attempt: Attempt, pid: int, code: int, usage: Any) -> None:
        attempt.pids.discard(pid)
        if pid == attempt.main:
            attempt.end = {
                "code": code,
                "at": time.time(),
                "peak": usage.ru_maxrss * 1024 if usage.ru_maxrss * 1024 > self._own_size else None,
                "cpu": round(usage.ru_utime + usage.ru_stime, 3),
                "outgrew": attempt.outgrew,
                "oom": code == -signal.SIGKILL and not attempt.killed and self._was_oom(attempt),
            }
            if attempt.pids:
                for helper in attempt.pids:
                    _signal(helper, signal.SIGTERM)
                self._at(HELPER_GRACE, lambda: self._kill(attempt.key))
        if not attempt.pids:
            self._ended(attempt)

    def _ended(self, attempt: Attempt) -> None:
        del self._attempts[attempt.key]
        self._release_cpus(attempt)
        self._sweep_soon()
        if not attempt.main:
            return  # it was told that it failed to start
        if self._orphaned:
            self._write_end(attempt)
        else:
            self._unsettled[attempt.key] = attempt
            self._say(say="ended", key=attempt.key, **attempt.end)

    def _sweep_soon(self) -> None:
        """Look for what slipped out of its session and came to us; without children there is nothing to find."""
        if self._sweeping or not self._has_children():
            return
        self._sweeping = True
        self._at(SWEEP, self._sweep)

    def _has_children(self) -> bool:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _sweep(self) -> None:
        """Kill our adopted children whose attempt has ended; their own children become ours, and are looked at next."""
        self._sweeping = False
        for pid in procfs.children_of(os.getpid()):
            if pid in self._of_pid:
                continue
            key = procfs.marked(pid)
            if key and key not in self._attempts:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                    self._sweep_soon()

    # ------------------------------------------------------------------------------------------------------ limits

    def _look(self) -> None:
        """Note what the system killed for memory, and kill what has outgrown its own."""
        self._looking = bool(self._attempts)
        if not self._looking:
            return
        self._at(LOOK, self._look)
        self._note_oom()
        limited = {pid: attempt for attempt in self._attempts.values() if attempt.memory for pid in attempt.pids}
        if not limited:
            return
        members: dict[Attempt, list[int]] = {}
        resident: dict[Attempt, int] = {}
        for pid, session, pages in procfs.sessions():
            attempt = limited.get(session)
            if attempt is not None:
                members.setdefault(attempt, []).append(pid)
                resident[attempt] = resident.get(attempt, 0) + pages * procfs.PAGE
        for attempt, size in resident.items():
            # Resident sizes count shared pages once a process: near the limit the exact, dearer number decides.
            if attempt.memory and size > attempt.memory:
                exact = sum(procfs.proportional_size(pid) for pid in members[attempt])
                if exact > attempt.memory:
                    attempt.outgrew = exact
                    self._kill(attempt.key)

    def _was_oom(self, attempt: Attempt) -> bool:
        self._note_oom()
        return self._oom_seen_at >= attempt.began

    def _note_oom(self) -> None:
        kills = procfs.oom_kills()
        if kills != self._oom_kills:
            self._oom_kills = kills
            self._oom_seen_at = time.monotonic()

    # ------------------------------------------------------------------------------------------------------- times

    def _at(self, seconds: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._times, (time.monotonic() + seconds, self._count, what))

    def _pause(self) -> float | None:
        return max(0.0, self._times[0][0] - time.monotonic()) if self._times else None

    def _on_time(self) -> None:
        while self._times and self._times[0][0] <= time.monotonic():
            heapq.heappop(self._times)[2]()


def _program(name: str, path: str) -> str:
    """The file that a command's first word means, as a shell finds it; raises OSError."""
    if "/" in name:
        return name
    found: OSError | None = None
    for folder in path.split(os.pathsep):
        candidate = os.path.join(folder or ".", name)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
        if os.path.exists(candidate):
            found = found or PermissionError(errno.EACCES, "not executable", name)
    raise found or FileNotFoundError(errno.ENOENT, "not found", name)


def _signal(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _write_whole(path: str, content: dict[str, Any]) -> None:
    """On disk as a whole, or not at all."""
    aside = f"{path}~"
    with open(aside, "w", encoding="ascii") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def main() -> None:
    """Become a keeper: children of our children come to us when their parents die, and terminals do not reach us."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(_PR_SET_NAME, b"wherry-keeper", 0, 0, 0)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    descriptor, folder, owner = sys.argv[1:]
    os.set_inheritable(int(descriptor), False)
    Keeper(socket.socket(fileno=int(descriptor)), folder, owner).run()


if __name__ == "__main__":
    main()
