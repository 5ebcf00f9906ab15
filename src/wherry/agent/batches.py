"""Which of the messages that one receive gave are worked on together, and which of them is next. Pure.

SQS mixes messages anew at each receive. So those alone are a batch that come for the first time: one run, which most
often succeeds and is over. Whatever comes again is worked on singly, as the run that its own message is, with attempts
and a dead letter of its own; else good messages would fail, and die, with bad ones that they happen to meet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone

from wherry.agent.records import known_of, receives_of
from wherry.agent.services import Message
from wherry.agent.settings import Settings


def next_turn(
    waiting: Sequence[Message], settings: Settings, *, now: datetime, apart: Collection[str] = ()
) -> list[Message]:
    """What is worked on next of those that wait: all that may be a batch, else the first one.

    `apart`: the ids of those that are to be alone. In a FIFO queue none overtakes another one of its group.
    """
    batch, held_up = [], set()
    for message in waiting:
        group = group_of(message, settings)
        if group not in held_up and message["MessageId"] not in apart and _is_fresh(message, settings, now):
            batch.append(message)
        elif group is not None:
            held_up.add(group)
    return batch or list(waiting[:1])


def group_of(message: Message, settings: Settings) -> str | None:
    """The group within which messages keep their order; None in a queue that keeps none."""
    return str(message["Attributes"]["MessageGroupId"]) if settings.url.endswith(".fifo") else None


def deadline_left(message: Message, settings: Settings, now: datetime) -> float:
    """Seconds that are left of a run's deadline, which counts from when its message was first received."""
    if settings.deadline is None:
        return float("inf")
    first = int(message["Attributes"]["ApproximateFirstReceiveTimestamp"]) / 1000
    return first + settings.deadline.total_seconds() - now.astimezone(timezone.utc).timestamp()


def _is_fresh(message: Message, settings: Settings, now: datetime) -> bool:
    """Nobody has worked on it, and nothing speaks against doing so."""
    is_again = known_of(settings.job, settings.queue, message).is_again
    return receives_of(message) == 1 and not is_again and deadline_left(message, settings, now) > 0
