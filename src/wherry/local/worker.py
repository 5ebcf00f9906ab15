"""Executes one run's attempt, from claim to decision: a short pipeline with its writes at the named steps.

claim -> prepare -> start -> started -> wait (timeout) -> decide. Every ending is an `Outcome`; the lifecycle says what
becomes of the run, and the store is told once.
"""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable
from datetime import datetime

from wherry import lifecycle
from wherry.errors import WherryError
from wherry.executors import GRACE, CouldNotStart, Executor, Handle
from wherry.lifecycle import Decision
from wherry.local.clock import Clock
from wherry.local.environment import AwsAccess, SecretSource, prepare
from wherry.local.home import Home
from wherry.local.runs import Runs
from wherry.model import Ending, JobFile, Outcome, Retry, Run, Status

#: Gives a run's own credentials, or None when jobs inherit the caller's AWS configuration.
AccessFor = Callable[[str], AwsAccess | None]
#: Is told of each step of a run: the run as it then is.
Listener = Callable[[Run], None]


class Worker:
    """Executes attempts; safe to use from many threads at once, one run a thread."""

    def __init__(
        self,
        *,
        jobfile: Callable[[], JobFile],
        home: Home,
        runs: Runs,
        executor: Executor,
        secrets: SecretSource,
        access_for: AccessFor,
        clock: Clock,
        listener: Listener,
    ) -> None:
        self._jobfile = jobfile
        self._home = home
        self._runs = runs
        self._executor = executor
        self._secrets = secrets
        self._access_for = access_for
        self._clock = clock
        self._listener = listener
        self._lock = threading.Lock()
        #: The runs being executed: their job, and their process once there is one.
        self._active: dict[str, tuple[str, Handle | None]] = {}
        self._stopped: set[str] = set()
        self._denials: dict[str, list[str]] = {}

    def active(self) -> dict[str, str]:
        """The runs being executed, and each one's job."""
        with self._lock:
            return {run_id: job for run_id, (job, _) in self._active.items()}

    def execute(self, run: Run) -> Run:
        """Execute the open attempt of a claimed run; gives the run as it is afterwards."""
        with self._lock:
            self._active[run.id] = (run.job, None)
        try:
            run, outcome = self._attempt(run)
        except WherryError as error:
            text = f"{error.message}; {error.hint}" if error.hint else error.message
            outcome = Outcome(ending=Ending.COULD_NOT_START, reason=text)
        except Exception as error:  # noqa: BLE001 - a run must not hang because of a mistake of ours
            outcome = Outcome(ending=Ending.COULD_NOT_START, reason=f"this is a bug in wherry: {error!r}")
        return self._decide(run, outcome)

    def take_over(self, run: Run) -> Run:
        """Bring a run to an end whose engine died: wait for its process where that lives on, then decide."""
        with self._lock:
            self._active[run.id] = (run.job, None)
        identity = run.attempts[-1].process if run.attempts else ""
        handle = self._executor.find(identity) if identity else None
        if handle is not None:
            outcome = self._wait(run, handle)
        else:
            outcome = Outcome(ending=Ending.LOST, reason="the engine was killed while it ran, and the process ended")
        return self._decide(run, outcome)

    def stop(self, run_id: str, grace: float = GRACE.total_seconds()) -> bool:
        """Ask an attempt to end; False when the run is not being executed here."""
        with self._lock:
            if run_id not in self._active:
                return False
            self._stopped.add(run_id)
            _, handle = self._active[run_id]
        if handle is not None:
            handle.stop(grace)
        return True

    def denied(self, run_id: str, message: str) -> None:
        """Note that the gateway refused a run something, so that its failure can say so."""
        with self._lock:
            notes = self._denials.setdefault(run_id, [])
            if message not in notes:
                notes.append(message)

    def _attempt(self, run: Run) -> tuple[Run, Outcome]:
        run, launch = prepare(run, self._jobfile(), self._home, self._secrets, self._access_for(run.id))
        try:
            handle = self._executor.start(launch)
        except CouldNotStart as error:
            return run, Outcome(ending=Ending.COULD_NOT_START, reason=error.message)
        self._runs.started(run, handle.identity)
        self._listener(dataclasses.replace(run, status=Status.RUNNING))
        return run, self._wait(run, handle)

    def _wait(self, run: Run, handle: Handle) -> Outcome:
        with self._lock:
            self._active[run.id] = (run.job, handle)
            stop_now = run.id in self._stopped
        if stop_now:
            handle.stop(GRACE.total_seconds())
        job = self._jobfile().jobs.get(run.job)
        outcome = handle.wait(_left(run, job.timeout.total_seconds() if job and job.timeout else None, self._clock()))
        if outcome is not None:
            return self._as_stopped(run, outcome)
        handle.stop(GRACE.total_seconds())
        handle.wait()
        assert job is not None  # noqa: S101 - without a job there is no timeout to run into
        reason = f"it ran longer than `timeout: {lifecycle.duration(job.timeout)}`"
        return Outcome(ending=Ending.TIMED_OUT, reason=reason)

    def _as_stopped(self, run: Run, outcome: Outcome) -> Outcome:
        with self._lock:
            stopped = run.id in self._stopped
        if not stopped:
            return outcome
        return dataclasses.replace(
            outcome, ending=Ending.STOPPED, reason=f"stopped on request; {outcome.reason}".rstrip("; ")
        )

    def _decide(self, run: Run, outcome: Outcome) -> Run:
        outcome = self._with_denials(run, outcome)
        job = self._jobfile().jobs.get(run.job)
        now = self._clock()
        ended = dataclasses.replace(run.attempts[-1], ended_at=now, outcome=outcome)
        run = dataclasses.replace(run, attempts=(*run.attempts[:-1], ended))
        decision = lifecycle.after_attempt(
            run.attempts,
            outcome,
            job.retry if job else Retry(),
            now=now,
            chance=random.random(),  # noqa: S311 - jitter
        )
        self._runs.decide(run, outcome, decision, now)
        with self._lock:
            self._active.pop(run.id, None)
            self._stopped.discard(run.id)
        run = _decided(run, decision, now)
        self._listener(run)
        return run

    def _with_denials(self, run: Run, outcome: Outcome) -> Outcome:
        with self._lock:
            notes = self._denials.pop(run.id, [])
        if outcome.succeeded or not notes:
            return outcome
        return dataclasses.replace(outcome, reason="; ".join(filter(None, [outcome.reason, *notes])))


def _left(run: Run, timeout: float | None, now: datetime) -> float | None:
    """What is left of an attempt's timeout, in seconds."""
    if timeout is None:
        return None
    return timeout - (now - run.attempts[-1].started_at).total_seconds()


def _decided(run: Run, decision: Decision, now: datetime) -> Run:
    return dataclasses.replace(
        run,
        status=decision.status,
        due_at=decision.due_at or run.due_at,
        ended_at=now if decision.status.ended else None,
        reason=decision.reason,
    )
