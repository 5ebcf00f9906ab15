"""Moves of dead letters that go on while clients do other things: at once, or so many a second.

They are remembered while the engine runs. A move that ends with the engine loses nothing: what was not yet moved is
still among the dead letters.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field

from wherry.errors import WherryError
from wherry.local.moves import BATCH
from wherry.local.queue_records import QueueError
from wherry.local.queues import Queues

MOST_TASKS = 10


@dataclass(kw_only=True)
class Task:
    """One move."""

    source: str
    destination: str | None
    #: Messages a second, None for as fast as it goes.
    rate: int | None
    started_ms: int
    to_move: int
    handle: str = field(default_factory=lambda: str(uuid.uuid4()))
    moved: int = 0
    status: str = "RUNNING"
    failure: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def run(self, queues: Queues) -> None:
        """Move until nothing is left, or it is cancelled."""
        try:
            while not self.cancelled.is_set():
                batch = queues.move_some(self.source, self.destination, self.rate or BATCH, self.started_ms)
                self.moved += len(batch)
                if not batch:
                    self.status = "COMPLETED"
                    return
                if self.rate:
                    self.cancelled.wait(1.0)
            self.status = "CANCELLED"
        except WherryError as error:
            self.status, self.failure = "FAILED", error.message


class Tasks:
    """The moves of this engine, the newest last; a few of each queue are remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: list[Task] = []

    def start(self, task: Task, queues: Queues) -> None:
        """Begin a move; raises AwsError while another one of the same queue goes on."""
        with self._lock:
            if any(other.status == "RUNNING" for other in self._of(task.source)):
                raise QueueError(
                    "UnsupportedOperation",
                    "There is already a task running. Only one active task is allowed for a source queue arn at a "
                    "given time.",
                )
            for old in self._of(task.source)[: 1 - MOST_TASKS]:
                self._tasks.remove(old)
            self._tasks.append(task)
        threading.Thread(target=task.run, args=(queues,), name="move", daemon=True).start()

    def newest(self, source: str) -> list[Task]:
        """The moves of a queue, the newest first."""
        with self._lock:
            return self._of(source)[::-1]

    def running(self, handle: str) -> Task | None:
        """The move of a handle, if it goes on."""
        with self._lock:
            return next((task for task in self._tasks if task.handle == handle and task.status == "RUNNING"), None)

    def _of(self, source: str) -> list[Task]:
        return [task for task in self._tasks if task.source == source]
