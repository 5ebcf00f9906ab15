"""Records of queues and their messages, as the store knows them; and what SQS would refuse.

Sources: Amazon SQS API Reference; Developer Guide, "Amazon SQS message quotas".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from wherry.errors import UserError
from wherry.local.clock import from_ms, to_ms
from wherry.local.database import Row
from wherry.model import Queue
from wherry.target import Message

#: How long dead letters are kept: as long as SQS can.
LONGEST_RETENTION = timedelta(days=14)
#: From the receive on, however often the visibility is changed.
LONGEST_IN_FLIGHT = timedelta(hours=12)
#: Within this time a FIFO queue knows a message again.
DEDUPLICATION = timedelta(minutes=5)
#: When a held message becomes visible: never by itself.
HELD_MS = 1 << 62
_HANDLE = re.compile(r"([0-9]{1,18})-([0-9]{1,9})-([0-9a-f-]{36})")
#: SQS writes 20 digits.
_SEQUENCE_BASE = 10**19


#: Message attributes as SQS writes them: name -> `DataType` with `StringValue` or `BinaryValue` (Base64).
Attributes = Mapping[str, Mapping[str, str]]
_NO_ATTRIBUTES: Attributes = MappingProxyType({})


class QueueError(UserError):
    """SQS would refuse this; `code` is its name in SQS's model (API Reference, "Common errors" and each action's)."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One queue as it behaves here: one of the job file, or the dead letters of one."""

    name: str
    visibility: timedelta = timedelta(seconds=30)
    delay: timedelta = timedelta(0)
    retention: timedelta = timedelta(days=4)
    content_deduplication: bool = False
    #: How long a receive waits that does not say so itself.
    wait: timedelta = timedelta(0)
    #: A message that was received so often goes to the dead letters; None: there are none.
    max_receives: int | None = None
    #: The name of its queue of dead letters.
    letters: str | None = None
    #: Of a queue of dead letters: whose.
    source: str | None = None

    @cached_property
    def is_fifo(self) -> bool:
        """In each message group the order is kept."""
        return self.name.endswith(".fifo")

    @property
    def declared(self) -> str:
        """The name in the job file."""
        return self.source or self.name

    def dump(self) -> str:
        """As the store keeps it."""
        return json.dumps(asdict(self), default=lambda value: value.total_seconds(), separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Self:
        """The queue that `dump` wrote."""
        values = json.loads(text)
        return cls(**values | {name: timedelta(seconds=values[name]) for name in _SPANS})


_SPANS = ("visibility", "delay", "retention", "wait")


def settings_of(queue: Queue) -> tuple[Settings, Settings]:
    """A queue of the job file, and its dead letters."""
    own = Settings(
        name=queue.name,
        visibility=queue.visibility,
        delay=queue.delay,
        retention=queue.retention,
        content_deduplication=queue.content_deduplication,
        max_receives=queue.max_receives,
        letters=queue.dead_letters,
    )
    return own, Settings(name=queue.dead_letters, retention=LONGEST_RETENTION, source=queue.name)


# What there is one of for each message is a tuple: it is made several times as fast as a dataclass.


class NewMessage(NamedTuple):
    """A message to be sent."""

    body: str
    group: str = ""
    deduplication_id: str = ""
    #: None: the queue's own.
    delay: timedelta | None = None
    attributes: Attributes = _NO_ATTRIBUTES
    #: Who sends it, as STS would tell its id.
    sender: str = ""
    #: AWSTraceHeader.
    trace: str = ""


class Sent(NamedTuple):
    """What became of a new message."""

    #: Of a message that was sent before, the first one's.
    id: str
    sequence: int
    #: FIFO: it was sent within the last five minutes, and is not there twice.
    is_duplicate: bool = False

    @property
    def sequence_number(self) -> str:
        """As FIFO queues tell it."""
        return sequence_number(self.sequence)


class Counts(NamedTuple):
    """How many messages a queue has."""

    #: They could be received now.
    waiting: int
    #: Received, and neither deleted nor given back.
    in_flight: int
    #: Sent for later.
    delayed: int
    #: When the oldest one that waits was sent.
    oldest: datetime | None


class Moved(NamedTuple):
    """A dead letter that became a new message."""

    old_id: str
    new_id: str
    queue: str


class Receipt(NamedTuple):
    """What a receive is known by; each receive of a message has its own."""

    sequence: int
    receives: int
    message_id: str

    @classmethod
    def parse(cls, handle: str) -> Self:
        """Read a receipt handle; raises QueueError for what is none."""
        found = _HANDLE.fullmatch(handle)
        if not found:
            raise QueueError("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not valid.')
        return cls(int(found[1]), int(found[2]), found[3])


class Received(NamedTuple):
    """A message that was received, or is held by a run."""

    id: str
    queue: str
    sequence: int
    body: str
    #: As SQS writes them.
    attributes: Attributes
    sent_ms: int
    first_received_ms: int
    #: This one included.
    receives: int
    sender: str
    trace: str
    group: str
    deduplication_id: str
    #: Of a dead letter: the queue that it was in.
    source: str

    @property
    def receipt(self) -> str:
        """The receipt handle."""
        return f"{self.sequence}-{self.receives}-{self.id}"

    @property
    def sent_at(self) -> datetime:
        """When it was sent."""
        return from_ms(self.sent_ms)

    def document(self) -> dict[str, Any]:
        """As SQS's ReceiveMessage gives it, for `wherry.messages`."""
        document: dict[str, Any] = {"MessageId": self.id, "Body": self.body, "Attributes": self.system_attributes()}
        if self.attributes:
            document["MessageAttributes"] = dict(self.attributes)
        return document

    def system_attributes(self, region: str = "", account: str = "") -> dict[str, str]:
        """All that SQS tells of a message besides its body; of where it comes from an ARN."""
        known = {
            "SenderId": self.sender,
            "SentTimestamp": str(self.sent_ms),
            "ApproximateReceiveCount": str(self.receives),
            "ApproximateFirstReceiveTimestamp": str(self.first_received_ms),
        }
        if self.queue.endswith(".fifo"):
            known["SequenceNumber"] = sequence_number(self.sequence)
            known["MessageDeduplicationId"] = self.deduplication_id
        if self.group:
            known["MessageGroupId"] = self.group
        if self.trace:
            known["AWSTraceHeader"] = self.trace
        if self.source:
            known["DeadLetterQueueSourceArn"] = f"arn:aws:sqs:{region}:{account}:{self.source}"
        return known


def received_of(row: Row, now_ms: int, queue: str) -> Received:
    """The message that a row describes, as the receive of this moment makes it."""
    text = row["attributes"]
    return Received(
        row["id"],
        queue,
        row["sequence"],
        row["body"],
        json.loads(text) if text != "{}" else _NO_ATTRIBUTES,
        row["sent_ms"],
        row["first_ms"] or now_ms,
        row["receives"] + 1,
        row["sender"],
        row["trace"],
        row["group_id"] or "",
        row["deduplication_id"] or "",
        row["source"] or "",
    )


def sequence_number(sequence: int) -> str:
    """As FIFO queues tell it."""
    return str(_SEQUENCE_BASE + sequence)


def ms_of(span: timedelta) -> int:
    """A span in milliseconds."""
    return round(span.total_seconds() * 1000)


def expired_ms(settings: Settings, now: datetime) -> int:
    """What was sent until then is over its retention."""
    return to_ms(now) - ms_of(settings.retention)


def message_of(row: Row, now_ms: int) -> Message:
    """A message as people see it."""
    hidden = row["visible_ms"] > now_ms
    attributes = json.loads(row["attributes"])
    return Message(
        id=row["id"],
        body=row["body"],
        sent_at=from_ms(row["sent_ms"]),
        receives=row["receives"],
        state="waiting" if not hidden else "delayed" if row["received_ms"] is None else "in flight",
        group=row["group_id"] or "",
        attributes={name: value["StringValue"] for name, value in attributes.items() if "StringValue" in value},
        run_id=row["letter_of"] or row["receiver"] or None,
    )
