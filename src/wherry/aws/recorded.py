"""Runs of messages, as the workers have written them down (`wherry.agent.records`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from wherry import messages
from wherry.agent import records
from wherry.aws.outcomes import moment
from wherry.model import Attempt, Ending, Event, Outcome, Run, Status

#: What is known of an attempt whose worker has not said how it ended.
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

    def stream_of(self, helper: str) -> str:
        """The stream of another container of the same task: `PREFIX/CONTAINER/TASK`."""
        prefix, _, task = self.stream.rsplit("/", 2)
        return f"{prefix}/{helper}/{task}"


def working(record: Mapping[str, Any]) -> str:
    """The task (ARN) that works on a run, as far as its record tells; empty when none does."""
    return str(record["attempts"][-1].get("task") or "") if record.get("status") == Status.RUNNING else ""


def run_of(record: Mapping[str, Any], *, is_gone: bool = False) -> Run:
    """The run of a record; `is_gone`: the task that worked on it has ended without a word.

    Raises KeyError and ValueError for what is no record.
    """
    written = sorted(record.get("attempts") or (), key=lambda each: int(each["number"]))
    status, reason = Status(record["status"]), str(record.get("reason") or "")
    if is_gone:
        # its message comes back after its visibility, or was received as often as the queue allows
        is_over = int(record.get("receives") or 0) >= int(record.get("most") or 0)
        status, reason = Status.FAILED if is_over else Status.QUEUED, f"lost: {_LOST.reason}"
    attempts = tuple(_attempt(each, is_over=is_gone or each is not written[-1]) for each in written)
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
        reason=reason,
    )


def places_of(record: Mapping[str, Any]) -> dict[int, Place]:
    """Attempt -> where its log is, of those of which that is known."""
    found = {}
    for each in record.get("attempts") or ():
        if each.get("group") and each.get("stream"):
            number = int(each["number"])
            ended_at = _time(each["ended"]) if each.get("ended") else None
            began_at = _time(each["started"])
            # an attempt of a batch is written under the run that the batch was
            run_id = str(each.get("batch") or record["run"])
            found[number] = Place(each["group"], each["stream"], run_id, number, began_at, ended_at)
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


def _attempt(written: Mapping[str, Any], *, is_over: bool) -> Attempt:
    outcome = None
    if written.get("ending"):
        outcome = Outcome(
            ending=Ending(written["ending"]),
            exit_code=written.get("code"),
            reason=str(written.get("reason") or ""),
            passing=bool(written.get("passing")),
        )
    elif is_over:
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
