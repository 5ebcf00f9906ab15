"""Work on a stream in a second thread: hashing and writing let go of the interpreter, so two cores share the load."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

#: How many pieces may wait, of up to 256 KiB each.
_MOST_WAITING = 16


class Beside:
    """Hands pieces, in order, to `work` in another thread; a context manager that ends when all are done.

    What `work` raises is raised by the next `give`, or at the end. After that, or when the context is left by an
    exception, pieces that still wait are dropped.
    """

    def __init__(self, work: Callable[[bytes], object]) -> None:
        self._work = work
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._error: Exception | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._run, name="beside", daemon=True)

    def give(self, piece: bytes) -> None:
        """Hand over a piece; waits while too many wait already."""
        if self._error is not None:
            raise self._error
        self._waiting.put(piece)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dropping = error is not None
        self._waiting.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (piece := self._waiting.get()) is not None:
            if self._dropping or self._error is not None:
                continue
            try:
                self._work(piece)
            except Exception as error:  # noqa: BLE001 - raised in the thread that gives
                self._error = error
