"""Messages that are looked at: received, kept from others for a moment, and given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from wherry.aws.client import Aws
from wherry.errors import WherryError

#: So long a message is kept from others while all are looked at, in seconds; who is killed meanwhile gives it back so.
#: Whoever is to delete what he has looked at needs more: of a FIFO queue a handle is good for that time only.
HELD, HELD_TO_DELETE = 30, 300
#: A long poll asks all servers of a queue, a short one only some (SQS Developer Guide, "Short and long polling").
_POLL = 1
_BATCH = 10
_MOST = 100_000


class Received:
    """Messages of one queue; what was not deleted is given back when the context ends."""

    def __init__(self, aws: Aws, url: str, held: int = HELD) -> None:
        self._aws = aws
        self._url = url
        self._seconds = held
        self._held: dict[str, Mapping[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entries = [{"ReceiptHandle": each["ReceiptHandle"], "VisibilityTimeout": 0} for each in self._held.values()]
        for some in _batches(entries):
            self._aws.call("sqs", "change_message_visibility_batch", QueueUrl=self._url, Entries=some)

    def all(self) -> list[Mapping[str, Any]]:
        """All that can be received."""
        return self.some(_MOST)

    def some(self, most: int) -> list[Mapping[str, Any]]:
        """Up to so many, as SQS shows them, the first sent first among these."""
        # in a thread of its own: an interrupt waits for it, and so all that it has received can be given back
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self._collect, most).result()
        return sorted(self._held.values(), key=lambda each: int(each["Attributes"]["SentTimestamp"]))

    def delete(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Delete these; raises WherryError when SQS does not."""
        for some in _batches([{"ReceiptHandle": each["ReceiptHandle"]} for each in messages]):
            answer = self._aws.call("sqs", "delete_message_batch", QueueUrl=self._url, Entries=some)
            for failed in answer.get("Failed", ()):
                why = failed.get("Message") or failed["Code"]
                raise WherryError(f"SQS has not deleted a message, and it comes again: {why}")
        for each in messages:
            self._held.pop(str(each["MessageId"]), None)

    def _collect(self, most: int) -> None:
        """Receive until nothing new comes."""
        while len(self._held) < most:
            answer = self._aws.call(
                "sqs",
                "receive_message",
                QueueUrl=self._url,
                MaxNumberOfMessages=min(_BATCH, most - len(self._held)),
                VisibilityTimeout=self._seconds,
                WaitTimeSeconds=_POLL,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            found = {str(each["MessageId"]): each for each in answer.get("Messages", ())}
            is_new = bool(found.keys() - self._held.keys())
            self._held |= found
            if not is_new:
                return


def _batches(entries: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """The entries of calls for several messages."""
    return [
        [{"Id": str(number), **entry} for number, entry in enumerate(entries[first : first + _BATCH])]
        for first in range(0, len(entries), _BATCH)
    ]
