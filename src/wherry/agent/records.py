"""What is known of a run: one JSON object in the work bucket, for `wherry runs show logs explain`.

Its key begins with the time when its message was sent, counted backwards: so S3 lists the newest first, and all who
know the message know the key. Everything in that bucket goes after 30 days.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from wherry.agent.client import CallFailed
from wherry.agent.services import S3, Gone, Message
from wherry.agent.settings import RECORDS, STOPS, Settings

#: Milliseconds since 1970 have 13 digits until 2286.
_END_OF_TIME = 9_999_999_999_999


def key_of(job: str, run_id: str, sent: int) -> str:
    """The key of a run's record; `sent` is its (first) message's SentTimestamp, in milliseconds."""
    return f"{RECORDS}/{job}/{_END_OF_TIME - sent:013d}-{run_id}.json"


def run_of(key: str) -> tuple[str, int]:
    """The run's id and when its message was sent, by the key of its record; raises ValueError for other keys."""
    backwards, dash, rest = key.rpartition("/")[2].removesuffix(".json").partition("-")
    if not dash or not rest:
        raise ValueError(key)
    return rest, _END_OF_TIME - int(backwards)


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
    """Reads and writes records; what goes wrong is told and does not hinder the work."""

    def __init__(self, settings: Settings, s3: S3, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._s3 = s3
        self._tell = tell

    def before(self, run_id: str, messages: Sequence[Message]) -> dict[str, Any]:
        """What earlier attempts have written of a run; empty for a first one."""
        if not self._settings.work_bucket or receives_of(messages[0]) == 1:
            return {}
        with contextlib.suppress(CallFailed, Gone, ValueError):
            found = json.loads(self._s3.read(self._settings.work_bucket, self._key(run_id, messages)))
            return found if isinstance(found, dict) else {}
        return {}

    def write(self, run_id: str, messages: Sequence[Message], record: Mapping[str, Any]) -> None:
        """Write a record anew."""
        if not self._settings.work_bucket:
            return
        body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            self._s3.write(self._settings.work_bucket, self._key(run_id, messages), body)
        except CallFailed as error:
            self._tell(f"run {run_id} is not recorded: {error}")

    def is_to_stop(self, run_id: str) -> bool:
        """True when somebody wants a run to end (`wherry stop`)."""
        if not self._settings.work_bucket:
            return False
        with contextlib.suppress(CallFailed, Gone):
            self._s3.read(self._settings.work_bucket, stop_key(self._settings.job, run_id), patience=0)
            return True
        return False

    def _key(self, run_id: str, messages: Sequence[Message]) -> str:
        return key_of(self._settings.job, run_id, sent_at(messages[0]))


def iso(at: datetime) -> str:
    """A time as text."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds")
