"""An environment on AWS as a `Target`. Nothing is kept here: names follow from the job file, the rest is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from wherry.aws.runs import Runs
from wherry.model import Event, Run, Status

if TYPE_CHECKING:
    from wherry.aws.bus import Bus
    from wherry.aws.deadletters import DeadLetters
    from wherry.aws.logs import Logs
    from wherry.aws.objects import Entry, Objects
    from wherry.aws.secrets import Secrets
    from wherry.aws.site import Site
    from wherry.aws.starts import Starts
    from wherry.target import EnvironmentStatus, SecretEntry, Wish


class Remote:
    """Implements Target for an environment on AWS. Its parts are made when they are needed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._runs = Runs(site)

    def start(self, wish: Wish) -> str | None:
        """Run a job: it goes on by itself."""
        return self._starts.start(wish)

    def go_on(self, run_id: str) -> None:
        """Nothing to see to: Step Functions executes every open run."""

    def retry(self, run_id: str) -> None:
        """Give a run that ended badly another round, which goes on by itself; what was not delivered is so anew."""
        letters = self._dead_letters.of(run_id)
        if any(letter.round_number for letter in letters) or not letters:
            self._starts.retry(run_id)
        else:
            self._dead_letters.deliver(letters[0])
        self._dead_letters.settle(letters)

    def follow(self, run_id: str, *, after: int = 0) -> Iterator[bytes]:
        """What the run writes as it is written, all attempts but the first `after`, until it has ended."""
        return self._logs.follow(run_id, after=after)

    def stop(self, run_id: str) -> None:
        """End the run, and with it its task."""
        self._starts.stop(run_id)

    def find(self, reference: str) -> Run:
        """The run of an id or of the beginning of one."""
        return self._runs.find(reference)

    def runs(
        self, *, job: str | None, statuses: Sequence[Status] | None, since: datetime | None, limit: int
    ) -> list[Run]:
        """The newest runs, newest first."""
        return self._runs.listing(job=job, statuses=statuses, since=since, limit=limit)

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
        """The runs that ended badly and what could not be delivered, newest first, as the queue has them."""
        return self._dead_letters.listing(job=job, reason=reason, since=since, limit=limit)

    def bury(self, run_ids: Sequence[str]) -> None:
        """Take them from the queue of dead letters."""
        self._dead_letters.bury(run_ids)

    def log(self, run: Run, attempt: int, helper: str = "", *, last: int | None = None) -> Iterator[bytes]:
        """What one attempt, or a helper in it, has written so far; of it the `last` bytes."""
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

    def objects(self, bucket: str, keys: Sequence[str]) -> list[Entry]:
        """Those of these objects that there are; a key that ends with `/` means all below it."""
        return self._objects.find(bucket, keys)

    def secret(self, name: str) -> bytes:
        """The value of a secret; raises NotFound."""
        return self._secrets.get(name)

    def set_secret(self, name: str, value: bytes) -> None:
        """Set or replace a secret."""
        self._secrets.set(name, value)

    def remove_secret(self, name: str) -> None:
        """Remove a secret; for a week it can be brought back."""
        self._secrets.remove(name)

    def secrets(self) -> list[SecretEntry]:
        """The app's secrets, by name."""
        return self._secrets.listing()

    def status(self) -> EnvironmentStatus:
        """The environment at a glance."""
        from wherry.aws.glance import glance

        return glance(self._site, self._runs)

    def has_engine(self) -> bool:
        """Step Functions is always there."""
        return True

    def access(self) -> dict[str, str]:
        """The caller's own credentials are what leads there; all that is missing is the region."""
        return {"AWS_REGION": self._site.aws.region}

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
