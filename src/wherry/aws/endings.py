"""How a run ended, by the last event of its execution's history. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wherry import lifecycle
from wherry.aws.outcomes import loaded, moment
from wherry.model import Ending, Outcome, Status

#: What a run machine fails with.
_ERRORS = {"Failed": Status.FAILED, "TimedOut": Status.TIMED_OUT, "Stopped": Status.STOPPED}
STOPPED = "stopped on request"


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of a run."""

    status: Status
    reason: str
    at: datetime
    #: How an attempt ended that was under way just then.
    of_open_attempt: Outcome


def of(
    event: Mapping[str, Any] | None, outcomes: Sequence[Outcome | None], deadline: timedelta | None = None
) -> End | None:
    """The end that an event means, None for none.

    `outcomes` are those of the attempts of its round, `deadline` is the job's: nothing else bounds an execution.
    """
    if event is None:
        return None
    at = moment(event["timestamp"])
    if at is None:
        raise ValueError(f"an event without a time: {event}")
    kind = str(event["type"])
    details = event.get(f"{kind[0].lower()}{kind[1:]}EventDetails") or {}
    error, cause = str(details.get("error") or ""), str(details.get("cause") or "")
    if kind == "ExecutionSucceeded":
        return _success(loaded(details.get("output")), at)
    if kind == "ExecutionAborted":
        said = STOPPED if outcomes else f"{STOPPED} before it started"
        reason = said if cause in ("", STOPPED) else cause
        stopped = Outcome(ending=Ending.STOPPED, reason=reason)
        return End(status=Status.STOPPED, reason=reason, at=at, of_open_attempt=stopped)
    if kind == "ExecutionTimedOut":
        reason = cause or _too_late(outcomes, deadline)
        return End(
            status=Status.TIMED_OUT,
            reason=reason,
            at=at,
            of_open_attempt=Outcome(ending=Ending.TIMED_OUT, reason=reason),
        )
    return _failure(error, cause, at, outcomes)


def _too_late(outcomes: Sequence[Outcome | None], deadline: timedelta | None) -> str:
    said = f"deadline: {lifecycle.duration(deadline)}" if deadline else "deadline"
    is_under_way = bool(outcomes) and outcomes[-1] is None
    return f"it ran longer than `{said}`" if is_under_way else f"`{said}` passed while it waited"


def _success(output: Mapping[str, Any], at: datetime) -> End:
    status = Status.SKIPPED if output.get("status") == "skipped" else Status.SUCCEEDED
    reason = str(output.get("reason") or "") if status is Status.SKIPPED else ""
    return End(status=status, reason=reason, at=at, of_open_attempt=Outcome(ending=Ending.EXITED, exit_code=0))


def _failure(error: str, cause: str, at: datetime, outcomes: Sequence[Outcome | None]) -> End:
    said = loaded(cause)
    status = _ERRORS.get(error, Status.FAILED)
    text = str(said.get("reason") or "") if said else cause
    last = outcomes[-1] if outcomes else None
    reason = _reason(status, text, last) if error in _ERRORS else " ".join(text.split())
    return End(
        status=status,
        reason=reason or error,
        at=at,
        of_open_attempt=Outcome(ending=Ending.LOST, reason=reason or error),
    )


def _reason(status: Status, text: str, last: Outcome | None) -> str:
    """In the words that are used here; what only the machine knows is taken from what it says."""
    if last is None:
        return text
    if status is Status.FAILED and not last.succeeded:
        tail = text[text.find("; the deadline") :] if "; the deadline" in text else ""
        return lifecycle.describe(last) + tail
    if status is Status.TIMED_OUT and last.ending is Ending.TIMED_OUT:
        return last.reason
    if status is Status.STOPPED and last.ending is Ending.STOPPED:
        return last.reason
    return text
