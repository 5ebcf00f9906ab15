"""The events that wherry makes: of schedules, calls, workers, its runs (for `after`, alerts), of what was missed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wherry.model import (
    LOCAL_ACCOUNT,
    LOCAL_REGION,
    AfterTrigger,
    Event,
    Run,
    ScheduleTrigger,
    Status,
    iso_seconds,
    new_event,
)

SOURCE = "wherry"
STATE_CHANGE = "Wherry Run State Change"
MISSED = "Wherry Run Missed"
INVOCATION = "Invocation"
WORKER = "Wherry Queue Worker"
#: The fields of an event that are text.
_TEXTS = ("version", "id", "detail-type", "source", "account", "time", "region")

#: `when` of an `after` trigger -> how the run before must have ended. A skipped run has not run, so nothing follows it.
_ENDS: Mapping[str, Sequence[Status]] = {
    "success": (Status.SUCCEEDED,),
    "failure": (Status.FAILED, Status.TIMED_OUT),
    "any": (Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.STOPPED),
}


def firing(job: str, trigger: ScheduleTrigger, start: datetime, end: datetime) -> Event:
    """The event of a firing at `end`: EventBridge's "Scheduled Event", with what it covers in its detail."""
    moment = iso_seconds(end)
    detail = {
        "schedule": trigger.expression,
        "scheduled-time": moment,
        "interval": {"start": iso_seconds(start), "end": moment},
    }
    return new_event(
        "aws.events",
        "Scheduled Event",
        detail,
        now=end,
        event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job} {trigger.label} {moment}")),
        resources=[f"arn:aws:events:{LOCAL_REGION}:{LOCAL_ACCOUNT}:rule/{job}"],
    )


def invocation(payload: Any, *, request_id: str, resource: str, region: str, now: datetime) -> Event:
    """The event of a call of a job's function: its detail is the payload, or the payload is (a part of) an event.

    `aws/function.py` does the same on AWS. Raises ValueError telling the caller what is wrong with the payload.
    """
    given = {} if payload is None else payload
    if not isinstance(given, dict):
        raise ValueError("the payload must be a JSON object")  # noqa: TRY004 - its text is for the caller
    if not given.keys() & {"source", "detail-type", "detail"}:
        given = {"detail": given}
    whole = new_event(SOURCE, INVOCATION, {}, now=now, event_id=request_id, resources=[resource], region=region)
    document = {**whole.document, **given}
    if not isinstance(document["detail"], dict):
        raise ValueError("`detail` of an event must be a JSON object")  # noqa: TRY004
    for field in _TEXTS:
        if not isinstance(document[field], str) or not document[field]:
            raise ValueError(f"`{field}` of an event must be text")
    return Event(document=document)


def state_change(run: Run, *, now: datetime) -> Event:
    """A run has become what it now is. The detail has the run's own event, and the chain of jobs that led here."""
    last = run.attempts[-1] if run.attempts else None
    outcome = last.outcome if last else None
    detail = {
        "run-id": run.id,
        "job": run.job,
        "status": run.status.value,
        "reason": run.reason,
        "trigger": run.trigger,
        "cause": run.cause,
        "attempts": len(run.attempts),
        "exit-code": outcome.exit_code if outcome else None,
        "created-at": iso_seconds(run.created_at),
        "started-at": iso_seconds(run.attempts[0].started_at) if run.attempts else None,
        "ended-at": iso_seconds(run.ended_at) if run.ended_at else None,
        "chain": [*chain_of(run.event), run.job],
        "event": run.event.document,
    }
    # A round that ends without an attempt is told apart by when it was asked for.
    name = f"{run.id} {run.status} {len(run.attempts)} {run.asked_at.isoformat()}"
    return new_event(SOURCE, STATE_CHANGE, detail, now=now, event_id=_id(name))


def worker(queue: str, *, now: datetime) -> Event:
    """A worker that polls a queue by itself begins, because messages wait in it or because some are always there."""
    return new_event(SOURCE, WORKER, {"queue": queue}, now=now)


def missed(job: str, trigger: str, fires_at: datetime, reason: str, *, now: datetime) -> Event:
    """A firing that should have become a started run, and did not."""
    detail = {"job": job, "trigger": trigger, "scheduled-time": iso_seconds(fires_at), "reason": reason}
    return new_event(SOURCE, MISSED, detail, now=now, event_id=_id(f"{job} {trigger} {iso_seconds(fires_at)}"))


def chain_of(event: Event) -> list[str]:
    """The jobs whose runs led to this event, the first one first; empty for what comes from outside.

    A job is never started by what a run of its own has led to: patterns may draw circles, runs do not go round.
    """
    if event.source != SOURCE:
        return []
    chain = event.detail.get("chain")
    return [str(job) for job in chain] if isinstance(chain, list) else []


def after_pattern(trigger: AfterTrigger) -> dict[str, Any]:
    """The event pattern of an `after` trigger."""
    statuses = [status.value for status in _ENDS[trigger.when]]
    return {"source": [SOURCE], "detail-type": [STATE_CHANGE], "detail": {"job": [trigger.job], "status": statuses}}


def _id(name: str) -> str:
    """The same thing said again has the same id."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"wherry:{name}"))
