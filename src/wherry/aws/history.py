"""The histories of a run's executions, one a round, read as the run. Pure.

Of a run machine's states `Run` matters here: each task that it schedules is one attempt; all else is waiting.
The history holds all that is known: input, attempts, end; a listing costs one call a run and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from wherry import lifecycle
from wherry.aws import endings
from wherry.aws.outcomes import container_of, loaded, moment, of_failure, outcome_of, task_of, too_late_to_start
from wherry.aws.visits import Reading, Visit, attempt_of
from wherry.model import Ending, Event, Job, Outcome, Overrides, Run, Status, new_event

RUN_STATE = "Run"
#: Between two attempts; how many seconds it takes is in a variable.
_BACKOFF_STATE = "Backoff"
_WAIT = "wait"
_SECOND = timedelta(seconds=1)
_ENDS = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})
_FAILURES = frozenset({"TaskFailed", "TaskSubmitFailed", "TaskStartFailed"})


def read(
    events: Iterable[Mapping[str, Any]],
    *,
    run_id: str,
    job: str,
    spec: Job | None = None,
    tasks: Mapping[str, Mapping[str, Any]] | None = None,
) -> Reading:
    """A run of a job, by the events of all its rounds.

    `spec` is what the job file says of the job, `tasks` what ECS says of tasks under way, by ARN.
    """
    reader = _Reader(tasks or {}, spec)
    for event in events:
        reader.take(event)
    run = reader.run(run_id, job)
    return Reading(run=run, visits=tuple(reader.visits), given=reader.given, rounds=reader.rounds)


def may_go_on(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a round may have been followed by another one: whatever has ended and not succeeded."""
    last = events[-1] if events else None
    if last is None or last["type"] not in _ENDS:
        return False
    end = endings.of(last, ())
    return end is not None and end.status is not Status.SUCCEEDED


class _Reader:
    """Takes one event after the other."""

    def __init__(self, tasks: Mapping[str, Mapping[str, Any]], spec: Job | None) -> None:
        self.visits: list[Visit] = []
        self._tasks = tasks
        self._spec = spec
        self.given: Mapping[str, Any] = {}
        self.rounds = 0
        self._state = ""
        self._created: datetime | None = None
        self._asked: datetime | None = None
        self._earlier = 0
        self._wait: float | None = None
        self._due: datetime | None = None
        self._end: Mapping[str, Any] | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Take the next event."""
        kind = str(event["type"])
        if kind == "ExecutionStarted":
            self.rounds += 1
            if self._created is None:
                self._created = _when(event)
                self.given = loaded(_details(event).get("input"))
            self._begin_round(event)
        elif kind == "ExecutionRedriven":  # by somebody's hand: wherry does not
            self._begin_round(event)
        elif kind.endswith("StateEntered"):
            self._state = str(event["stateEnteredEventDetails"]["name"])
            if self._state == _BACKOFF_STATE and self._wait is not None:
                self._due = _when(event) + timedelta(seconds=self._wait)
        elif kind.endswith("StateExited"):
            assigned = event["stateExitedEventDetails"].get("assignedVariables") or {}
            self._wait = _number(assigned.get(_WAIT), self._wait)
        elif kind in _ENDS:
            self._end = event
        elif self._state == RUN_STATE:
            self._take_task(kind, event)

    def _begin_round(self, event: Mapping[str, Any]) -> None:
        self._conclude()
        self._end, self._earlier, self._asked, self._due = None, len(self.visits), _when(event), None

    def _conclude(self) -> endings.End | None:
        """The end of the present round, None while it goes on."""
        ours = self.visits[self._earlier :]
        deadline = self._spec.deadline if self._spec else None
        end = endings.of(self._end, [visit.outcome for visit in ours], deadline)
        if end is not None and ours:
            self._settle(ours[-1], end)
        return end

    def _take_task(self, kind: str, event: Mapping[str, Any]) -> None:
        details = _details(event)
        if kind == "TaskScheduled":
            visit = Visit(
                scheduled_at=_when(event),
                parameters=loaded(details.get("parameters")),
                bound=details.get("timeoutInSeconds"),
            )
            self.visits.append(visit)
            self._due = None
            return
        if not self.visits or self.visits[-1].outcome:
            return
        visit = self.visits[-1]
        if kind == "TaskSubmitted":
            task = (loaded(details.get("output")).get("Tasks") or [{}])[0]
            visit.task = {**task, **self._tasks.get(str(task.get("TaskArn")), {})}
        elif kind == "TaskSucceeded":
            visit.task = loaded(details.get("output"))
            self._close(visit, event, outcome_of(visit.task, visit.main))
        elif kind == "TaskTimedOut" or details.get("error") == "States.Timeout":
            self._close(visit, event, self._timed_out(visit))
        elif kind in _FAILURES:
            error, cause = str(details.get("error") or ""), str(details.get("cause") or "")
            visit.task = {**visit.task, **task_of(cause)}
            self._close(visit, event, of_failure(error, cause, visit.main))

    def _close(self, visit: Visit, event: Mapping[str, Any], outcome: Outcome) -> None:
        visit.outcome = outcome
        visit.ended_at = moment(visit.task.get("StoppedAt")) or _when(event)

    def _timed_out(self, visit: Visit) -> Outcome:
        """What its bound was is known; whether that was `timeout` or `deadline` the job file says.

        Step Functions counts whole seconds: a bound that is rounded up is still the one in the job file. It counts from
        the call that starts the task: only ECS tells whether that had begun by then.
        """
        spec = self._spec
        length = timedelta(seconds=visit.bound) if visit.bound else None
        said = f"timeout: {lifecycle.duration(length)}" if length else "timeout"
        if spec and spec.timeout and (length is None or length - _SECOND < spec.timeout <= length):
            said = f"timeout: {lifecycle.duration(spec.timeout)}"
        elif spec and spec.deadline and (length is None or spec.timeout is None or length < spec.timeout):
            said = f"deadline: {lifecycle.duration(spec.deadline)}"
        if visit.arn in self._tasks and not visit.task.get("StartedAt"):
            return too_late_to_start(visit.task, visit.main, said)
        return Outcome(ending=Ending.TIMED_OUT, reason=f"it ran longer than `{said}`")

    def run(self, run_id: str, job: str) -> Run:
        """What it all comes to."""
        if self._created is None or self._asked is None:
            raise ValueError("the history has no beginning")
        end = self._conclude()
        status, reason, due_at = self._open(self._created) if end is None else (end.status, end.reason, self._created)
        overrides = self.given.get("overrides") or {}
        command = overrides.get("command")
        document = self.given.get("event")
        event = Event(document=document) if isinstance(document, Mapping) and "id" in document else None
        return Run(
            id=run_id,
            job=job,
            trigger=str(self.given.get("trigger") or "manual"),
            cause=str(self.given.get("cause") or ""),
            event=event or new_event("wherry", "Manual Run", {}, now=self._created, event_id=run_id),
            status=status,
            created_at=self._created,
            due_at=due_at,
            overrides=Overrides(
                command=None if command is None else tuple(command),
                args=tuple(overrides.get("args") or ()),
                env=dict(overrides.get("env") or {}),
            ),
            attempts=tuple(attempt_of(number, visit) for number, visit in enumerate(self.visits, 1)),
            asked_at=self._asked,
            earlier_attempts=self._earlier,
            ended_at=end.at if end else None,
            reason=reason,
        )

    def _settle(self, visit: Visit, end: endings.End) -> None:
        """The run's end says how an attempt ended that the history left open; and what became of the last one."""
        if visit.outcome is None:
            code = container_of(visit.task, visit.main).get("ExitCode")
            visit.outcome = replace(end.of_open_attempt, exit_code=code)
            visit.ended_at = moment(visit.task.get("StoppedAt")) or end.at
        elif end.status is Status.SUCCEEDED and not visit.outcome.succeeded:
            visit.outcome = Outcome(ending=Ending.EXITED, exit_code=0)

    def _open(self, created: datetime) -> tuple[Status, str, datetime]:
        """Where a run stands that has not ended: status, reason, when its next attempt is due."""
        last = self.visits[-1] if len(self.visits) > self._earlier else None
        if last is None:
            return Status.QUEUED, "", created
        if last.outcome is None or last.outcome.succeeded or last.ended_at is None:
            return last.status, "", created
        attempts = [attempt_of(number, visit) for number, visit in enumerate(self.visits, 1)][self._earlier :]
        retry = self._spec.retry if self._spec else lifecycle.START_BUDGET
        decision = lifecycle.after_attempt(attempts, last.outcome, retry, now=last.ended_at, chance=0)
        return Status.QUEUED, decision.reason, self._due or decision.due_at or last.ended_at


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of an event that is named after its type."""
    kind = str(event["type"])
    found: Mapping[str, Any] = event.get(f"{kind[0].lower()}{kind[1:]}EventDetails") or {}
    return found


def _when(event: Mapping[str, Any]) -> datetime:
    found = moment(event["timestamp"])
    if found is None:
        raise ValueError(f"an event without a time: {event}")
    return found


def _number(text: Any, otherwise: float | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return otherwise


def ordered(runs: Sequence[Run]) -> list[Run]:
    """Newest first."""
    return sorted(runs, key=lambda run: (run.created_at, run.id), reverse=True)
