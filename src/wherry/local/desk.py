"""The local environment as a `Target`: what a command does here, with and without a running engine.

With an engine, a command adds to the store and the engine executes. Without one, `start` executes that one run in this
process, with a gateway of its own; whatever else it sets off waits in the store for the next `wherry up`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

from wherry.errors import NotFound, UserError
from wherry.local.wake import engine_info, wake_engine
from wherry.local.workspace import Workspace
from wherry.model import Event, JobFile, Overrides, Run, Status, did_you_mean

if TYPE_CHECKING:
    from wherry.local.solo import Serve, Solo
    from wherry.target import EnvironmentStatus, SecretEntry, Upcoming

_CHUNK = 1 << 20
_DAY = timedelta(days=1)
#: How often a log is looked at while its run goes on, in seconds.
_PULSE = 0.03


class Desk:
    """Implements Target for a workspace."""

    def __init__(
        self, workspace: Workspace, serve: Serve, variables: Callable[[Workspace, str], dict[str, str]]
    ) -> None:
        self._workspace = workspace
        self._runs = workspace.runs
        self._serve = serve
        self._variables = variables
        self._solo: Solo | None = None

    def close(self) -> None:
        """Stop what runs in this process and wait for its end."""
        if self._solo:
            self._solo.close()

    def start(self, job: str, *, event: Event | None, overrides: Overrides) -> str:
        """Run a job now: by the engine when one runs, else in this process."""
        from wherry.local.support import refuse_unsupported

        jobfile = self._workspace.jobfile
        refuse_unsupported(jobfile, [jobfile.job(job)], triggers=False)
        if wake_engine(self._workspace.home):
            return self._workspace.intake.by_hand(jobfile.job(job), event, overrides)
        if self._solo is None:
            from wherry.local.solo import Solo

            self._solo = Solo(self._workspace, self._serve)
        return self._solo.start(jobfile.job(job), event, overrides)

    def follow(self, run_id: str) -> Iterator[bytes]:
        """What the run writes, all attempts, as it is written, until it has ended."""
        offsets: dict[int, int] = {}
        while True:
            # First the state, then the logs: what was written before the end is not missed.
            run = self._runs.get(run_id)
            for attempt in run.attempts:
                for chunk in self._read_log(run, attempt.number, offsets.get(attempt.number, 0)):
                    offsets[attempt.number] = offsets.get(attempt.number, 0) + len(chunk)
                    yield chunk
            if run.status.ended:
                return
            self._pause(run)

    def stop(self, run_id: str) -> None:
        """Ask for the run's end."""
        if self._solo and self._solo.stop(run_id):
            return
        self._runs.request_stop(run_id)
        if not wake_engine(self._workspace.home):
            run = self._runs.get(run_id)
            if run.status is Status.QUEUED:
                self._runs.stop_queued(run_id, self._workspace.clock())

    def find(self, reference: str) -> Run:
        """The run of an id or of the beginning of one."""
        return self._runs.find(reference)

    def runs(
        self, *, job: str | None, statuses: Sequence[Status] | None, since: datetime | None, limit: int
    ) -> list[Run]:
        """The newest runs, newest first."""
        return self._runs.listing(job=job, statuses=statuses, since=since, limit=limit)

    def log(self, run: Run, attempt: int) -> Iterator[bytes]:
        """What one attempt has written so far."""
        return self._read_log(run, attempt, 0)

    def emit(self, events: Sequence[Event]) -> list[Run]:
        """Put events on the bus."""
        return [self._runs.get(run_id) for run_id in self._workspace.intake.accept(*events)]

    def put(self, bucket: str, key: str, source: BinaryIO) -> int:
        """Upload an object."""
        from wherry.local.objects import Attributes

        with self._workspace.buckets.receive(self._local_name(bucket), key) as incoming:
            size = 0
            while chunk := source.read(_CHUNK):
                incoming.write(chunk)
                size += len(chunk)
            incoming.commit(Attributes())
        return size

    def get(self, bucket: str, key: str) -> Iterator[bytes]:
        """Download an object."""
        with self._workspace.buckets.open(self._local_name(bucket), key) as opened:
            while chunk := os.read(opened.descriptor, _CHUNK):
                yield chunk

    def set_secret(self, name: str, value: bytes) -> None:
        """Set or replace a secret."""
        self._workspace.secrets.set(name, value)

    def remove_secret(self, name: str) -> None:
        """Remove a secret."""
        self._workspace.secrets.remove(name)

    def secrets(self) -> list[SecretEntry]:
        """All secrets, by name."""
        from wherry.target import SecretEntry

        return [SecretEntry(name=info.name, changed_at=info.changed_at) for info in self._workspace.secrets.listing()]

    def status(self) -> EnvironmentStatus:
        """The environment at a glance."""
        from wherry.target import EnvironmentStatus

        now = self._workspace.clock()
        engine = engine_info(self._workspace.home)
        bad = [Status.FAILED, Status.TIMED_OUT]
        return EnvironmentStatus(
            engine=f"running since {engine.started_at}, pid {engine.pid}, {engine.endpoint}"
            if engine
            else "none runs: `wherry up` starts it",
            running=engine is not None,
            runs=self._runs.counts(now - _DAY),
            upcoming=tuple(self._upcoming(self._workspace.jobfile, now)),
            failures=tuple(self._runs.listing(statuses=bad, since=now - _DAY, limit=5)),
        )

    def access(self) -> dict[str, str]:
        """What an AWS client needs to reach the running engine."""
        engine = engine_info(self._workspace.home)
        if engine is None:
            raise UserError("no engine runs here", hint="start it in another terminal: `wherry up`")
        return self._variables(self._workspace, engine.endpoint)

    def _upcoming(self, jobfile: JobFile, now: datetime) -> list[Upcoming]:
        from wherry.local.scheduler import upcoming
        from wherry.target import Upcoming

        return [Upcoming(job=job, at=at) for at, job in upcoming(jobfile, self._runs, now)]

    def _pause(self, run: Run) -> None:
        """Wait a little, or until a run of this process ends; raise when nobody is there to execute the run."""
        if self._solo and not self._solo.ended.is_set():
            self._solo.ended.wait(_PULSE)
            return
        if run.status is Status.QUEUED and not wake_engine(self._workspace.home):
            raise UserError(
                f"the engine has stopped; run {run.id} waits for the next one", hint="`wherry up` will go on with it"
            )
        time.sleep(_PULSE)

    def _local_name(self, bucket: str) -> str:
        """The physical name of a bucket that a person names by either of its names; raises NotFound."""
        buckets = self._workspace.jobfile.buckets
        if bucket in buckets:
            return buckets[bucket].local_name
        if self._workspace.jobfile.bucket_by_local_name(bucket):
            return bucket
        raise NotFound(f"there is no bucket `{bucket}` in the job file", hint=did_you_mean(bucket, buckets))

    def _read_log(self, run: Run, attempt: int, offset: int) -> Iterator[bytes]:
        try:
            file = open(self._workspace.home.log(run.id, attempt), "rb")  # noqa: SIM115 - closed below
        except FileNotFoundError:
            return  # not started yet
        with file:
            file.seek(offset)
            while chunk := file.read(_CHUNK):
                yield chunk
