"""The dead letters of queues that wherry's workers take from: each is the last word of a run of its message."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from wherry.agent import records
from wherry.aws.client import AwsError
from wherry.aws.levels import is_missing
from wherry.aws.mail import Mail
from wherry.aws.received import HELD_TO_DELETE, Received
from wherry.aws.recorded import run_of, unrecorded
from wherry.aws.recordings import Recordings
from wherry.aws.site import Site
from wherry.aws.tasks import has_worker
from wherry.errors import UserError
from wherry.model import Queue, Run, Status

_OPEN = (Status.QUEUED, Status.RUNNING)


class Lost(NamedTuple):
    """One dead letter, as it was when it was looked at."""

    queue: Queue
    job: str
    message: Mapping[str, Any]


class LostMail:
    """The dead letters of all these queues."""

    def __init__(self, site: Site, recordings: Recordings, mail: Mail) -> None:
        self._site = site
        self._recordings = recordings
        self._mail = mail

    def listing(self, *, job: str | None, reason: str | None, since: datetime | None) -> list[Run]:
        """The runs whose messages are dead letters; of a batch there may be several letters, and it is listed once."""
        letters: list[Lost] = []
        for queue, name in self._queues(job):
            with self._received(queue) as received:
                letters += [Lost(queue, name, message) for message in received.all()]
        runs = {run.id: run for run in self._site.aws.together(self._run, letters)}
        return [
            run
            for run in runs.values()
            if (reason is None or reason.lower() in run.reason.lower())
            and (since is None or (run.ended_at or run.created_at) >= since)
        ]

    def bury(self, run_ids: Collection[str]) -> None:
        """Delete the letters of these runs."""
        for _, _, received, found in self._letters(run_ids):
            received.delete(found)

    def retry(self, run_ids: Collection[str]) -> dict[str, UserError | None]:
        """Send the letters of these runs once more, as a further round of each, the first sent first.

        Gives the runs that have letters, each with the reason why one could not be sent, where there is one.
        """
        ends: dict[str, UserError | None] = {}
        for queue, job, received, found in self._letters(run_ids):
            for message in found:
                known = records.known_of(job, queue.name, message)
                try:
                    self._unstop(job, known.run_id)
                    self._mail.send_again(queue, message, known.mark())
                except UserError as error:
                    ends[known.run_id] = error
                else:
                    received.delete([message])
                    ends.setdefault(known.run_id, None)
        return ends

    def _letters(self, run_ids: Collection[str]) -> Iterator[tuple[Queue, str, Received, list[Mapping[str, Any]]]]:
        """The letters of these runs, some at a time, with their queue, its job, and what keeps them from others.

        Each queue is looked through once, and none after the last run was found: the letters of a run are in one queue.
        """
        wanted = frozenset(run_ids)
        missing = set(wanted)
        for queue, job in self._queues(None):
            if not missing:
                return
            with self._received(queue) as received:
                seen: set[str] = set()
                while True:
                    found = [
                        each
                        for each in received.all()
                        if each["MessageId"] not in seen and records.known_of(job, queue.name, each).run_id in wanted
                    ]
                    yield queue, job, received, found
                    seen |= {each["MessageId"] for each in found}
                    missing -= {records.known_of(job, queue.name, each).run_id for each in found}
                    # of a FIFO group SQS shows no more than ten messages until these are deleted
                    if not queue.is_fifo or not found:
                        break

    def _unstop(self, job: str, run_id: str) -> None:
        key = records.stop_key(job, run_id)
        self._site.aws.call("s3", "delete_object", Bucket=self._site.names.work_bucket, Key=key)

    def _run(self, lost: Lost) -> Run:
        record = self._recordings.of_message(lost.job, lost.queue.name, lost.message)
        if record is None:
            return unrecorded(lost.job, lost.queue.name, lost.message)
        # whose message is a dead letter nobody works on any more, whatever was written last
        return run_of(record, is_gone=record.get("status") in _OPEN)

    def _queues(self, job: str | None) -> Iterator[tuple[Queue, str]]:
        """The queues that wherry's workers take from, and the jobs that these work for."""
        for queue in self._site.jobfile.queues.values():
            taker = self._site.jobfile.taker(queue.name)
            if taker and has_worker(taker[0]) and job in (None, taker[0].name):
                yield queue, taker[0].name

    def _received(self, queue: Queue) -> Received:
        name = self._site.names.queue(queue.dead_letters)
        try:
            url = self._site.aws.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"]
        except AwsError as error:
            if is_missing(error):
                raise self._site.not_deployed() from None
            raise
        return Received(self._site.aws, str(url), HELD_TO_DELETE)
