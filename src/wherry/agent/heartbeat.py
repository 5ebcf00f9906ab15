"""Keeps the messages that a worker has hidden from other workers, as long as SQS allows that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from wherry.agent.client import CallFailed
from wherry.agent.services import Message, Sqs
from wherry.agent.settings import LONGEST_HIDDEN

#: Never longer than this between two beats, in seconds; none is tried again for longer than that.
_LONGEST = 300.0
_PATIENCE = 20.0
#: What SQS may be slower than we are, in seconds.
_SPARE = 5.0


class Heartbeat:
    """Hides messages anew every third of their visibility; `beat` is for a thread of its own."""

    def __init__(
        self, sqs: Sqs, messages: Sequence[Message], visibility: timedelta, tell: Callable[[str], None]
    ) -> None:
        self._sqs = sqs
        self._messages = messages
        #: The ids of those that are deleted or given back.
        self._done: set[str] = set()
        self._visibility = visibility.total_seconds()
        self._tell = tell
        self._received_at = time.monotonic()
        self._beating = threading.Lock()
        #: SQS has said that somebody else may receive them, and that was told.
        self._is_lost = False

    @property
    def interval(self) -> float:
        """Seconds between two beats."""
        return min(self._visibility / 3, _LONGEST)

    def age(self) -> float:
        """Seconds since the messages were received."""
        return time.monotonic() - self._received_at

    def left(self) -> float:
        """Seconds until SQS shows the messages again, whatever we do."""
        return LONGEST_HIDDEN.total_seconds() - _SPARE - self.age()

    def beat(self) -> None:
        """Hide them for the visibility from now on, or for what is left of SQS's twelve hours."""
        with self._beating:
            seconds, done = min(self._visibility, self.left()), len(self._done)
            held = [each for each in self._messages if each["MessageId"] not in self._done]
            if seconds < 1 or not held:
                return
            try:
                self._sqs.hide(held, lambda _: seconds, patience=min(self.interval / 2, _PATIENCE))
            except CallFailed as error:
                # of messages that have been dealt with meanwhile there is nothing to say
                if done == len(self._done) and not self._is_lost:
                    self._say(error)

    def let_go(self, messages: Sequence[Message], *, patience: float) -> None:
        """Hide these no longer. A beat under way is waited for so long: SQS keeps the last word."""
        self._done.update(each["MessageId"] for each in messages)
        if self._beating.acquire(timeout=patience):
            self._beating.release()

    def _say(self, error: CallFailed) -> None:
        if error.is_passing:
            self._tell(f"the message could not be hidden anew, which is tried again: {error}")
        else:
            self._is_lost = True
            self._tell(f"SQS does not hide the message any longer, so that others may receive it: {error}")
