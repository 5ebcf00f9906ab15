"""What one receive gave, until all of it is dealt with."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from wherry.agent.batches import group_of, next_turn
from wherry.agent.heartbeat import Heartbeat
from wherry.agent.repeating import Repeating
from wherry.agent.services import Message
from wherry.agent.settings import LONGEST_HIDDEN
from wherry.agent.telling import tell
from wherry.agent.tools import Tools
from wherry.agent.turn import Turn, hide, listed

#: Seconds between two looks whether the task has to go, and how long a beat under way is waited for then.
_LOOK, _COURTESY = 1.0, 2.0
#: Who has waited for so long of the time that SQS hides a message might have too little left.
_LONGEST_WAIT = LONGEST_HIDDEN.total_seconds() / 2


class Delivery:
    """Messages that are worked on in turns, one after the other; those that wait stay hidden from other workers."""

    def __init__(self, tools: Tools, taken: Sequence[Message]) -> None:
        self._tools = tools
        self._waiting = list(taken)
        #: The ids of those that could not be started together.
        self._apart: set[str] = set()
        self._beat = Heartbeat(tools.sqs, taken, tools.settings.visibility, tell)
        self._lock = threading.Lock()

    def turns(self) -> Iterator[Turn]:
        """The turns, for the caller to take."""
        with Repeating(self._beat.beat, interval=self._beat.interval), Repeating(self._look, interval=_LOOK):
            while taken := self._next():
                turn = Turn(self._tools, taken, self._beat)
                yield turn
                self._after(turn)

    def _next(self) -> list[Message]:
        with self._lock:
            if self._tools.bell.is_drained():
                self._give_back(self._waiting, "the task has to go")
            elif self._beat.age() > _LONGEST_WAIT:
                self._give_back(self._waiting, "SQS would not hide it for much longer")
            found = next_turn(self._waiting, self._tools.settings, now=datetime.now(timezone.utc), apart=self._apart)
            self._waiting = [each for each in self._waiting if each not in found]
            return found

    def _look(self) -> None:
        """Give back what waits as soon as the task has to go: the turn under way may take all the time there is."""
        with self._lock:
            if self._tools.bell.is_drained():
                self._give_back(self._waiting, "the task has to go")

    def _after(self, turn: Turn) -> None:
        with self._lock:
            if turn.is_apart:
                self._apart |= {each["MessageId"] for each in turn.taken}
                self._waiting = [*turn.taken, *self._waiting]
            groups = {group_of(each, self._tools.settings) for each in turn.returning} - {None}
            behind = [each for each in self._waiting if group_of(each, self._tools.settings) in groups]
            self._give_back(behind, "one before it in its group comes back")

    def _give_back(self, messages: Sequence[Message], why: str) -> None:
        if messages:
            tell(f"{listed(messages)} given back: {why}")
            self._waiting = [each for each in self._waiting if each not in messages]
            self._beat.let_go(messages, patience=_COURTESY)
            hide(self._tools.sqs, messages, lambda _: 0.0)
