"""The queue of dead letters: looking at it without taking from it, and taking away what somebody has dealt with.

SQS shows a message to one reader at a time. Who looks keeps what he has seen to himself until he has seen all of it,
and then gives it back: at once, or `_HELD` seconds later when he is killed. Nothing goes that was not dealt with.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cached_property
from typing import Any

from wherry.aws import history
from wherry.aws.client import AwsError
from wherry.aws.compile import logical_ids
from wherry.aws.letters import Letter, Reader, as_input
from wherry.aws.outcomes import loaded
from wherry.aws.runs import Runs
from wherry.aws.site import Site
from wherry.errors import UserError
from wherry.model import Run, Status

#: So long a message is kept from others while all are looked at, in seconds.
_HELD = 30
#: A long poll asks all servers of a queue, a short one only some (SQS Developer Guide, "Short and long polling").
_POLL = 1
#: SQS's calls take so many messages at once.
_BATCH = 10
_DEAD = (Status.FAILED, Status.TIMED_OUT)


class DeadLetters:
    """Reads the queue of one environment."""

    def __init__(self, site: Site, runs: Runs) -> None:
        self._site = site
        self._runs = runs
        #: What was in the queue when it was last looked at; None: it was not.
        self._seen: list[Letter] | None = None
        #: Receipts of what was deleted.
        self._gone: set[str] = set()

    def listing(self, *, job: str | None, reason: str | None, since: datetime | None, limit: int) -> list[Run]:
        """The runs that are dead letters, newest first. What was dealt with meanwhile goes from the queue."""
        with self._held() as letters:
            pass  # they are given back before anything is asked about them, which may take long
        told = self._site.aws.together(self._now, letters)
        self._delete([letter for letter, run in zip(letters, told, strict=True) if run is None])
        runs = {(run.job, run.id): run for run in told if run and run.status in _DEAD}
        found = [
            run
            for run in runs.values()
            if (job is None or run.job == job)
            and (reason is None or reason.lower() in run.reason.lower())
            and (since is None or (run.ended_at or run.created_at) >= since)
        ]
        return history.ordered(found)[: limit if limit >= 0 else None]

    def bury(self, run_ids: Iterable[str]) -> None:
        """Take all letters of these runs from the queue; waits for those that somebody else looks at."""
        wanted = set(run_ids)
        known = {letter.message_id for letter in self._seen or () if letter.run.id in wanted}
        patient_until = time.monotonic() + _HELD
        while True:
            with self._held() as letters:
                found = [letter for letter in letters if letter.run.id in wanted]
                self._delete(found)
            known -= {letter.message_id for letter in found}
            if not known or not self._is_somebody_looking() or time.monotonic() > patient_until:
                return  # what is not there any more somebody else has taken away

    def of(self, run_id: str) -> list[Letter]:
        """The letters of a run, as they were when the queue was last looked at."""
        if self._seen is None:
            with self._held():
                pass
        return [letter for letter in self._seen or () if letter.run.id == run_id]

    def undelivered(self) -> dict[tuple[str, str], str]:
        """Why what never became a run did not: (job, cause) -> reason."""
        with self._held() as letters:
            return {(each.run.job, each.run.cause): each.run.reason for each in letters if each.round_number == 0}

    def deliver(self, letter: Letter) -> None:
        """Hand the dispatcher what could not be delivered; it starts a run of it, if there is none by now."""
        if not letter.delivery:
            raise UserError(
                f"what {letter.run.id} was meant for is not in the job file any more",
                hint=f"`wherry dead-letters purge {letter.run.id}` takes it off the list",
            )
        arn = self._site.names.dispatcher_arn
        try:
            self._site.aws.call(
                "stepfunctions", "start_execution", stateMachineArn=arn, input=as_input(letter.delivery)
            )
        except AwsError as error:
            if error.code == "StateMachineDoesNotExist":
                raise self._site.not_deployed() from None
            raise

    def settle(self, letters: Sequence[Letter]) -> None:
        """These were dealt with: take them from the queue.

        One that somebody else has looked at since stays there; the next listing finds that it was dealt with.
        """
        self._delete(letters)

    def _now(self, letter: Letter) -> Run | None:
        """The run of a letter as it stands now; None when nobody needs the letter any more."""
        run = letter.run
        reading = self._runs.look_up(run.job, run.id) if run.job in self._site.jobfile.jobs else None
        if reading is None:
            return run
        is_over = reading.run.status.ended and reading.run.status not in _DEAD
        if is_over or reading.rounds > letter.round_number:
            return None  # a further round that fails has a letter of its own
        return self._runs.resolved(reading)

    @contextlib.contextmanager
    def _held(self) -> Iterator[list[Letter]]:
        """All letters, kept from others as long as the context lasts."""
        held: dict[str, Letter] = {}
        try:
            # in a thread of its own: an interrupt waits for it, and so all that it has received can be given back
            with ThreadPoolExecutor(1) as pool:
                pool.submit(self._collect, held).result()
            self._seen = list(held.values())
            yield self._seen
        finally:
            self._give_back([letter for letter in held.values() if letter.receipt not in self._gone])

    def _collect(self, held: dict[str, Letter]) -> None:
        """Receive until nothing new comes."""
        is_new = True
        while is_new:
            letters = {letter.message_id: letter for letter in map(self._reader.read, self._receive())}
            is_new = bool(letters.keys() - held.keys())
            held |= letters

    def _is_somebody_looking(self) -> bool:
        name = "ApproximateNumberOfMessagesNotVisible"
        answer = self._site.aws.call("sqs", "get_queue_attributes", QueueUrl=self._url, AttributeNames=[name])
        return int(answer["Attributes"].get(name, 0)) > 0

    def _receive(self) -> list[Mapping[str, Any]]:
        if self._url is None:
            return []
        answer = self._site.aws.call(
            "sqs",
            "receive_message",
            QueueUrl=self._url,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=_HELD,
            WaitTimeSeconds=_POLL,
            MessageSystemAttributeNames=["SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        return [self._whole(message) for message in answer.get("Messages", ())]

    def _whole(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """A message with the input of a dispatcher that failed: events leave out what is long."""
        body = loaded(message.get("Body"))
        detail = body.get("detail")
        if not isinstance(detail, Mapping) or detail.get("stateMachineArn") != self._site.names.dispatcher_arn:
            return message
        if isinstance(detail.get("input"), str):
            return message
        arn = detail.get("executionArn")
        with contextlib.suppress(AwsError):  # it is forgotten, 90 days later
            given = self._site.aws.call("stepfunctions", "describe_execution", executionArn=arn)["input"]
            return {**message, "Body": {**body, "detail": {**detail, "input": given}}}
        return message

    def _give_back(self, letters: Sequence[Letter]) -> None:
        entries = [{"ReceiptHandle": letter.receipt, "VisibilityTimeout": 0} for letter in letters]
        for some in _batches(entries):
            self._site.aws.call("sqs", "change_message_visibility_batch", QueueUrl=self._url, Entries=some)

    def _delete(self, letters: Sequence[Letter]) -> None:
        self._gone |= {letter.receipt for letter in letters}
        for some in _batches([{"ReceiptHandle": letter.receipt} for letter in letters]):
            self._site.aws.call("sqs", "delete_message_batch", QueueUrl=self._url, Entries=some)  # gone is gone

    @cached_property
    def _url(self) -> str | None:
        """The queue's address; None where nothing is deployed."""
        try:
            return str(self._site.aws.call("sqs", "get_queue_url", QueueName=self._site.names.dead_letters)["QueueUrl"])
        except AwsError as error:
            if "NonExistentQueue" in error.code or "QueueDoesNotExist" in error.code:
                return None
            raise

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self._site.jobfile, self._site.names, logical_ids(self._site.jobfile))


def _batches(entries: Sequence[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The entries of calls for several messages."""
    for first in range(0, len(entries), _BATCH):
        yield [{"Id": str(number), **entry} for number, entry in enumerate(entries[first : first + _BATCH])]
