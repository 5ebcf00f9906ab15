"""Keeps the messages that are worked on hidden from other workers, as long as SQS allows that."""

from __future__ import annotations

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
        self._visibility = visibility.total_seconds()
        self._tell = tell
        self._received_at = time.monotonic()
        #: The messages are deleted or given back.
        self.is_over = False
        #: Why the messages may be received by somebody else; empty while they are surely ours.
        self.lost = ""

    @property
    def interval(self) -> float:
        """Seconds between two beats."""
        return min(self._visibility / 3, _LONGEST)

    def left(self) -> float:
        """Seconds until SQS shows the messages again, whatever we do."""
        return LONGEST_HIDDEN.total_seconds() - _SPARE - (time.monotonic() - self._received_at)

    def beat(self) -> None:
        """Hide them for the visibility from now on, or for what is left of SQS's twelve hours."""
        seconds = min(self._visibility, self.left())
        if seconds < 1 or self.is_over:
            return
        try:
            self._sqs.hide(self._messages, lambda _: seconds, patience=min(self.interval / 2, _PATIENCE))
        except CallFailed as error:
            if self._is_settled():
                return
            if error.is_passing:
                self._tell(f"the message could not be hidden anew, which is tried again: {error}")
            else:
                self.lost = f"SQS does not hide the message any longer, so that others may receive it: {error}"
                self._tell(self.lost)

    def _is_settled(self) -> bool:
        """Nothing is to be said of a beat that failed: the messages have been dealt with meanwhile, or it was said."""
        return self.is_over or bool(self.lost)
