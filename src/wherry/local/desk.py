"""The local environment as a `Target`: what a command does here, with and without a running engine.

With an engine, a command adds to the store and the engine executes. Without one, `start` executes that one run in this
process, with a gateway of its own; whatever else it sets off waits in the store for the next `wherry up`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from wherry.errors import NotFound, UserError, WherryError
from wherry.executors.proc import is_alive
from wherry.local.wake import engine_info, wake_engine
from wherry.local.workspace import Workspace
from wherry.messages import queue_of
from wherry.model import Event, Run, Status, did_you_mean

if TYPE_CHECKING:
    from wherry.local.mailroom import Mailroom
    from wherry.local.solo import Serve, Solo
    from wherry.target import (
        Draft,
        EnvironmentStatus,
        Message,
        Missed,
        QueueState,
        SecretEntry,
        TriggerCount,
        Upcoming,
        Wish,
    )

_CHUNK = 1 << 20
_DAY = timedelta(days=1)
#: How often a log is looked at while its run goes on, in seconds.
_PULSE = 0.03


class Desk:
    """Implements Target for a workspace."""

    def __init__(
        self,
        workspace: Workspace,
        serve: Serve,
        variables: Callable[[Workspace, str], dict[str, str]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._workspace = workspace
        self._runs = workspace.runs
        self._history = workspace.history
        self._serve = serve
        self._failed = failed
        self._variables = variables
        self._solo: Solo | None = None

    def close(self) -> None:
        """Stop what runs in this process and wait for its end."""
        if self._solo:
            self._solo.close()

    def start(self, wish: Wish) -> str | None:
        """Run a job: by the engine when one runs, else in this process."""
        from wherry.local.support import refuse_unsupported

        jobfile = self._workspace.jobfile
        executor, by_engine = self._executor()
        refuse_unsupported(jobfile, [jobfile.job(wish.job)], triggers=False, in_containers=executor == "docker")
        if by_engine:
            return self._workspace.intake.by_hand(wish)
        run_id = self._workspace.intake.by_hand(wish, owner=self._workspace.me)
        if run_id is not None:
            self._make_solo().execute(self._history.get(run_id))
        return run_id

    def go_on(self, run_id: str) -> None:
        """See to it that somebody executes an open run: where its own process has died and no engine runs, this one."""
        run = self._history.get(run_id)
        if run.status.ended or wake_engine(self._workspace.home):
            return
        owner = self._runs.owner(run_id)
        if owner is not None and not is_alive(owner):
            if run.status is not Status.QUEUED:
                self._make_solo().look_after(run.job)
                return
            self._runs.release(run_id, owner)
            owner = None
        if owner is None and self._runs.own(run_id, self._workspace.me):
            self._make_solo().execute(run)

    def retry(self, run_id: str) -> None:
        """Give a run that ended badly another round: by the engine when one runs, else in this process."""
        run = self._history.get(run_id)
        self._workspace.jobfile.job(run.job)
        if not run.status.ended:
            raise UserError(f"run {run.id} has not ended", hint=f"it is {run.status}; `wherry stop {run.id}` ends it")
        if run.status is Status.SUCCEEDED:
            raise UserError(f"run {run.id} has succeeded", hint=f"to run its event once more: `wherry replay {run.id}`")
        queue = queue_of(run.cause)
        if queue is not None and queue not in self._workspace.jobfile.queues:
            raise UserError(
                f"run {run.id} works on a message of queue `{queue}`, which is not in the job file",
                hint=f"declare it again (`queues: {{{queue}: {{}}}}`): the message is still there",
            )
        _, by_engine = self._executor()
        owner = None if by_engine else self._workspace.me
        if not self._workspace.intake.again(run.id, owner=owner):
            raise UserError(f"run {run.id} was changed by somebody else just now", hint=f"`wherry show {run.id}`")
        if not by_engine:
            self._make_solo().execute(self._history.get(run.id))

    def retry_all(self, run_ids: Sequence[str]) -> dict[str, UserError]:
        """The same for several, in order; gives those that cannot have one, with the reason."""
        refused: dict[str, UserError] = {}
        for run_id in run_ids:
            try:
                self.retry(run_id)
            except UserError as error:
                refused[run_id] = error
        return refused

    def follow(self, run_id: str, *, after: int = 0) -> Iterator[bytes]:
        """What the run writes as it is written, all attempts but the first `after`, until it has ended."""
        offsets: dict[int, int] = {}
        while True:
            # First the state, then the logs: what was written before the end is not missed.
            run = self._history.get(run_id)
            for attempt in run.attempts[after:]:
                for chunk in self._read_log(run, attempt.number, offsets.get(attempt.number, 0)):
                    offsets[attempt.number] = offsets.get(attempt.number, 0) + len(chunk)
                    yield chunk
            if run.status.ended:
                return
            yield b""
            self._pause(run)

    def stop(self, run_id: str) -> None:
        """Ask for the run's end."""
        if self._solo and self._solo.stop(run_id):
            return
        if not self._runs.request_stop(run_id):
            raise UserError(f"run {run_id} has ended already", hint=f"`wherry show {run_id}`")
        if not wake_engine(self._workspace.home) and self._history.get(run_id).status is Status.QUEUED:
            reason = "stopped on request before it started"
            now = self._workspace.clock()
            holding = self._workspace.holding
            self._workspace.database.write(lambda tx: holding.close(tx, run_id, Status.STOPPED, reason, now))

    def find(self, reference: str) -> Run:
        """The run of an id or of the beginning of one."""
        return self._history.find(reference)

    def of_causes(self, job: str, causes: Sequence[str]) -> dict[str, Run]:
        """The runs that a job has of causes, by these."""
        return {cause: run for cause in causes if (run := self._history.of_cause(job, cause))}

    def dead_letters(
        self, *, job: str | None = None, reason: str | None = None, since: datetime | None = None, limit: int = -1
    ) -> list[Run]:
        """The runs that ended badly and that nobody has dealt with, newest first."""
        return self._history.dead(job=job, reason=reason, since=since, limit=limit)

    def bury(self, run_ids: Sequence[str]) -> None:
        """These runs are no dead letters any more."""
        self._runs.bury(list(run_ids))

    def runs(
        self, *, job: str | None, statuses: Sequence[Status] | None, since: datetime | None, limit: int
    ) -> list[Run]:
        """The newest runs, newest first."""
        return self._history.listing(job=job, statuses=statuses, since=since, limit=limit)

    def log(self, run: Run, attempt: int, helper: str = "", *, last: int | None = None) -> Iterator[bytes]:
        """What one attempt, or a helper in it, has written so far; of it the `last` bytes."""
        path = self._workspace.home.log(run.id, attempt, helper)
        offset = 0
        if last is not None and os.path.exists(path):
            offset = max(0, os.path.getsize(path) - last)
        return self._read_log(run, attempt, offset, helper)

    def emit(self, events: Sequence[Event]) -> list[Run]:
        """Put events on the bus."""
        return [self._history.get(run_id) for run_id in self._workspace.intake.accept(*events)]

    def put(self, bucket: str, key: str, source: BinaryIO) -> int:
        """Upload an object."""
        from wherry.local.objects import Attributes

        with self._workspace.buckets.receive(self._local_name(bucket), key) as incoming:
            size = 0
            while chunk := source.read(_CHUNK):
                try:
                    incoming.write(chunk)
                except OSError as error:
                    raise WherryError(
                        f"`{key}` cannot be kept: {(error.strerror or str(error)).lower()}",
                        hint=f"free some space on the disk of {self._workspace.home.root}",
                    ) from error
                size += len(chunk)
            incoming.commit(Attributes())
        return size

    def get(self, bucket: str, key: str) -> Iterator[bytes]:
        """Download an object."""
        with self._workspace.buckets.open(self._local_name(bucket), key) as opened:
            while chunk := os.read(opened.descriptor, _CHUNK):
                yield chunk

    def queues(self) -> list[QueueState]:
        """All queues of the job file."""
        engine = engine_info(self._workspace.home)
        return self._mailroom.states(engine.endpoint if engine else "")

    def send(self, queue: str, drafts: Sequence[Draft]) -> list[str]:
        """Send messages, in order; gives their ids."""
        return self._mailroom.send(queue, drafts)

    def peek(self, queue: str, *, dead: bool = False, limit: int = 10) -> list[Message]:
        """The oldest messages of a queue, or of its dead letters."""
        return self._mailroom.peek(queue, dead=dead, limit=limit)

    def redrive(self, queue: str) -> int:
        """Move the dead letters of a queue back into it."""
        return self._mailroom.redrive(queue)

    def purge(self, queue: str, *, dead: bool = False) -> int:
        """Delete all messages of a queue, or of its dead letters."""
        return self._mailroom.purge(queue, dead=dead)

    def set_secret(self, name: str, value: bytes, *, is_sure: bool = False) -> None:  # noqa: ARG002 - all are ours
        """Set or replace a secret."""
        self._workspace.secrets.set(name, value)

    def remove_secret(self, name: str, *, is_sure: bool = False) -> None:  # noqa: ARG002 - all are ours
        """Remove a secret."""
        self._workspace.secrets.remove(name)

    def secrets(self) -> list[SecretEntry]:
        """All secrets, by name."""
        from wherry.target import SecretEntry

        return [SecretEntry(name=info.name, changed_at=info.changed_at) for info in self._workspace.secrets.listing()]

    def status(self) -> EnvironmentStatus:
        """The environment at a glance."""
        from wherry.local.retention import disk_use
        from wherry.target import EnvironmentStatus

        now = self._workspace.clock()
        engine = engine_info(self._workspace.home)
        bad = [Status.FAILED, Status.TIMED_OUT]
        missed = self._missed(now, engine is not None)
        return EnvironmentStatus(
            engine=f"running since {engine.started_at}, pid {engine.pid}, {engine.endpoint}"
            if engine
            else "none runs: `wherry up` starts it",
            running=engine is not None,
            runs=self._history.counts(now - _DAY),
            upcoming=tuple(self._upcoming(now)),
            failures=tuple(self._history.listing(statuses=bad, since=now - _DAY, limit=5)),
            missed=tuple(missed),
            triggers=self._triggers(missed, now),
            dead_letters=self._history.dead_count(),
            disk=disk_use(self._workspace),
        )

    def has_engine(self) -> bool:
        """True when an engine runs here."""
        return engine_info(self._workspace.home) is not None

    def access(self) -> dict[str, str]:
        """What an AWS client needs to reach the running engine."""
        engine = engine_info(self._workspace.home)
        if engine is None:
            raise UserError("no engine runs here", hint="start it in another terminal: `wherry up`")
        return self._variables(self._workspace, engine.endpoint)

    @cached_property
    def _mailroom(self) -> Mailroom:
        from wherry.local.mailroom import Mailroom

        return Mailroom(self._workspace)

    def _executor(self) -> tuple[str, bool]:
        """What would execute a run now, and whether an engine does; raises UserError when another one is asked for."""
        asked = self._workspace.executor
        engine = engine_info(self._workspace.home)
        if engine is None:
            return asked or "process", wake_engine(self._workspace.home)
        if asked not in (None, engine.executor):
            raise UserError(
                f"an engine runs here (pid {engine.pid}), and it executes by `{engine.executor}`",
                hint=f"leave `--executor` out, or end it and start it anew: `wherry up --executor {asked}`",
            )
        return engine.executor, True

    def _make_solo(self) -> Solo:
        if self._solo is None:
            from wherry.local.solo import Solo

            self._solo = Solo(self._workspace, self._serve, self._failed)
        return self._solo

    def _upcoming(self, now: datetime) -> list[Upcoming]:
        from wherry.local.scheduler import upcoming
        from wherry.target import Upcoming

        firings = upcoming(self._workspace.jobfile, self._workspace.firings, now)
        return [Upcoming(job=job, at=at) for at, job in firings]

    def _missed(self, now: datetime, has_engine: bool) -> list[Missed]:
        """What the ledger says; without an engine also what it would say if one looked now."""
        from wherry.local.scheduler import overdue
        from wherry.target import Missed

        known = self._workspace.firings.missed(since=now - _DAY)
        if has_engine:
            return known
        found = overdue(self._workspace.jobfile, self._workspace.firings, now)
        return [Missed(job=job, fires_at=at, reason="no engine runs") for at, job in reversed(found)] + known

    def _triggers(self, missed: Sequence[Missed], now: datetime) -> tuple[TriggerCount, ...]:
        """How often each kind of trigger has fired; what is on the bus here is always delivered."""
        from wherry.target import TriggerCount

        fired = self._history.fired(now - _DAY)
        lost = Counter(each.job for each in missed)
        kinds = {
            (job.name, trigger.kind): lost[job.name] if trigger.kind == "schedule" else 0
            for job in self._workspace.jobfile.jobs.values()
            for trigger in job.triggers
        }
        return tuple(
            TriggerCount(job=job, trigger=kind, fired=fired.get((job, kind), 0), missed=count)
            for (job, kind), count in kinds.items()
        )

    def _pause(self, run: Run) -> None:
        """Wait a little; raise when nobody is there to execute the run."""
        if self._solo:
            if self._solo.error:
                raise self._solo.error
            self._solo.changed.wait(_PULSE)
            self._solo.changed.clear()
            return
        if not wake_engine(self._workspace.home) and self._is_left_alone(run):
            raise UserError(
                f"the engine has stopped; run {run.id} waits for the next one", hint="`wherry up` will go on with it"
            )
        time.sleep(_PULSE)

    def _is_left_alone(self, run: Run) -> bool:
        owner = self._runs.owner(run.id)
        if owner is not None and is_alive(owner):
            return False
        return not self._history.get(run.id).status.ended  # it may have ended just now

    def _local_name(self, bucket: str) -> str:
        """The physical name of a bucket that a person names by either of its names; raises NotFound."""
        buckets = self._workspace.jobfile.buckets
        if bucket in buckets:
            return buckets[bucket].local_name
        if self._workspace.jobfile.bucket_by_local_name(bucket):
            return bucket
        raise NotFound(f"there is no bucket `{bucket}` in the job file", hint=did_you_mean(bucket, buckets))

    def _read_log(self, run: Run, attempt: int, offset: int, helper: str = "") -> Iterator[bytes]:
        try:
            file = open(self._workspace.home.log(run.id, attempt, helper), "rb")  # noqa: SIM115 - closed below
        except FileNotFoundError:
            return  # not started yet
        with file:
            file.seek(offset)
            while chunk := file.read(_CHUNK):
                yield chunk
