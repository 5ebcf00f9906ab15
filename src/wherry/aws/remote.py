"""An environment on AWS as a `Target`. Nothing is kept here: names follow from the job file, the rest is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from wherry.aws.runs import Runs
from wherry.errors import UserError
from wherry.model import Event, Run, Status

if TYPE_CHECKING:
    from wherry.aws.bus import Bus
    from wherry.aws.logs import Logs
    from wherry.aws.objects import Objects
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
        """Not yet."""
        raise self._later(
            "retry", f"`wherry replay {run_id} --env {self._site.environment.name}` makes a new run of it"
        )

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

    def of_cause(self, job: str, cause: str) -> Run | None:
        """The run that a job has of a cause."""
        return self._runs.of_cause(job, cause)

    def dead_letters(
        self,
        *,
        job: str | None = None,  # noqa: ARG002 - the Protocol's
        reason: str | None = None,  # noqa: ARG002
        since: datetime | None = None,  # noqa: ARG002
        limit: int = -1,  # noqa: ARG002
    ) -> list[Run]:
        """Not yet."""
        raise self._later("dead-letters", f"the failed runs: `wherry runs --status failed --env {self._name}`")

    def bury(self, run_ids: Sequence[str]) -> None:  # noqa: ARG002 - the Protocol's
        """Not yet."""
        raise self._later("dead-letters")

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

    @property
    def _name(self) -> str:
        return self._site.environment.name

    @cached_property
    def _starts(self) -> Starts:
        from wherry.aws.starts import Starts

        return Starts(self._site, self._runs)

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

    def _later(self, verb: str, hint: str | None = None) -> UserError:
        return UserError(f"`wherry {verb}` against an environment on AWS comes with a later version", hint=hint)
