"""One turn of the worker: an attempt of one run, from the received messages to what becomes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from wherry.agent.attempt import Attempt, deadline_left
from wherry.agent.client import CallFailed
from wherry.agent.command import Bell
from wherry.agent.heartbeat import Heartbeat
from wherry.agent.job import Job
from wherry.agent.records import Records, iso, known_of, receives_of, sent_at, state_of
from wherry.agent.repeating import Repeating
from wherry.agent.services import S3, Message, Sqs
from wherry.agent.settings import Settings
from wherry.agent.telling import tell
from wherry.agent.verdicts import COULD_NOT_START, STOPPED, TIMED_OUT, End, Verdict, describe, judge, wait_of

#: What is over within so many seconds is recorded once, at its end.
_SHORT = 2.0
#: Seconds between two looks whether somebody wants the run to end.
_LOOK = 5.0
_FOR_GIVING_BACK = 30.0
#: A beat takes no longer: its own patience, and one silence.
_FOR_A_BEAT = 45.0
_NEVER = 1e9
_OF_ALL_ROUNDS = ("run", "job", "queue", "created", "messages", "event", "attempts")
_STATUS = {STOPPED: "stopped", TIMED_OUT: "timed_out"}


class Tools(NamedTuple):
    """What a turn needs."""

    settings: Settings
    bell: Bell
    sqs: Sqs
    s3: S3
    job: Job
    records: Records
    #: Where this task is, and where it logs.
    place: Mapping[str, str]


class Turn:
    """One attempt of one run, from the received messages to what becomes of them."""

    def __init__(self, tools: Tools, taken: Sequence[Message]) -> None:
        self._tools = tools
        self._taken = taken
        settings = tools.settings
        self._known = known_of(settings.job, settings.queue, taken[0])
        self._run_id = self._known.run_id
        self._receives = max(receives_of(message) for message in taken)
        self._message_id = str(taken[0]["MessageId"])
        #: Attempts of earlier rounds.
        self._earlier = 0
        self._number = self._receives
        self._began_at = datetime.now(timezone.utc)
        self._beat = Heartbeat(tools.sqs, taken, settings.visibility, tell)
        self._attempt = Attempt(settings, tools.job, tools.s3, tools.bell, self._beat)
        self._record: dict[str, Any] = {}
        self._chance = random.random()  # noqa: S311 - nothing secret
        #: The state in which there is a record of the run; empty: there is none.
        self._had = ""
        #: The attempt could not start, through no fault of its message: the next one would fare no better.
        self.has_stumbled = False
        #: There is an attempt; a message on its way to the dead letters gets none.
        self._has_begun = False

    def go(self) -> None:
        """Do it."""
        beating = Repeating(self._beat.beat, interval=self._beat.interval)
        with beating:
            self._go_on_from(self._tools.records.before(self._known, self._receives))
            if self._record.get("status") == "succeeded":
                tell(f"run {self._run_id} has succeeded before, and its message was received again: deleted")
                delete(self._tools.sqs, self._taken)
                return
            end, verdict = self._work()
            if verdict.deletes and not delete(self._tools.sqs, self._taken):
                tell("the work is done, and the message is still there: it will be received again")
            # who receives a message next shall know of this attempt; but when the task has to go there is no time
            is_hurried = self._tools.bell.is_drained() and not verdict.deletes
            if not is_hurried:
                self._write(end, verdict)
            self._beat.is_over = True
        if not is_hurried and not verdict.deletes:
            # SQS keeps the last word, and that shall not be a beat's
            beating.settle(_FOR_A_BEAT)
        self._give_back(verdict)
        if is_hurried:
            self._write(end, verdict)

    def _work(self) -> tuple[End, Verdict]:
        """The attempt, or why there is none."""
        hopeless = self._hopeless()
        if hopeless:
            return hopeless
        self._has_begun = True
        event = self._tools.job.event(self._taken, self._began_at)
        self._record = {**self._about(), **self._record, "event": event}
        mark, most = f"run {self._run_id} attempt {self._number}", self._tools.settings.max_receives
        tell(f"{mark} begins: {listed(self._taken)}, received {self._receives} of {most} times")
        with (
            Repeating(self._write, interval=_NEVER, first=_SHORT),
            Repeating(self._look, interval=_LOOK, first=_SHORT),
        ):
            end = self._attempt.go(self._run_id, self._number, event, self._taken)
        self.has_stumbled = end.ending == COULD_NOT_START and end.passing
        verdict = judge(end, self._tools.settings, receives=self._receives, number=self._number)
        tell(f"{mark} ends: {describe(end)}", fresh_line=True)
        return end, verdict

    def _hopeless(self) -> tuple[End, Verdict] | None:
        """The end of a run that is over, and whose message is only on its way to the dead letters."""
        if self._record.get("dead"):
            status = str(self._record["status"])
            return End(STOPPED), Verdict(status, str(self._record.get("reason", "")), at_once=True, is_dead=True)
        if self._receives > 1 and self._tools.records.is_to_stop(self._run_id):
            end = End(STOPPED)
        else:
            left = deadline_left(self._tools.settings, self._taken)
            if left is None or left > 0:
                return None
            end = End(TIMED_OUT, reason="the deadline is over")
        verdict = Verdict(_STATUS[end.ending], end.reason, at_once=True, is_dead=True)
        tell(f"run {self._run_id} is over ({describe(end)}): {listed(self._taken)} goes to the dead letters")
        return end, verdict

    def _give_back(self, verdict: Verdict) -> None:
        """Show the messages again, now or later."""
        if not verdict.deletes:
            hide(self._tools.sqs, self._taken, lambda each: 0.0 if verdict.at_once else self._wait(each))

    def _wait(self, message: Message) -> float:
        """Seconds until a message that has failed comes back."""
        return wait_of(self._tools.settings, receives=receives_of(message), chance=self._chance)

    def _go_on_from(self, record: dict[str, Any]) -> None:
        """Know what earlier attempts have written; what earlier rounds came to does not count any longer."""
        if record:
            self._had = state_of(record)
            self._earlier = int(record.get("earlier") or 0)
            if self._known.is_again and record.get("message") != self._message_id:
                self._earlier = max((int(each["number"]) for each in record.get("attempts") or []), default=0)
                record = {name: record[name] for name in _OF_ALL_ROUNDS if name in record}
        self._record = record
        self._number = self._earlier + self._receives

    def _look(self) -> None:
        if self._tools.records.is_to_stop(self._run_id):
            self._attempt.is_unwanted = True
            self._tools.bell.ring()

    def _about(self) -> dict[str, Any]:
        settings = self._tools.settings
        return {
            "run": self._run_id,
            "job": settings.job,
            "queue": settings.queue,
            "created": iso(self._began_at),
            "messages": [{"id": each["MessageId"], "sent": sent_at(each)} for each in self._taken],
        }

    def _write(self, end: End | None = None, verdict: Verdict | None = None) -> None:
        """The record as it stands: while the attempt goes on, or after it."""
        if self._record.get("dead"):
            return
        now = datetime.now(timezone.utc)
        record = {**self._about(), **self._record, "message": self._message_id, "earlier": self._earlier}
        record |= {"receives": self._receives, "most": self._tools.settings.max_receives}
        attempts = [each for each in record.get("attempts") or [] if each["number"] != self._number]
        record["attempts"] = [*attempts, self._as_attempt(end, now)] if self._has_begun else attempts
        record["status"], record["reason"] = (verdict.status, verdict.reason) if verdict else ("running", "")
        has_ended = verdict is not None and verdict.status != "queued"
        record["ended"] = iso(now) if has_ended else None
        record["due"] = iso(now + timedelta(seconds=self._longest(verdict))) if verdict and not has_ended else None
        record["dead"] = verdict is not None and verdict.is_dead
        prepared = self._attempt.prepared
        if prepared:
            record |= {"command": list(prepared.command), "env": prepared.env}
        self._tools.records.write(self._known, record, had=self._had)
        self._had = state_of(record)

    def _longest(self, verdict: Verdict) -> float:
        return 0.0 if verdict.at_once else max(map(self._wait, self._taken))

    def _as_attempt(self, end: End | None, now: datetime) -> dict[str, Any]:
        found: dict[str, Any] = {"number": self._number, "started": iso(self._began_at), **self._tools.place}
        if end is None:
            return found
        found |= {"ended": iso(now), "ending": end.ending, "code": end.exit_code, "reason": end.reason}
        return (
            found
            | ({"passing": True} if end.passing else {})
            | ({"peak": self._attempt.peak} if self._attempt.peak else {})
        )


def delete(sqs: Sqs, taken: Sequence[Message]) -> bool:
    """Delete messages; False when SQS does not."""
    try:
        sqs.delete(taken)
    except CallFailed as error:
        tell(f"{listed(taken)} could not be deleted: {error}")
        return False
    return True


def hide(sqs: Sqs, taken: Sequence[Message], seconds: Callable[[Message], float]) -> None:
    """Give messages back; where that fails they come back by themselves after their visibility."""
    try:
        sqs.hide(taken, seconds, patience=_FOR_GIVING_BACK)
    except CallFailed as error:
        tell(f"{listed(taken)} could not be given back, and comes back by itself: {error}")


def listed(taken: Sequence[Message]) -> str:
    """Messages in words."""
    if len(taken) == 1:
        return f"message {taken[0]['MessageId']}"
    return f"{len(taken)} messages, the first of them {taken[0]['MessageId']}"
