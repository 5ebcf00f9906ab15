"""The worker's loop: receive, work, and what becomes of it when the task has to go.

A message is worked on at least once. It is deleted after its command has ended well and not before; whoever dies in
between leaves it hidden for its visibility at most, and then another worker receives it.

ECS does not stop a protected task for a deploy either, and a worker with a backlog is always protected. So one that has
been busy for a whole shift ends by itself, and ECS puts a task of the newest revision in its place.
"""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Mapping

from wherry import messages
from wherry.agent.client import CallFailed
from wherry.agent.command import Bell
from wherry.agent.credentials import Credentials
from wherry.agent.delivery import Delivery
from wherry.agent.ecs import Protection, whereabouts
from wherry.agent.job import Job
from wherry.agent.records import Records
from wherry.agent.repeating import Repeating
from wherry.agent.services import S3, Message, Sqs, domain_of, region_of
from wherry.agent.settings import Settings
from wherry.agent.telling import tell
from wherry.agent.tools import Tools
from wherry.agent.turn import Turn, delete

#: Seconds: one receive waits so long while the worker is idle, and so long while it is still protected.
_LONG_POLL, _SHORT_POLL = 20, 1
#: Seconds between two looks whether the protection is to be renewed, or to be asked for again.
_TOUCH = 20.0
#: Waits after a receive that failed, in seconds.
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
#: Rests after an attempt that could not start, in seconds; as in the engine, one mistake must not use up all messages.
_REST, _LONGEST_REST = 1.0, 300.0
#: Seconds in which ECS says where this task is; it is asked again before each message while it does not.
_FOR_PLACE = 5.0
#: A shift is at random between so much of its length and all of it: workers that began together do not end together.
_SHORTEST_SHIFT = 2 / 3


class Worker:
    """Works until SIGTERM, or until its shift is over."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], bell: Bell) -> None:
        credentials = Credentials(environment)
        s3 = S3(environment, credentials, domain=domain_of(settings.url, region_of(environment)))
        self._tools = Tools(
            settings=settings,
            bell=bell,
            sqs=Sqs(settings.url, environment, credentials),
            s3=s3,
            job=Job(settings, environment),
            records=Records(settings, s3, tell),
            place=whereabouts(environment, patience=_FOR_PLACE),
        )
        self._environment = environment
        self._protection = Protection(environment, tell)
        self._pause = _PAUSE
        self._rest = _REST
        self._shift = settings.shift.total_seconds() * random.uniform(_SHORTEST_SHIFT, 1)  # noqa: S311 - no secret
        #: When it was last idle.
        self._idle_at = time.monotonic()

    def serve(self) -> None:
        """Receive and work, message by message."""
        settings, bell = self._tools.settings, self._tools.bell
        tell(f"job {settings.job} takes messages of queue {settings.queue}")
        while not bell.is_drained() and time.monotonic() < self._idle_at + self._shift:
            taken = self._receive()
            if not taken:
                self._protection.off()
                self._idle_at = time.monotonic()
            else:
                self._work(taken)
        why = "the task has to go" if bell.is_drained() else "it was busy all the time, and a fresh task comes"
        tell(f"{why}: nothing more is taken")
        self._protection.off()

    def _work(self, taken: list[Message]) -> None:
        """Deal with what was received."""
        if not self._tools.place:
            self._tools = self._tools._replace(place=whereabouts(self._environment, patience=0))
        for turn in Delivery(self._tools, taken).turns():
            self._protection.keep()
            with Repeating(self._protection.keep, interval=_TOUCH):
                try:
                    turn.go()
                except Exception:  # noqa: BLE001 - told; a message must not take the worker, and others, with it
                    turn.give_up(f"this is a bug in wherry:\n{traceback.format_exc()}")
            self._rest_after(turn)

    def _rest_after(self, turn: Turn) -> None:
        """Take nothing for a while when the attempt could not start; a task that rests may be stopped."""
        if not turn.has_stumbled:
            self._rest = _REST
            return
        tell(f"what cannot start is no message's fault: nothing is taken for {self._rest:g} s")
        self._protection.off()
        until = time.monotonic() + self._rest
        while not self._tools.bell.is_drained() and (left := until - time.monotonic()) > 0:
            self._tools.bell.wait(left)
        self._rest = min(2 * self._rest, _LONGEST_REST)
        self._idle_at = time.monotonic()

    def _receive(self) -> list[Message]:
        """What there is, without the messages that S3 sends to try the queue out."""
        settings, sqs = self._tools.settings, self._tools.sqs
        # after one that could not start a single one is tried
        most = settings.batch if self._rest == _REST else 1
        wait = _SHORT_POLL if self._protection.is_on else _LONG_POLL
        try:
            found = sqs.receive(most, visibility=settings.visibility.total_seconds(), wait=wait, patience=0)
        except CallFailed as error:
            tell(f"nothing can be received, which is tried again: {error}")
            self._tools.bell.wait(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return []
        self._pause = _PAUSE
        tests = [each for each in found if messages.is_test(each["Body"])]
        if tests:
            delete(sqs, tests)
        return [each for each in found if each not in tests]
