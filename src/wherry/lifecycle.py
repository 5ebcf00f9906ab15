"""What becomes of a run: pure decisions over values, the same for every environment.

::

    queued -> starting -> running -> succeeded | failed | timed_out | stopped
       ^                     |
       └── due later ────────┘   while the retry policy allows another attempt
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wherry import messages
from wherry.model import Attempt, Ending, Job, Outcome, QueueTrigger, Retry, Status

#: What is said of a run whose message is deleted though it has failed.
DROPPED = "its message is dropped (`exit_codes: drop`)"

#: The budget of attempts that could not start for a reason that may pass: the job's own `retry` is not touched by them.
START_BUDGET = Retry(attempts=10, backoff=timedelta(seconds=1), cap=timedelta(minutes=1), jitter=0.5)

#: The rest of workers that cannot start, or do not last: between one and the next.
REST = Retry(backoff=timedelta(seconds=1), cap=timedelta(minutes=5))


class Fate(enum.Enum):
    """What becomes of the messages that a run works on."""

    #: The run goes on with them.
    HELD = enum.auto()
    DELETED = enum.auto()
    #: They go to the dead letters, and the run is one.
    BURIED = enum.auto()
    #: They wait again, for whoever takes them.
    GIVEN_BACK = enum.auto()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a run becomes after an attempt."""

    status: Status
    #: None for a run that works on no message.
    fate: Fate | None = None
    #: When the next attempt is due; None unless the status is `queued`.
    due_at: datetime | None = None
    #: In one line, for people; empty for a plain success.
    reason: str = ""

    @property
    def buries(self) -> bool:
        """True when its messages go to the dead letters."""
        return self.fate is Fate.BURIED


def after_attempt(
    attempts: Sequence[Attempt],
    outcome: Outcome,
    retry: Retry,
    *,
    now: datetime,
    chance: float,
    deadline_at: datetime | None = None,
) -> Decision:
    """Decide what a run becomes when its last attempt ended with `outcome`.

    `attempts` are those of the present round, the ended one included; `chance` is a random number from 0 to 1 for the
    jitter. There are two budgets: `retry` for the job's own failures, `START_BUDGET` for what could not start.
    """
    if outcome.succeeded:
        return Decision(status=Status.SUCCEEDED, reason=outcome.reason if outcome.ending is Ending.DISMISSED else "")
    if outcome.ending is Ending.STOPPED:
        return Decision(status=Status.STOPPED, reason=outcome.reason)
    if outcome.ending is Ending.TIMED_OUT:
        ended = Decision(status=Status.TIMED_OUT, reason=outcome.reason)
    else:
        ended = Decision(status=Status.FAILED, reason=describe(outcome))
    unstarted = could_not_start(outcome)
    budget = START_BUDGET if unstarted else retry
    used = sum(1 for attempt in attempts if could_not_start(attempt.outcome) is unstarted)
    if not is_worth_retrying(outcome, retry) or used >= budget.attempts:
        return ended
    due_at = now + delay(budget, used, chance)
    if deadline_at is not None and due_at >= deadline_at:
        return Decision(status=ended.status, reason=f"{ended.reason}; the deadline leaves no time for another attempt")
    number = attempts[-1].number if attempts else 1
    return Decision(status=Status.QUEUED, due_at=due_at, reason=f"attempt {number}: {describe(outcome)}")


def after_message(
    attempts: Sequence[Attempt],
    outcome: Outcome,
    trigger: QueueTrigger,
    *,
    max_receives: int,
    retry: Retry,
    now: datetime,
    chance: float,
    deadline_at: datetime | None = None,
) -> Decision:
    """Decide what becomes of a run that works on messages, and of these.

    The arguments are those of `after_attempt`. How often a message is tried is the queue's affair (`max_receives`): of
    the job's `retry` the waits alone count. What could not start is no verdict about the message, unless its event
    lacks what the job asks for: it is held until it can. Nor is a lost attempt (the engine ended, the power failed):
    these have the `START_BUDGET`. Exit codes of the trigger's may say that the message is for nobody (`drop`: deleted,
    no dead letter) or for another try at once (`give_back`), which is a receive like any other: so it is in SQS, and so
    a job that always gives back comes to an end.
    """
    if could_not_start(outcome) and not outcome.unfit:
        unstarted = sum(could_not_start(attempt.outcome) for attempt in attempts)
        # Later than the rest of its queue (`REST`) ends: another message may show that it was this one's fault.
        due_at = now + 2 * delay(REST, unstarted, chance=0)
        reason = f"attempt {attempts[-1].number}: {describe(outcome)}"
        return Decision(status=Status.QUEUED, fate=Fate.HELD, due_at=due_at, reason=reason)
    code = outcome.exit_code if outcome.ending is Ending.EXITED else None
    if code in trigger.drop:
        reason = f"{describe(outcome)}: {DROPPED}"
        return Decision(status=Status.FAILED, fate=Fate.DELETED, reason=reason)
    at_once = code in trigger.give_back
    policy = Retry(
        attempts=max_receives,
        backoff=timedelta(0) if at_once else retry.backoff or messages.BACKOFF,
        factor=retry.factor,
        cap=min(retry.cap, messages.LONGEST_BACKOFF),
        jitter=retry.jitter,
    )
    attempts = [each for each in attempts if is_lost(each.outcome) is is_lost(outcome)]
    policy = START_BUDGET if is_lost(outcome) else policy
    decision = after_attempt(attempts, outcome, policy, now=now, chance=chance, deadline_at=deadline_at)
    fates = {Status.SUCCEEDED: Fate.DELETED, Status.QUEUED: Fate.HELD}
    return dataclasses.replace(decision, fate=fates.get(decision.status, Fate.BURIED))


def is_worth_retrying(outcome: Outcome, retry: Retry) -> bool:
    """True when another attempt might end differently.

    What could not be started (no such program, no such value in the event) will not start a second time either, unless
    its cause may pass by itself.
    """
    if outcome.ending is Ending.COULD_NOT_START:
        return outcome.passing
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


def is_lost(outcome: Outcome | None) -> bool:
    """True for the outcome of an attempt that came to no end of its own: nobody knows how it would have ended."""
    return outcome is not None and outcome.ending is Ending.LOST


def is_receive(outcome: Outcome | None) -> bool:
    """True for an end of an attempt that counts among the `max_receives` of its messages."""
    return not could_not_start(outcome) and not is_lost(outcome)


# ------------------------------------------------------------------------------------------------- overlap and limits


class Admission(enum.Enum):
    """Whether a run may begin beside the others of its job."""

    GO = enum.auto()
    WAIT = enum.auto()
    SKIP = enum.auto()


def limit_of(job: Job) -> int | None:
    """How many runs of a job may be active at once: `concurrency`, else one unless they may overlap; None: any."""
    if job.concurrency is not None:
        return job.concurrency
    return None if job.overlap == "allow" else 1


def admit(job: Job, *, active: int, patient: bool = False) -> Admission:
    """Decide about a run that has not begun, while `active` others of the job have begun and not ended.

    Between two attempts a run is active. A `patient` run (an interval of a backfill) waits where others are skipped.
    """
    limit = limit_of(job)
    if limit is None or active < limit:
        return Admission.GO
    return Admission.SKIP if job.overlap == "skip" and not patient else Admission.WAIT


def deadline_of(job: Job, asked_at: datetime) -> datetime | None:
    """When a run must have ended, queueing and all attempts included."""
    return None if job.deadline is None else asked_at + job.deadline


@dataclass(frozen=True, kw_only=True)
class Bound:
    """How long an attempt may take, and what the job file says about it."""

    length: timedelta
    said: str


def bound_of(job: Job, *, asked_at: datetime, started_at: datetime) -> Bound | None:
    """The bound of an attempt: its `timeout`, or what is left of the run's `deadline` when that is less."""
    deadline = deadline_of(job, asked_at)
    bound = None
    if job.timeout is not None:
        bound = Bound(length=job.timeout, said=f"timeout: {duration(job.timeout)}")
    if deadline is not None and (bound is None or started_at + bound.length > deadline):
        bound = Bound(length=max(timedelta(0), deadline - started_at), said=f"deadline: {duration(job.deadline)}")
    return bound


# ---------------------------------------------------------------------------------------------------------- schedules

#: A firing this late is still taken, whatever `catch_up` says.
FIRING_GRACE = timedelta(minutes=1)
#: A run that has not started so long after it was due is reported as missing.
START_GRACE = timedelta(minutes=5)


def catch_up(policy: str, due: Iterable[datetime], *, now: datetime) -> tuple[list[datetime], list[datetime]]:
    """Divide the firings that are due, oldest first, into those to fire and those that are missed.

    `none` takes what is at most `FIRING_GRACE` late, `latest` the last one however late, `all` everything.
    """
    firings = list(due)
    if policy == "all":
        return firings, []
    taken = [moment for moment in firings if now - moment <= FIRING_GRACE]
    if policy == "latest" and not taken:
        taken = firings[-1:]
    return taken, firings[: len(firings) - len(taken)]


# ------------------------------------------------------------------------------------------------------- in plain words


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
    whole, rest = divmod(length, timedelta(minutes=1))
    parts = [(whole // 1440, "d"), (whole // 60 % 24, "h"), (whole % 60, "m"), (rest.total_seconds(), "s")]
    return "".join(f"{count:.10g}{unit}" for count, unit in parts if count) or "0s"
