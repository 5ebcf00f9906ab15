"""What is known of a run: one JSON object in the work bucket, for `wherry runs show logs explain`.

Its key begins with the time when its message was sent, counted backwards, and ends with how the run stands: so S3
lists the newest first, a listing tells how many have failed, and all who know the message know the key. A run that
has ended has its last object put before its first one is deleted, so two may be listed for a moment; the ended one
counts. Everything in that bucket goes after 30 days.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from wherry import messages
from wherry.agent.client import CallFailed
from wherry.agent.services import S3, Gone, Message
from wherry.agent.settings import RECORDS, STOPS, Settings

#: Milliseconds since 1970 have 13 digits until 2286.
_END_OF_TIME = 9_999_999_999_999
#: How a run stands, in its key: it goes on, or has ended in one of these ways.
OPEN = "open"
ENDED = ("succeeded", "failed", "timed_out", "stopped")
#: The message attribute by which a dead letter that was sent once more is a further round of its run.
AGAIN = "wherry-run"
#: Its value; anybody may write one.
_MARK = re.compile(r"([0-9A-Za-z-]{1,64}) ([0-9]{1,13})")
#: Seconds for what is known of a run: what is known too little of must wait.
_FOR_KNOWING = 20.0


class Known(NamedTuple):
    """Which run a message belongs to."""

    run_id: str
    #: When its (first) message was sent at first, in milliseconds since 1970.
    sent: int
    #: The message is a dead letter that was sent once more.
    is_again: bool = False

    def key(self, job: str, state: str) -> str:
        """The key of its record in that state."""
        return f"{prefix_of(job)}{_END_OF_TIME - self.sent:013d}-{self.run_id}.{state}"

    def mark(self) -> str:
        """The value of `AGAIN` for a further round."""
        return f"{self.run_id} {self.sent}"


def prefix_of(job: str) -> str:
    """What the keys of a job's records begin with."""
    return f"{RECORDS}/{job}/"


def known_of(job: str, queue: str, message: Message) -> Known:
    """The run of a message; a batch's is that of its first one."""
    given = _MARK.fullmatch((message.get("MessageAttributes") or {}).get(AGAIN, {}).get("StringValue", ""))
    if given:
        return Known(given[1], int(given[2]), is_again=True)
    run_id = messages.run_id_of(job, messages.cause_of(queue, str(message["MessageId"])))
    return Known(run_id, sent_at(message))


def read_key(key: str) -> tuple[Known, str]:
    """The run of a record's key, and the state that it is in; raises ValueError for other keys."""
    name, _, state = key.rpartition("/")[2].partition(".")
    backwards, _, run_id = name.partition("-")
    if not run_id or state not in (OPEN, *ENDED):
        raise ValueError(key)
    return Known(run_id, _END_OF_TIME - int(backwards)), state


def stop_key(job: str, run_id: str) -> str:
    """The object that says that somebody wants a run to end."""
    return f"{STOPS}/{job}/{run_id}"


def sent_at(message: Message) -> int:
    """When a message was sent, in milliseconds since 1970."""
    return int(message["Attributes"]["SentTimestamp"])


def receives_of(message: Message) -> int:
    """How often a message has been received, this time included."""
    return int(message["Attributes"]["ApproximateReceiveCount"])


class Records:
    """Reads and writes records; what goes wrong with writing is told and does not hinder the work."""

    def __init__(self, settings: Settings, s3: S3, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._s3 = s3
        self._tell = tell

    def before(self, known: Known, receives: int) -> dict[str, Any]:
        """What earlier attempts have written of a run; empty where there is nothing.

        Raises CallFailed where S3 cannot tell just now: what is done would be done again.
        """
        if not self._settings.work_bucket or (receives == 1 and not known.is_again):
            return {}
        # where both are there the first one could not be deleted
        for state in (*ENDED, OPEN):
            key = known.key(self._settings.job, state)
            try:
                found = json.loads(self._s3.read(self._settings.work_bucket, key, patience=_FOR_KNOWING))
            except CallFailed as error:
                if error.is_passing:
                    raise
            except (Gone, ValueError):
                continue
            else:
                return found if isinstance(found, dict) else {}
        return {}

    def write(self, known: Known, record: Mapping[str, Any], *, had: str = "") -> None:
        """Write a record anew; `had` is the state in which it may still be there."""
        bucket, job = self._settings.work_bucket, self._settings.job
        if not bucket:
            return
        state = state_of(record)
        try:
            body = json.dumps(record, separators=(",", ":")).encode()
            self._s3.write(bucket, known.key(job, state), body)
            if had and had != state:
                self._s3.remove(bucket, known.key(job, had))
        except (CallFailed, ValueError, RecursionError) as error:
            self._tell(f"run {known.run_id} is not recorded: {error}")

    def remove(self, known: Known, state: str) -> None:
        """Delete the record of what is no run any more."""
        with contextlib.suppress(CallFailed):
            self._s3.remove(self._settings.work_bucket, known.key(self._settings.job, state))

    def is_to_stop(self, run_id: str) -> bool:
        """True when somebody wants a run to end (`wherry stop`)."""
        if not self._settings.work_bucket:
            return False
        with contextlib.suppress(CallFailed, Gone):
            self._s3.read(self._settings.work_bucket, stop_key(self._settings.job, run_id), patience=0)
            return True
        return False


def state_of(record: Mapping[str, Any]) -> str:
    """The state of a record, as its key has it."""
    status = str(record.get("status"))
    return status if status in ENDED else OPEN


def iso(at: datetime) -> str:
    """A time as text."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds")
