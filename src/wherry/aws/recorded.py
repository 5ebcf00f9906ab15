"""Runs of messages, as the workers have written them down (`wherry.agent.records`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from wherry import messages
from wherry.agent import records
from wherry.aws.outcomes import moment
from wherry.model import Attempt, Ending, Event, Outcome, Run, Status

#: A worker that has not said how its attempt ended is gone, when its message is worked on by another one.
_LOST = Outcome(ending=Ending.LOST, reason="its worker was gone before it could say how it ended")


class Place(NamedTuple):
    """Where the lines of one attempt stand, among those of other runs of the same task."""

    group: str
    stream: str
    run_id: str
    number: int
    began_at: datetime
    ended_at: datetime | None

    @property
    def begin(self) -> str:
        """What the line begins with that the worker writes before the command's first one."""
        return f"wherry: run {self.run_id} attempt {self.number} begins: "

    @property
    def end(self) -> str:
        """... and after its last one."""
        return f"wherry: run {self.run_id} attempt {self.number} ends: "


def run_of(record: Mapping[str, Any]) -> Run:
    """The run of a record; raises KeyError and ValueError for what is none."""
    written = sorted(record.get("attempts") or (), key=lambda each: int(each["number"]))
    status = Status(record["status"])
    attempts = tuple(_attempt(each, is_last=each is written[-1]) for each in written)
    created_at = _time(record["created"])
    event = record.get("event")
    if not event:
        event = {"id": record["run"], "source": messages.SOURCE, "detail-type": messages.ONE, "detail": {}}
    return Run(
        id=str(record["run"]),
        job=str(record["job"]),
        trigger="queue",
        cause=messages.cause_of(str(record["queue"]), str(record["messages"][0]["id"])),
        event=Event(document=event),
        status=status,
        created_at=created_at,
        due_at=_time(record.get("due") or record["created"]),
        command=tuple(record.get("command") or ()),
        env=dict(record.get("env") or {}),
        attempts=attempts,
        asked_at=created_at,
        earlier_attempts=int(record.get("earlier") or 0),
        ended_at=_time(record["ended"]) if record.get("ended") else None,
        reason=str(record.get("reason") or ""),
    )


def places_of(record: Mapping[str, Any]) -> dict[int, Place]:
    """Attempt -> where its log is, of those of which that is known."""
    found = {}
    for each in record.get("attempts") or ():
        if each.get("group") and each.get("stream"):
            number = int(each["number"])
            ended_at = _time(each["ended"]) if each.get("ended") else None
            began_at = _time(each["started"])
            found[number] = Place(each["group"], each["stream"], str(record["run"]), number, began_at, ended_at)
    return found


def unrecorded(job: str, queue: str, message: Mapping[str, Any]) -> Run:
    """The run of a dead letter of which no worker has left a word: as much as the message tells."""
    known = records.known_of(job, queue, message)
    sent_at = moment(known.sent) or datetime.fromtimestamp(0, UTC)
    document = messages.event_of([message], queue=queue, now=sent_at)
    return Run(
        id=known.run_id,
        job=job,
        trigger="queue",
        cause=messages.cause_of(queue, str(message["MessageId"])),
        event=Event(document=document),
        status=Status.FAILED,
        created_at=sent_at,
        due_at=sent_at,
        asked_at=sent_at,
        ended_at=sent_at,
        reason="its message was received too often, and no worker has left a word why: were they killed?",
    )


def _attempt(written: Mapping[str, Any], *, is_last: bool) -> Attempt:
    outcome = None
    if written.get("ending"):
        outcome = Outcome(
            ending=Ending(written["ending"]),
            exit_code=written.get("code"),
            reason=str(written.get("reason") or ""),
            passing=bool(written.get("passing")),
        )
    elif not is_last:
        outcome = _LOST
    return Attempt(
        number=int(written["number"]),
        started_at=_time(written["started"]),
        ended_at=_time(written["ended"]) if written.get("ended") else None,
        outcome=outcome,
        process=str(written.get("task") or ""),
        peak_memory=written.get("peak"),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
