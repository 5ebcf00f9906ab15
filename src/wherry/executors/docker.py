"""Attempts as containers of the Docker engine of this machine.

One thread with an event loop waits for all of them; the rest of the program asks it for things and receives what has
happened. The engine outlives us and remembers: each container carries labels that say whose it is, its log stays with
the engine until the attempt's end is settled, and our log file is a copy of its beginning. So after a restart the
container is found, its log is gone on with at the byte where the copy ends, and its exit code is known also when it
ended in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from wherry.errors import WherryError
from wherry.executors import Ended, Key, Launch, Started
from wherry.executors.attempts import Attempt, Unstarted
from wherry.executors.bell import Bell
from wherry.executors.containers import HOME, MARK, OWNER, PREFIX, key_of, mark_of
from wherry.executors.dockerd import Dockerd, DockerFailure, NoDocker, address, ask_once, socket_of
from wherry.executors.ground import Ground
from wherry.executors.proc import is_alive
from wherry.model import Ending, Outcome

#: How long closing waits for containers that are being removed, in seconds.
_PATIENCE = 10.0


def bridge() -> str:
    """The address at which containers find this machine; raises NoDocker when no engine answers."""
    configs = asyncio.run(ask_once("GET", "/networks/bridge"))["IPAM"]["Config"]
    for config in configs:
        network = ipaddress.ip_network(config["Subnet"])
        if network.version == 4:
            # The engine names it only where somebody chose it; else it is the first of the network.
            return str(config.get("Gateway") or next(network.hosts()))
    raise NoDocker("Docker has no bridge network here, by which containers could reach the gateway")


class DockerExecutor:
    """Implements Executor. `folder` is where engines say that they are there, whose containers these are; `me` is ours.

    `is_open` says whether somebody still wants to know how an attempt ended: containers of others are garbage.
    """

    def __init__(self, *, folder: str, me: str, is_open: Callable[[Key], bool]) -> None:
        self._dockerd = Dockerd(socket_of(address()))
        self._folder = folder
        self._mark = mark_of(folder, me)
        os.makedirs(folder, exist_ok=True)
        with open(self._mark, "w", encoding="ascii"):
            pass
        self._me = me
        self._is_open = is_open
        self._ground = Ground(self._dockerd, home=folder, owner=me)
        #: Touched by the loop's thread alone.
        self._attempts: dict[Key, Attempt] = {}
        self._lives: set[asyncio.Task[None]] = set()
        #: What is waited for when we close: containers that are being removed, stops that are being asked for.
        self._chores: set[asyncio.Task[None]] = set()
        self._reports: deque[Started | Ended] = deque()
        self._asked: deque[tuple[set[asyncio.Task[None]], Coroutine[Any, Any, None]]] = deque()
        self._bell = Bell()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="docker", daemon=True)
        self._thread.start()
        self._asked.append((self._chores, self._tidy()))
        self.flush()

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to receive."""
        return self._bell.fileno()

    def launch(self, key: Key, launch: Launch) -> None:
        """Start an attempt."""
        attempt = Attempt(self._ground, key, log=launch.log)
        self._asked.append((self._lives, self._live(attempt, attempt.begin(launch), is_new=True)))

    def adopt(self, key: Key, *, process: str, owner: str, log: str) -> None:  # noqa: ARG002 - the labels say whose it is
        """Go on with an attempt of an engine that died."""
        attempt = Attempt(self._ground, key, log=log)
        beginning = attempt.find(was_started=bool(process))
        self._asked.append((self._lives, self._live(attempt, beginning, is_new=not process)))
        self.flush()

    def stop(self, key: Key, grace: float) -> None:
        """Ask it to end, make it after `grace` seconds."""
        self._asked.append((self._chores, self._stop(key, grace)))
        self.flush()

    def receive(self) -> list[Started | Ended]:
        """What has happened."""
        self._bell.hush()
        return [self._reports.popleft() for _ in range(len(self._reports))]

    def settle(self, keys: Iterable[Key]) -> None:
        """These ends are on disk: their containers can go."""
        for key in keys:
            self._asked.append((self._chores, self._forget(key)))

    def flush(self) -> None:
        """Hand what was asked for over to the loop."""
        if self._asked:
            asked = [self._asked.popleft() for _ in range(len(self._asked))]
            self._loop.call_soon_threadsafe(self._begin, asked)

    def close(self) -> None:
        """Let go; containers that run go on."""
        self.flush()
        asyncio.run_coroutine_threadsafe(self._let_go(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._bell.close()
        if not self._attempts:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._mark)

    # ------------------------------------------------------------------------------------- in the loop's thread

    def _begin(self, asked: Iterable[tuple[set[asyncio.Task[None]], Coroutine[Any, Any, None]]]) -> None:
        for tasks, coroutine in asked:
            task = self._loop.create_task(coroutine)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def _report(self, report: Started | Ended) -> None:
        self._reports.append(report)
        self._bell.ring()

    async def _live(self, attempt: Attempt, beginning: Coroutine[Any, Any, None], *, is_new: bool) -> None:
        """The way of an attempt from its beginning to its end."""
        key = attempt.key
        self._attempts[key] = attempt
        try:
            await beginning
            if is_new:
                self._report(Started(key, PREFIX + attempt.container))
            self._report(await attempt.to_its_end())
        except Unstarted as unstarted:
            self._report(Ended(key, unstarted.outcome))
        except WherryError as error:
            self._report(Ended(key, _refused(error)))
        except Exception as error:  # noqa: BLE001 - a run must not hang because of a mistake of ours
            reason = f"this is a bug in wherry: {error!r}"
            self._report(Ended(key, Outcome(ending=Ending.COULD_NOT_START, reason=reason)))

    async def _stop(self, key: Key, grace: float) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            await attempt.stop(grace)

    async def _forget(self, key: Key) -> None:
        attempt = self._attempts.pop(key, None)
        if attempt is not None:
            await attempt.remove()

    async def _tidy(self) -> None:
        """Remove what nobody will ask about any more: an engine was killed between an end and its removal."""
        with contextlib.suppress(DockerFailure, FileNotFoundError):
            needed = set()
            for container in await self._ground.listed({HOME: self._folder}):
                labels = container["Labels"]
                if is_alive(labels[OWNER]) or self._is_open(key_of(labels)):
                    needed.add(labels[OWNER])
                else:
                    await self._ground.remove(container["Id"])
            for name in os.listdir(self._folder):
                owner = name.removesuffix(MARK)
                if name.endswith(MARK) and owner not in needed and not is_alive(owner):
                    os.unlink(os.path.join(self._folder, name))

    async def _let_go(self) -> None:
        if self._chores:
            await asyncio.wait(self._chores, timeout=_PATIENCE)
        tasks = self._lives | self._chores
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._dockerd.close()


def _refused(error: WherryError) -> Outcome:
    text = f"{error.message}; {error.hint}" if error.hint else error.message
    passing = isinstance(error, DockerFailure) and error.is_passing
    return Outcome(ending=Ending.COULD_NOT_START, reason=text, passing=passing)
