"""What becomes of a run: pure decisions over values, the same for every environment.

::

    queued -> starting -> running -> succeeded | failed | timed_out | stopped
       ^                     |
       └── due later ────────┘   while the retry policy allows another attempt
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wherry.model import Attempt, Ending, Outcome, Retry, Status


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a run becomes after an attempt."""

    status: Status
    #: When the next attempt is due; None unless the status is `queued`.
    due_at: datetime | None = None
    #: In one line, for people; empty for a plain success.
    reason: str = ""


def after_attempt(
    attempts: Sequence[Attempt], outcome: Outcome, retry: Retry, *, now: datetime, chance: float
) -> Decision:
    """Decide what a run becomes when its last attempt ended with `outcome`.

    `attempts` are all attempts so far, the ended one included; `chance` is a random number from 0 to 1 for the jitter.
    """
    if outcome.succeeded:
        return Decision(status=Status.SUCCEEDED)
    if outcome.ending is Ending.STOPPED:
        return Decision(status=Status.STOPPED, reason=describe(outcome))
    used = sum(1 for attempt in attempts if not could_not_start(attempt.outcome))
    if is_worth_retrying(outcome, retry) and used < retry.attempts:
        return Decision(
            status=Status.QUEUED,
            due_at=now + delay(retry, used, chance),
            reason=f"attempt {len(attempts)}: {describe(outcome)}",
        )
    status = Status.TIMED_OUT if outcome.ending is Ending.TIMED_OUT else Status.FAILED
    return Decision(status=status, reason=describe(outcome))


def is_worth_retrying(outcome: Outcome, retry: Retry) -> bool:
    """True when another attempt might end differently.

    What could not be started here (no such program, no such value in the event) will not start a second time either.
    """
    if outcome.ending is Ending.COULD_NOT_START:
        return False
    if outcome.ending is Ending.EXITED and retry.exit_codes is not None:
        return outcome.exit_code in retry.exit_codes
    return True


def delay(retry: Retry, attempts_used: int, chance: float) -> timedelta:
    """The wait before the next attempt: exponential, capped, shortened by up to `retry.jitter` of itself.

    Counted in seconds and capped at each step, so that no factor can overflow.
    """
    cap = retry.cap.total_seconds()
    wait = min(retry.backoff.total_seconds(), cap)
    for _ in range(attempts_used - 1):
        wait = min(wait * retry.factor, cap)
    return timedelta(seconds=wait * (1 - retry.jitter * chance))


def could_not_start(outcome: Outcome | None) -> bool:
    """True for the outcome of an attempt in which the job itself never ran."""
    return outcome is not None and outcome.ending is Ending.COULD_NOT_START


def describe(outcome: Outcome) -> str:
    """The outcome in one line, for people."""
    match outcome.ending:
        case Ending.EXITED:
            text = f"exit code {outcome.exit_code}"
        case Ending.TIMED_OUT:
            text = "timed out"
        case Ending.OUT_OF_MEMORY:
            text = "out of memory"
        case Ending.COULD_NOT_START:
            text = "could not start"
        case ending:
            text = ending.value
    return f"{text}: {outcome.reason}" if outcome.reason else text


def duration(length: timedelta | None) -> str:
    """`1h30m`, `10s`, `0.25s`: a length of time as the job file writes it."""
    if length is None:
        return "none"
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds:g}s"
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count)
