"""Attempts as processes of this machine. The only door to `subprocess`.

Each attempt leads a session, and so a process group, of its own, and writes into its log file by itself: the engine is
not in between, so the order of the two streams is kept and killing the engine costs no line. The processes are children
of the keeper (`keeper.py`), which outlives this process and remembers how they ended.
"""

from __future__ import annotations

import json
import math
import os
import select
import shlex
import socket
import subprocess  # noqa: TID251 - this is the door
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any

from wherry.errors import WherryError
from wherry.executors import Ended, Key, Launch, Part, Started
from wherry.executors.bell import Bell
from wherry.executors.ends import ended, not_started
from wherry.executors.orphans import Orphan
from wherry.executors.proc import identify
from wherry.model import Ending, Outcome

_KEEPER = os.path.join(os.path.dirname(__file__), "keeper.py")


class ProcessExecutor:
    """Implements Executor; `folder` is where keepers say that they are there."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._channel: socket.socket | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._inbox = b""
        self._running: dict[Key, Launch] = {}
        self._processes: dict[Key, str] = {}
        #: What was asked to end, and when it must, by the monotonic clock.
        self._kill_at: dict[Key, float] = {}
        self._orphans: dict[Key, Orphan] = {}
        #: What is known without the keeper: of orphans, and of launches that never reached one.
        self._reports: deque[Started | Ended] = deque()
        self._bell = Bell()
        self._poll = select.epoll()
        self._poll.register(self._bell, select.EPOLLIN)
        #: What the keeper is to be told; other threads may ask for stops.
        self._outbox: deque[dict[str, Any]] = deque()
        self._unsent: list[Key] = []

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to receive."""
        return self._poll.fileno()

    def launch(self, key: Key, launch: Launch) -> None:
        """Start an attempt."""
        self._running[key] = launch
        helpers = {name: _as_message(part) for name, part in launch.helpers.items()}
        # Bound to so many processors, which cannot be divided.
        limits = {"memory": launch.memory, "cpus": None if launch.cpus is None else math.ceil(launch.cpus)}
        self._outbox.append({"do": "start", "key": str(key), **limits, "helpers": helpers, **_as_message(launch)})
        self._unsent.append(key)

    def adopt(self, key: Key, *, process: str, owner: str, log: str) -> None:
        """Go on with an attempt of an engine that died."""
        orphan = Orphan(key, process=process, keeper_file=os.path.join(self._folder, owner), log=log)
        self._orphans[key] = orphan
        orphan.watch(self._report)

    def stop(self, key: Key, grace: float) -> None:
        """Ask it to end, make it after `grace` seconds."""
        if key in self._orphans:
            self._orphans[key].stop(grace)
        elif key in self._running:
            self._kill_at[key] = time.monotonic() + grace
            self._outbox.append({"do": "stop", "key": str(key), "grace": grace})

    def receive(self) -> list[Started | Ended]:
        """What has happened."""
        if self._channel is not None:
            self._listen(self._channel)
        self._bell.hush()
        reports = []
        while self._reports:
            report = self._reports.popleft()
            if isinstance(report, Ended):
                self._orphans.pop(report.key, None)
            reports.append(report)
        return reports

    def settle(self, keys: Iterable[Key]) -> None:
        """These ends are on disk."""
        if self._channel is not None:
            self._outbox.append({"do": "settled", "keys": [str(key) for key in keys]})

    def flush(self) -> None:
        """Say to the keeper what has gathered; attempts that cannot be said to one have not started."""
        if not self._outbox:
            return
        lines = b"".join(json.dumps(self._outbox.popleft()).encode() + b"\n" for _ in range(len(self._outbox)))
        unsent, self._unsent = self._unsent, []
        try:
            if self._channel is None:
                self._channel = self._make_keeper()
                self._poll.register(self._channel, select.EPOLLIN)
            self._channel.sendall(lines)
        except OSError as error:
            reason = f"no process can be made: {(error.strerror or str(error)).lower()}"
            for key in unsent if self._channel is None else ():  # else the keeper has died, which is heard soon
                self._running.pop(key, None)
                self._report(Ended(key, Outcome(ending=Ending.COULD_NOT_START, reason=reason, passing=True)))

    def close(self) -> None:
        """Let go of the keeper, which ends when it has nothing left to keep."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._keeper is not None and not self._running:
            self._keeper.wait()
        self._poll.close()
        self._bell.close()

    def _report(self, report: Ended) -> None:
        self._reports.append(report)
        self._bell.ring()

    def _make_keeper(self) -> socket.socket:
        os.makedirs(self._folder, exist_ok=True)
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            # Isolated and without `site`: it is ready in half the time and cannot be led astray by variables.
            command = [sys.executable, "-I", "-S", _KEEPER, str(descriptor), self._folder, identify(os.getpid())]
            # None of our own streams: who waits for their end waits for us, not for what a killed engine leaves.
            with open(f"{self._folder}.log", "ab") as complaints:
                try:
                    self._keeper = subprocess.Popen(  # noqa: S603 - it is ourselves
                        command,
                        pass_fds=[descriptor],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=complaints,
                        start_new_session=True,
                        cwd="/",
                    )
                except OSError:
                    ours.close()
                    raise
        return ours

    def _listen(self, channel: socket.socket) -> None:
        while True:
            try:
                data = channel.recv(1 << 18, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self._lose_keeper(channel)
                return
            *lines, self._inbox = (self._inbox + data).split(b"\n")
            for line in lines:
                self._reports.append(self._understand(json.loads(line)))

    def _understand(self, said: dict[str, Any]) -> Started | Ended:
        run_id, _, attempt = said["key"].rpartition(".")
        key = Key(run_id, int(attempt))
        if said["say"] == "started":
            self._processes[key] = said["process"]
            return Started(key, said["process"])
        launch = self._running.pop(key)
        self._processes.pop(key, None)
        self._kill_at.pop(key, None)
        if said["say"] == "failed":
            return Ended(key, not_started(launch, said))
        return ended(key, said)

    def _lose_keeper(self, channel: socket.socket) -> None:
        """Somebody killed the keeper: what it kept is watched to its end, whose exit codes nobody will know."""
        self._poll.unregister(channel)
        channel.close()
        self._channel, self._inbox = None, b""
        if self._keeper is not None:
            self._keeper.wait()
        me = identify(os.getpid())
        for key, launch in self._running.items():
            self.adopt(key, process=self._processes.get(key, ""), owner=me, log=launch.log)
            if key in self._kill_at:
                self._orphans[key].stop(max(0.0, self._kill_at[key] - time.monotonic()))
        self._running.clear()
        self._kill_at.clear()
        self._processes.clear()


def _as_message(part: Part) -> dict[str, Any]:
    return {"argv": part.command, "env": dict(part.env), "folder": part.folder, "log": part.log}


def call(
    command: Sequence[str],
    *,
    stdin: IO[bytes] | None = None,
    show: Callable[[bytes], object] | None = None,
    env: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Run a tool of this machine with our own environment, or `env`; gives its exit code and all that it wrote.

    `show` gets each line while it is written.
    """
    written = bytearray()
    with subprocess.Popen(  # noqa: S603 - our own words
        command,
        env=env,
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for us: we say what becomes of it
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for line in process.stdout:
            written += line
            if show:
                show(line)
    return process.returncode, bytes(written)


def feed(command: Sequence[str], data: bytes, *, env: Mapping[str, str], folder: str, timeout: float) -> None:
    """Run a short program with data on its standard input; raises WherryError unless it ends well and in time."""
    try:
        done = subprocess.run(  # noqa: S603 - the job file names it
            command, input=data, env=env, cwd=folder, timeout=timeout, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise WherryError(f"`{shlex.join(command)}` took longer than {timeout:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise WherryError(f"`{shlex.join(command)}` ended with exit code {done.returncode}: {said}".rstrip(": "))
