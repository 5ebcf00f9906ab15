"""One executor for what begins, and the others for what engines before this one have begun by them."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from wherry.errors import WherryError
from wherry.executors import Ended, Executor, Key, Launch, Started
from wherry.executors.bell import Bell
from wherry.model import Ending, Outcome


class Combined:
    """Implements Executor. `makers` makes each by name, `chosen` at once and others when they are needed.

    `whose` says which executor began an attempt, by its process (empty when it is not known) and the engine that did.
    """

    def __init__(
        self, chosen: str, makers: Mapping[str, Callable[[], Executor]], whose: Callable[[str, str], str]
    ) -> None:
        self._makers = makers
        self._whose = whose
        self._poll = select.epoll()
        self._bell = Bell()
        self._poll.register(self._bell, select.EPOLLIN)
        self._made: dict[str, Executor] = {}
        self._chosen = self._executor(chosen)
        #: The attempts of other executors than the chosen one.
        self._others: dict[Key, Executor] = {}
        self._reports: deque[Ended] = deque()

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to receive."""
        return self._poll.fileno()

    def launch(self, key: Key, launch: Launch) -> None:
        """Start an attempt."""
        self._chosen.launch(key, launch)

    def adopt(self, key: Key, *, process: str, owner: str, log: str) -> None:
        """Go on with an attempt of an engine that died, by the executor that began it."""
        try:
            executor = self._executor(self._whose(process, owner))
        except WherryError as error:
            self._reports.append(Ended(key, Outcome(ending=Ending.LOST, reason=error.message)))
            self._bell.ring()
            return
        if executor is not self._chosen:
            self._others[key] = executor
        executor.adopt(key, process=process, owner=owner, log=log)

    def stop(self, key: Key, grace: float) -> None:
        """Ask it to end, make it after `grace` seconds."""
        self._others.get(key, self._chosen).stop(key, grace)

    def receive(self) -> list[Started | Ended]:
        """What has happened."""
        if self._reports:
            self._bell.hush()
        reports: list[Started | Ended] = [self._reports.popleft() for _ in range(len(self._reports))]
        return reports + [report for executor in self._made.values() for report in executor.receive()]

    def settle(self, keys: Iterable[Key]) -> None:
        """These ends are on disk."""
        mine = []
        for key in keys:
            other = self._others.pop(key, None)
            if other is None:
                mine.append(key)
            else:
                other.settle([key])
        self._chosen.settle(mine)

    def flush(self) -> None:
        """Let everything that was asked for take effect."""
        for executor in self._made.values():
            executor.flush()

    def close(self) -> None:
        """Let go. What still runs goes on."""
        self._poll.close()
        self._bell.close()
        for executor in self._made.values():
            executor.close()

    def _executor(self, name: str) -> Executor:
        if name not in self._made:
            self._made[name] = self._makers[name]()
            self._poll.register(self._made[name], select.EPOLLIN)
        return self._made[name]
