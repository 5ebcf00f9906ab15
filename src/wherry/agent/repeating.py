"""Something that is done again and again beside the main thread, until it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from wherry.agent.telling import tell

#: Seconds: who ends it does not wait longer for what is being done just then.
_COURTESY = 2.0


class Repeating:
    """Does something after `first` seconds and then every `interval` seconds, while the context is open.

    What it raises is told, and the next time comes all the same.
    """

    def __init__(self, act: Callable[[], None], *, interval: float, first: float | None = None) -> None:
        self._act = act
        self._interval = interval
        self._first = interval if first is None else first
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)

    def __enter__(self) -> Repeating:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_COURTESY)

    def _go(self) -> None:
        wait = self._first
        while not self._over.wait(wait):
            try:
                self._act()
            except Exception as error:  # noqa: BLE001 - messages must stay hidden, whatever is wrong with one beat
                tell(f"{type(error).__name__}, which is tried again: {error}")
            wait = self._interval
