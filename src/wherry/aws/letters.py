"""What a message in the queue of dead letters says: which run failed, or what never became one. Pure.

Three kinds of messages come there. A run machine that ended badly: Step Functions' event about its execution. A
dispatcher that ended badly: the same, about what starts runs. And what EventBridge or Scheduler could not deliver to
the dispatcher: the event, or the schedule's input, with the error in message attributes (EventBridge User Guide, "Using
dead-letter queues to process undelivered events"; Scheduler User Guide, "Configuring a dead-letter queue").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from wherry import causes
from wherry.aws import triggers
from wherry.aws.names import Names, round_of
from wherry.aws.outcomes import loaded, moment
from wherry.messages import run_id_of
from wherry.model import (
    Event,
    InvokeTrigger,
    JobFile,
    QueueTrigger,
    Run,
    ScheduleTrigger,
    Status,
    iso_seconds,
    new_event,
)

_STATUS_CHANGE = "Step Functions Execution Status Change"
_PLACEHOLDER = "<aws."
_NO_TIME = datetime.fromtimestamp(0, UTC)


class _Message(NamedTuple):
    """A message, taken apart."""

    id: str
    text: str
    #: What is in it, where that is JSON.
    body: Mapping[str, Any]
    #: What who gave up says: RULE_ARN or SCHEDULE_ARN, ERROR_CODE, ERROR_MESSAGE ...
    about: Mapping[str, str]
    sent_at: datetime

    @property
    def detail(self) -> Mapping[str, Any]:
        found = self.body.get("detail")
        return found if isinstance(found, Mapping) else {}

    @property
    def machine(self) -> str:
        """The machine that an event of Step Functions speaks of; empty where it is another event, or undelivered."""
        is_theirs = self.body.get("detail-type") == _STATUS_CHANGE and "RULE_ARN" not in self.about
        return str(self.detail.get("stateMachineArn")).rpartition(":")[2] if is_theirs else ""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One message."""

    message_id: str
    #: What the queue wants to see before it deletes the message, or shows it again.
    receipt: str
    #: The run as the message tells it; of what never became a run: the one that it would have been.
    run: Run
    #: Which round of the run has failed; 0: there never was one.
    round_number: int
    #: What the dispatcher is to be given for it to become a run; empty for what was one, or cannot be known.
    delivery: Mapping[str, Any] = field(default_factory=dict)


class Reader:
    """Reads the messages of one environment."""

    def __init__(self, jobfile: JobFile, names: Names, ids: Mapping[str, str]) -> None:
        """`ids` are what logical ids of jobs begin with (`compile.logical_ids`)."""
        self._names = names
        self._jobs = {names.machine(job): job for job in jobfile.jobs}
        self._rules = dict(_rules(jobfile, names, ids))

    def read(self, message: Mapping[str, Any]) -> Letter:
        """The letter; of a message in a form that nobody knows, as much as can be said."""
        got = _taken_apart(message)
        receipt = str(message["ReceiptHandle"])
        if got.machine and got.machine != self._names.dispatcher:
            run_id, round_number = round_of(str(got.detail.get("name")))
            run = _failed(run_id, self._jobs.get(got.machine, got.machine), got.detail, got.sent_at)
            return Letter(message_id=got.id, receipt=receipt, run=run, round_number=round_number)
        delivery = self._delivery(got)
        run = _undelivered(delivery, got) or _unknown(got)
        is_known = delivery.get("job") == run.job and run.job in self._jobs.values()
        return Letter(
            message_id=got.id, receipt=receipt, run=run, round_number=0, delivery=delivery if is_known else {}
        )

    def _delivery(self, got: _Message) -> Mapping[str, Any]:
        """What the dispatcher was to get, or did get in vain; empty when that cannot be known."""
        if got.machine:
            return loaded(got.detail.get("input"))
        if "RULE_ARN" not in got.about:
            return _of_schedule(got)
        if "machine" in got.body:
            return got.body
        given = self._rules.get(got.about["RULE_ARN"].rpartition("/")[2])
        return {**given, "event": dict(got.body)} if given else {}


def _taken_apart(message: Mapping[str, Any]) -> _Message:
    attributes = message.get("MessageAttributes") or {}
    about = {name: str(given.get("StringValue")) for name, given in attributes.items()}
    sent_at = moment(int((message.get("Attributes") or {}).get("SentTimestamp", 0))) or _NO_TIME
    body = loaded(message.get("Body"))
    return _Message(str(message["MessageId"]), str(message.get("Body")), body, about, sent_at)


def _rules(jobfile: JobFile, names: Names, ids: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Rule -> what it gives the dispatcher beside the event: as the compiler writes it."""
    found = []
    for job in jobfile.jobs.values():
        for trigger in job.triggers:
            if not isinstance(trigger, ScheduleTrigger | InvokeTrigger | QueueTrigger):
                name = names.rule(triggers.logical_id(ids[job.name], trigger))
                found.append((name, {**triggers.told(job, trigger), "machine": names.machine_arn(job.name)}))
    return found


def _of_schedule(got: _Message) -> Mapping[str, Any]:
    """The input of a schedule; it may be wrapped in the call that was to be made."""
    given = next((loaded(got.body[name]) for name in ("Input", "input") if name in got.body), got.body)
    if "job" not in given or "label" not in given:
        return {}
    if str(given.get("scheduled-time", _PLACEHOLDER)).startswith(_PLACEHOLDER):
        return {**given, "scheduled-time": got.about.get("SCHEDULED_TIME", "")}
    return given


def _undelivered(delivery: Mapping[str, Any], got: _Message) -> Run | None:
    """The run that it would have been; None when too little of it is known."""
    job, trigger = str(delivery.get("job")), str(delivery.get("trigger"))
    document = delivery.get("event")
    if isinstance(document, Mapping) and "id" in document:
        event = Event(document=document)
        cause = causes.cause_of(event)
    elif trigger == ScheduleTrigger.kind and (fires_at := moment(delivery.get("scheduled-time"))):
        cause = f"{delivery.get('label')} {iso_seconds(fires_at)}"
        detail = {"schedule": delivery.get("schedule"), "scheduled-time": iso_seconds(fires_at)}
        event = new_event("aws.events", "Scheduled Event", detail, now=fires_at, event_id=run_id_of(job, cause))
    else:
        return None
    return _run(run_id_of(job, cause), job, trigger, cause, event, got.sent_at, _why(got))


def _unknown(got: _Message) -> Run:
    """What nobody can make anything of: it is shown, and can be taken off the list."""
    event = new_event("wherry", "Dead Letter", {"body": got.text}, now=got.sent_at, event_id=got.id)
    sender = got.about.get("RULE_ARN") or got.about.get("SCHEDULE_ARN") or got.machine or "unknown"
    return _run(got.id, sender.rpartition("/")[2], "unknown", "", event, got.sent_at, _why(got))


def _why(got: _Message) -> str:
    # EventBridge and Scheduler write them in one way, Lambda in another
    parts = [got.about.get(name) for name in ("ERROR_CODE", "ERROR_MESSAGE", "ErrorCode", "ErrorMessage")]
    parts += [str(got.detail.get(name) or "") for name in ("error", "cause")] if got.machine else []
    said = ": ".join(part for part in parts if part)
    return f"could not be delivered: {' '.join(said.split()) or 'AWS gives no reason'}"


def _failed(run_id: str, job: str, detail: Mapping[str, Any], sent_at: datetime) -> Run:
    """A run as the event about its end tells it."""
    given = loaded(detail.get("input"))
    document = given.get("event")
    event = Event(document=document) if isinstance(document, Mapping) and "id" in document else None
    cause = str(detail.get("cause") or "")
    reason = str(loaded(cause).get("reason") or cause or detail.get("error") or "")
    return _run(
        run_id,
        job,
        str(given.get("trigger") or "manual"),
        str(given.get("cause") or ""),
        event or new_event("wherry", "Manual Run", {}, now=sent_at, event_id=run_id),
        moment(detail.get("stopDate")) or sent_at,
        reason,
        created_at=moment(detail.get("startDate")),
        status=Status.TIMED_OUT if "TIMED_OUT" in str(detail.get("status")) else Status.FAILED,
    )


def _run(
    run_id: str,
    job: str,
    trigger: str,
    cause: str,
    event: Event,
    ended_at: datetime,
    reason: str,
    *,
    created_at: datetime | None = None,
    status: Status = Status.FAILED,
) -> Run:
    created_at = created_at or ended_at
    return Run(
        id=run_id,
        job=job,
        trigger=trigger,
        cause=cause,
        event=event,
        status=status,
        created_at=created_at,
        due_at=created_at,
        asked_at=created_at,
        ended_at=ended_at,
        reason=reason,
    )


def as_input(delivery: Mapping[str, Any]) -> str:
    """What the dispatcher is started with."""
    return json.dumps(delivery, ensure_ascii=False, separators=(",", ":"))
