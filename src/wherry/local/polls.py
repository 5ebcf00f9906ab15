"""Long polls: receivers that wait for messages, and what ends their waiting."""

from __future__ import annotations

import threading
import time
from collections import deque

#: Another process may send without waking us, if no engine runs: a poll looks by itself so often, in seconds.
LOOK_EVERY = 1.0


class Poll:
    """One waiting receiver."""

    def __init__(self, queue: str, receiver: str) -> None:
        self.queue = queue
        self.receiver = receiver
        self.woken = threading.Event()


class Polls:
    """All waiting receivers of this process; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Poll]] = {}
        self._refused: set[str] = set()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Nobody may wait any more."""
        return self._ended

    def is_refused(self, receiver: str) -> bool:
        """The receiver gets no messages."""
        return bool(receiver) and receiver in self._refused

    def begin(self, queue: str, receiver: str) -> Poll:
        """Somebody is about to wait: from now on an arrival wakes it."""
        poll = Poll(queue, receiver)
        with self._lock:
            self._waiting.setdefault(queue, deque()).append(poll)
        return poll

    def wait(self, poll: Poll, until: float, due: float | None) -> bool:
        """Wait for an arrival, for `due` or for the next look; False when `until` (monotonic) has come, or the end."""
        now = time.monotonic()
        if self._ended or now >= until:
            return False
        waits = [until - now, LOOK_EVERY] if due is None else [until - now, LOOK_EVERY, max(due, 0.0)]
        if poll.woken.wait(min(waits)):
            poll.woken.clear()
            with self._lock:  # it waits again, behind the others
                if poll not in self._waiting[poll.queue]:
                    self._waiting[poll.queue].append(poll)
        return not self._ended

    def finish(self, poll: Poll) -> None:
        """It waits no more. A wake-up that it has not used is another one's."""
        with self._lock:
            waiting = self._waiting[poll.queue]
            if poll in waiting:
                waiting.remove(poll)
            elif poll.woken.is_set() and waiting:
                waiting.popleft().woken.set()

    def wake(self, queue: str, messages: int) -> None:
        """Messages have arrived: wake as many receivers, those first that have waited longest."""
        with self._lock:
            waiting = self._waiting.get(queue)
            while waiting and messages > 0:
                poll = waiting.popleft()
                poll.woken.set()
                messages -= not self.is_refused(poll.receiver)

    def wake_all(self) -> None:
        """Everybody looks again."""
        with self._lock:
            for waiting in self._waiting.values():
                while waiting:
                    waiting.popleft().woken.set()

    def refuse(self, receiver: str) -> None:
        """The receiver gets no more messages."""
        self._refused.add(receiver)
        self.wake_all()

    def welcome(self, receiver: str) -> None:
        """The receiver gets messages again."""
        self._refused.discard(receiver)
        self.wake_all()

    def end(self) -> None:
        """Every poll ends now."""
        self._ended = True
        self.wake_all()

    def reopen(self) -> None:
        """Polls may wait again."""
        self._ended = False
