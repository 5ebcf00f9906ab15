"""The run of one message: what earlier attempts have written of it, and what this one adds."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from wherry.agent.records import iso, known_of, receives_of, sent_at, state_of
from wherry.agent.services import Message
from wherry.agent.tools import Tools
from wherry.agent.verdicts import Verdict

_OF_ALL_ROUNDS = ("run", "job", "queue", "created", "messages", "event", "attempts")


class Run:
    """One run; that of a batch is its first message's, and has the others with it until they are runs of their own."""

    def __init__(self, tools: Tools, message: Message) -> None:
        settings = tools.settings
        self._tools = tools
        self._known = known_of(settings.job, settings.queue, message)
        self._record: dict[str, Any] = {}
        #: Attempts of earlier rounds.
        self._earlier = 0
        #: The state in which there is a record of the run; empty: there is none.
        self._had = ""
        #: Nothing more is written: the verdict has been, or there was no attempt.
        self._is_over = False
        self._writing = threading.Lock()
        self._created_at = datetime.now(timezone.utc)
        self.message = message
        self.id = self._known.run_id
        self.receives = receives_of(message)

    @property
    def number(self) -> int:
        """The attempt's: receives count, those of earlier rounds too."""
        return self._earlier + self.receives

    @property
    def is_done(self) -> bool:
        """It has succeeded before, or was dropped, and its message could not be deleted then."""
        return bool(self._record.get("done"))

    @property
    def death(self) -> Verdict | None:
        """What is written of a run that is over, and whose message is only on its way to the dead letters."""
        if not self._record.get("dead"):
            return None
        return Verdict(str(self._record["status"]), str(self._record.get("reason", "")), is_dead=True)

    def recall(self) -> None:
        """Know what earlier attempts have written; what earlier rounds came to does not count any longer.

        Raises CallFailed where that cannot be known just now.
        """
        record = self._tools.records.before(self._known, self.receives)
        if record:
            self._had = state_of(record)
            self._earlier = int(record.get("earlier") or 0)
            if self._known.is_again and record.get("message") != self.message["MessageId"]:
                self._earlier = max((int(each["number"]) for each in record.get("attempts") or []), default=0)
                record = {name: record[name] for name in _OF_ALL_ROUNDS if name in record}
            # a worker that was lost with its batch has left all of it here
            record["messages"] = (record.get("messages") or [_as_written(self.message)])[:1]
        self._record = record

    def write(
        self,
        facts: Mapping[str, Any],
        attempt: Mapping[str, Any] | None,
        verdict: Verdict | None = None,
        *,
        beside: Sequence[Message] = (),
    ) -> None:
        """The record as it stands: while the attempt goes on, or after it; `attempt` is None where there is none.

        `beside`: the messages that the run works on besides its own. A verdict waits for a write that is under way, and
        is the last one: S3 keeps what comes last.
        """
        with self._writing:
            if self.death or self._is_over:
                return
            self._is_over = verdict is not None
            record = self._as_it_stands(facts, attempt, verdict, [self.message, *beside])
            self._tools.records.write(self._known, record, had=self._had)
            self._had = state_of(record)

    def unwrite(self) -> None:
        """Take back what was written of an attempt that was none."""
        with self._writing:
            self._is_over = True
            if self._had:
                self._tools.records.remove(self._known, self._had)
                self._had = ""

    def _as_it_stands(
        self,
        facts: Mapping[str, Any],
        attempt: Mapping[str, Any] | None,
        verdict: Verdict | None,
        taken: Sequence[Message],
    ) -> dict[str, Any]:
        now = datetime.now(timezone.utc)
        messages = [_as_written(each) for each in taken]
        record = {**self._about(), "messages": messages, **self._record, **facts}
        record |= {"message": self.message["MessageId"], "earlier": self._earlier}
        record |= {"receives": self.receives, "most": self._tools.settings.max_receives}
        attempts = [each for each in record.get("attempts") or [] if each["number"] != self.number]
        record["attempts"] = [*attempts, {"number": self.number, **attempt}] if attempt else attempts
        record["status"], record["reason"] = (verdict.status, verdict.reason) if verdict else ("running", "")
        has_ended = verdict is not None and verdict.status != "queued"
        record["ended"] = iso(now) if has_ended else None
        record["due"] = iso(now + timedelta(seconds=verdict.wait)) if verdict and not has_ended else None
        record["dead"] = verdict is not None and verdict.is_dead
        record["done"] = verdict is not None and verdict.deletes
        return record

    def _about(self) -> dict[str, Any]:
        settings = self._tools.settings
        return {"run": self.id, "job": settings.job, "queue": settings.queue, "created": iso(self._created_at)}


def _as_written(message: Message) -> dict[str, Any]:
    return {"id": message["MessageId"], "sent": sent_at(message)}
