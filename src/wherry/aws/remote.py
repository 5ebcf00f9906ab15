"""An environment on AWS as a `Target`. Nothing is kept here: names follow from the job file, the rest is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from wherry.aws import history
from wherry.aws.recordings import Recordings
from wherry.aws.runs import Runs
from wherry.errors import UserError
from wherry.model import Event, Run, Status

if TYPE_CHECKING:
    from wherry.aws.bus import Bus
    from wherry.aws.deadletters import DeadLetters
    from wherry.aws.excerpts import Excerpts
    from wherry.aws.logs import Logs
    from wherry.aws.lostmail import LostMail
    from wherry.aws.mail import Mail
    from wherry.aws.objects import Entry, Objects
    from wherry.aws.secrets import Secrets
    from wherry.aws.site import Site
    from wherry.aws.starts import Starts
    from wherry.target import Draft, EnvironmentStatus, Message, QueueState, SecretEntry, Wish


class Remote:
    """Implements Target for an environment on AWS. Its parts are made when they are needed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._runs = Runs(site)
        self._recordings = Recordings(site)

    def start(self, wish: Wish) -> str | None:
        """Run a job: it goes on by itself."""
        return self._starts.start(wish)

    def go_on(self, run_id: str) -> None:
        """Nothing to see to: Step Functions executes every open run."""

    def retry(self, run_id: str) -> None:
        """Give a run that ended badly another round, which goes on by itself; what was not delivered is so anew."""
        for error in self.retry_all([run_id]).values():
            raise error

    def retry_all(self, run_ids: Sequence[str]) -> dict[str, UserError]:
        """The same for several; all letters of messages are found in one look."""
        refused: dict[str, UserError] = {}
        of_messages = [run_id for run_id in run_ids if self._recordings.knows(run_id)]
        if of_messages:
            sent = self._lost_mail.retry(of_messages)
            refused = {run_id: error for run_id in of_messages if (error := sent.get(run_id, _letterless(run_id)))}
        for run_id in run_ids:
            if not self._recordings.knows(run_id):
                try:
                    self._retry(run_id)
                except UserError as error:
                    refused[run_id] = error
        return refused

    def _retry(self, run_id: str) -> None:
        """One that is no run of a message."""
        letters = self._dead_letters.of(run_id)
        if any(letter.round_number for letter in letters) or not letters:
            self._starts.retry(run_id)
        else:
            self._dead_letters.deliver(letters[0])
        self._dead_letters.settle(letters)

    def follow(self, run_id: str, *, after: int = 0) -> Iterator[bytes]:
        """What the run writes as it is written, all attempts but the first `after`, until it has ended."""
        if self._recordings.knows(run_id):
            return self._excerpts.follow(run_id, after=after)
        return self._logs.follow(run_id, after=after)

    def stop(self, run_id: str) -> None:
        """End the run, and with it its task; of a run of a message its worker ends the command, within seconds."""
        if self._recordings.knows(run_id):
            self._recordings.stop(run_id)
        else:
            self._starts.stop(run_id)

    def find(self, reference: str) -> Run:
        """The run of an id or of the beginning of one."""
        # a whole id is asked for in a call a job; records of messages can only be looked through
        if self._recordings.jobs and not self._recordings.knows(reference) and self._runs.has(reference):
            return self._runs.find(reference)
        return self._recordings.find(reference) or self._runs.find(reference)

    def runs(
        self, *, job: str | None, statuses: Sequence[Status] | None, since: datetime | None, limit: int
    ) -> list[Run]:
        """The newest runs, newest first."""
        found = self._recordings.listing(job=job, statuses=statuses, since=since, limit=limit)
        found += self._runs.listing(job=job, statuses=statuses, since=since, limit=limit)
        return history.ordered(found)[:limit]

    def of_causes(self, job: str, causes: Sequence[str]) -> dict[str, Run]:
        """The runs that a job has of causes, by these: their ids are known, some are asked for at once."""
        return self._runs.of_causes(job, causes)

    def dead_letters(
        self,
        *,
        job: str | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        limit: int = -1,
    ) -> list[Run]:
        """The runs that ended badly and what could not be delivered, newest first, as the queues have them."""
        found = self._lost_mail.listing(job=job, reason=reason, since=since)
        found += self._dead_letters.listing(job=job, reason=reason, since=since, limit=limit)
        return history.ordered(found)[: limit if limit >= 0 else None]

    def bury(self, run_ids: Sequence[str]) -> None:
        """Take them from the queues of dead letters."""
        of_messages = {run_id for run_id in run_ids if self._recordings.knows(run_id)}
        if of_messages:
            self._lost_mail.bury(of_messages)
        if others := set(run_ids) - of_messages:
            self._dead_letters.bury(others)

    def log(self, run: Run, attempt: int, helper: str = "", *, last: int | None = None) -> Iterator[bytes]:
        """What one attempt, or a helper in it, has written so far; of it the `last` bytes."""
        if self._recordings.knows(run.id):
            return self._excerpts.log(run, attempt, helper, last=last)
        return self._logs.log(run, attempt, helper, last=last)

    def emit(self, events: Sequence[Event]) -> list[Run]:
        """Put events on the environment's bus; waits for the runs that they make."""
        return self._bus.emit(events)

    def put(self, bucket: str, key: str, source: BinaryIO) -> int:
        """Upload an object; gives its size in bytes."""
        return self._objects.put(bucket, key, source)

    def get(self, bucket: str, key: str) -> Iterator[bytes]:
        """Download an object."""
        return self._objects.get(bucket, key)

    def bucket_names(self) -> dict[str, str]:
        """The buckets of the job file -> what they are called there."""
        return {bucket.name: self._site.bucket_name(bucket) for bucket in self._site.jobfile.buckets.values()}

    def queue_names(self) -> dict[str, str]:
        """The queues of the job file, and their dead letters -> what they are called there."""
        declared = self._site.jobfile.queues.values()
        return {name: self._site.names.queue(name) for each in declared for name in (each.name, each.dead_letters)}

    def objects(self, bucket: str, keys: Sequence[str]) -> list[Entry]:
        """Those of these objects that there are; a key that ends with `/` means all below it."""
        return self._objects.find(bucket, keys)

    def secret(self, name: str) -> bytes:
        """The value of a secret; raises NotFound."""
        return self._secrets.get(name)

    def queues(self) -> list[QueueState]:
        """All queues of the job file, as SQS, ECS and CloudWatch count them."""
        from wherry.aws.levels import states

        return states(self._site)

    def send(self, queue: str, drafts: Sequence[Draft]) -> list[str]:
        """Send messages, in order; gives their ids."""
        return self._mail.send(queue, drafts)

    def peek(self, queue: str, *, dead: bool = False, limit: int = 10) -> list[Message]:
        """The messages that SQS shows first; to SQS looking is receiving, and it counts that."""
        return self._mail.peek(queue, dead=dead, limit=limit)

    def redrive(self, queue: str) -> int:
        """Move the dead letters of a queue back into it; gives how many."""
        return self._mail.redrive(queue)

    def purge(self, queue: str, *, dead: bool = False) -> int:
        """Delete all messages of a queue, or of its dead letters; gives how many there were, about."""
        return self._mail.purge(queue, dead=dead)

    def set_secret(self, name: str, value: bytes, *, is_sure: bool = False) -> None:
        """Set or replace a secret; `is_sure`: also one that was set for somebody else."""
        self._secrets.set(name, value, is_sure=is_sure)

    def remove_secret(self, name: str, *, is_sure: bool = False) -> None:
        """Remove a secret; for a week it can be brought back."""
        self._secrets.remove(name, is_sure=is_sure)

    def secrets(self) -> list[SecretEntry]:
        """The app's secrets, by name."""
        return self._secrets.listing()

    def status(self) -> EnvironmentStatus:
        """The environment at a glance."""
        from wherry.aws.glance import glance

        return glance(self._site, self._runs, self._recordings)

    def has_engine(self) -> bool:
        """Step Functions is always there."""
        return True

    def access(self) -> dict[str, str]:
        """The caller's own credentials are what leads there; all that is missing is the region."""
        return {"AWS_REGION": self._site.aws.region}

    @cached_property
    def _mail(self) -> Mail:
        from wherry.aws.mail import Mail

        return Mail(self._site)

    @cached_property
    def _lost_mail(self) -> LostMail:
        from wherry.aws.lostmail import LostMail

        return LostMail(self._site, self._recordings, self._mail)

    @cached_property
    def _excerpts(self) -> Excerpts:
        from wherry.aws.excerpts import Excerpts

        return Excerpts(self._site, self._recordings)

    @cached_property
    def _starts(self) -> Starts:
        from wherry.aws.starts import Starts

        return Starts(self._site, self._runs)

    @cached_property
    def _dead_letters(self) -> DeadLetters:
        from wherry.aws.deadletters import DeadLetters

        return DeadLetters(self._site, self._runs)

    @cached_property
    def _logs(self) -> Logs:
        from wherry.aws.logs import Logs

        return Logs(self._site, self._runs)

    @cached_property
    def _bus(self) -> Bus:
        from wherry.aws.bus import Bus

        return Bus(self._site, self._runs)

    @cached_property
    def _objects(self) -> Objects:
        from wherry.aws.objects import Objects

        return Objects(self._site)

    @cached_property
    def _secrets(self) -> Secrets:
        from wherry.aws.secrets import Secrets

        return Secrets(self._site)


def _letterless(run_id: str) -> UserError:
    hint = f"`wherry show {run_id}` says how it stands, `wherry replay {run_id} --here` runs its event here"
    return UserError(f"run {run_id} has no dead letter that could be sent once more", hint=hint)
