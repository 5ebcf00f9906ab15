"""How many workers a queue wants: pure, one rule here and on AWS.

The rule, for a queue with `waiting` messages that could be received now and `in_flight` ones that somebody works on:

1. **Out.** One worker for each `backlog` messages that wait (a part of it counts as one), beside the workers that are
   busy. So one comes from none at the first message, and while all are busy and something waits one more is wanted.
2. **Age.** When the oldest message that waits has waited for more than a minute, one more each minute, but never more
   workers than there are messages.
3. **In.** Workers above `min` go when nothing has waited and nothing has been in flight for `idle`, all at once. Until
   then none goes: a message that is being worked on is never a reason to have fewer workers.
4. Never fewer than `min`, never more than `max`, whatever the others say.

Busy are as many workers as there are messages in flight, and no more than there are workers: one that takes ten
messages with one receive is one, and what a dead worker had taken keeps nobody busy.

Whoever scales in lets each worker finish first; that is the scaler's part, not the rule's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from wherry.model import QueueTrigger

#: A message that waits longer than this is late; and by lateness no more than one worker is added in this time.
PATIENCE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a queue has to do, at one moment."""

    #: Messages that anybody could receive now.
    waiting: int
    #: Messages that were received and neither deleted nor given back.
    in_flight: int
    #: How long the oldest of those that wait has waited; None when none waits, or nobody knows.
    oldest: timedelta | None = None
    #: How long nothing has waited and nothing has been in flight; zero while something does.
    empty_for: timedelta = timedelta(0)

    @property
    def is_empty(self) -> bool:
        """Nothing waits, and nobody works."""
        return not (self.waiting or self.in_flight)


def wanted(load: Load, *, workers: int, steady_for: timedelta, trigger: QueueTrigger) -> int:
    """How many workers there should be now, where there are `workers`, those that are about to begin included.

    `steady_for` is how long ago one was added last. The result is within `trigger`'s `min` and `max`.
    """
    if load.is_empty:
        count = trigger.min_workers if load.empty_for >= trigger.idle else workers
    else:
        busy = min(load.in_flight, workers)
        count = max(workers, -(-load.waiting // trigger.backlog) + busy)
        is_late = load.oldest is not None and load.oldest > PATIENCE
        if is_late and steady_for >= PATIENCE:
            count = max(count, min(workers + 1, load.waiting + busy))
    return max(trigger.min_workers, min(count, trigger.max_workers))
