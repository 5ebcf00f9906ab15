"""A bell by which other threads wake one that waits in `epoll`."""

from __future__ import annotations

import contextlib
import os
import threading


class Bell:
    """An eventfd: readable once it was rung. It may be rung by any thread and signal handler, also after its end.

    A descriptor's number is given to somebody else as soon as it is closed: who rings late must not write there.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # reentrant: a signal handler may ring while its own thread does
        self._lock = threading.RLock()

    def fileno(self) -> int:
        """The descriptor, -1 after the end."""
        return -1 if self._descriptor is None else self._descriptor

    def ring(self) -> None:
        """Make the descriptor readable; nothing happens after the end."""
        with self._lock:
            if self._descriptor is not None:
                os.eventfd_write(self._descriptor, 1)

    def hush(self) -> None:
        """It was heard."""
        if self._descriptor is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Nobody hears it any more."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)
