"""Runs of an environment on AWS: each is an execution of its job's machine, whose name is the run's id.

Each further round of it is another execution (`names.execution_name`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count, islice
from typing import Any

from wherry.aws import history
from wherry.aws.client import AwsError
from wherry.aws.names import round_of
from wherry.aws.outcomes import pascal
from wherry.aws.rows import Row, rows
from wherry.aws.site import Site
from wherry.aws.visits import Reading, resolved
from wherry.errors import NotFound
from wherry.messages import run_id_of
from wherry.model import Run, Status

#: An open run that was looked at so lately, in seconds, is not looked at again.
_FRESH = 0.7
#: Step Functions may need a moment until it knows what it has just started.
_PATIENCE = 10.0
_PULSE = 0.5
#: Names of executions that somebody could type.
_NAME = re.compile(r"[0-9A-Za-z_-]{1,80}")
#: ECS knows a task so long after its end.
_REMEMBERED = timedelta(hours=1)
#: ... and describes so many at once.
_DESCRIBED = 100
#: The beginning of an id is looked for among so many of the latest runs of each job.
_LOOKED_THROUGH = 2_000
#: Step Functions lists by end, we by beginning: so many more are looked at.
_WINDOW = 100


class Runs:
    """Reads runs."""

    def __init__(self, site: Site) -> None:
        self._site = site
        #: Whose run it is, as far as that is known.
        self._jobs: dict[str, str] = {}
        self._seen: dict[str, tuple[float, Reading]] = {}
        self._definitions: dict[str, Mapping[str, Any]] = {}
        #: How many rounds a run is known to have.
        self._rounds: dict[str, int] = {}

    def remember(self, run_id: str, job: str, *, rounds: int = 1) -> None:
        """Know that a run is one of that job, whether Step Functions says so yet or not; look at it anew."""
        self._jobs[run_id] = job
        self._rounds[run_id] = max(rounds, self._rounds.get(run_id, 1))
        self._seen.pop(run_id, None)

    def job_of(self, run_id: str) -> str:
        """The job of a run; raises NotFound."""
        if run_id not in self._jobs:
            self.get(run_id)
        return self._jobs[run_id]

    def get(self, run_id: str) -> Reading:
        """A run, as it stands now or stood just now; raises NotFound."""
        seen_at, reading = self._seen.get(run_id, (0.0, None))
        if reading and (reading.run.status.ended or time.monotonic() < seen_at + _FRESH):
            return reading
        reading = self._wait_for(run_id) if run_id in self._jobs else self._search(run_id)
        if reading is None:
            raise NotFound(f"there is no run `{run_id}`", hint="`wherry runs` lists them")
        return reading

    def find(self, reference: str) -> Run:
        """The run of an id or of the beginning of one; raises NotFound when none or several fit."""
        reference, _ = round_of(reference)
        if not self.has(reference):
            wanted = reference.lower()
            latest = rows(self._site, self._site.jobfile.jobs)
            fitting = (row for row in islice(latest, self._most()) if row.run_id.startswith(wanted))
            found = list({(row.job, row.run_id): row for row in fitting}.values())
            if len(found) > 1:
                several = ", ".join(row.run_id for row in found[:10])
                raise NotFound(f"`{reference}` is the beginning of several runs: {several}", hint="type more of the id")
            if not found:
                raise NotFound(f"there is no run `{reference}`", hint="`wherry runs` lists them")
            reference = found[0].run_id
            self._jobs[reference] = found[0].job
        return self.resolved(self.get(reference))

    def has(self, run_id: str) -> bool:
        """True for the whole id of a run; one call a job, unless it was found before."""
        run_id, _ = round_of(run_id)
        return run_id in self._jobs or bool(_NAME.fullmatch(run_id) and self._search(run_id))

    def of_causes(self, job: str, causes: Sequence[str]) -> dict[str, Run]:
        """The runs that a job has of causes, by these; a call or two each, as their ids are known."""
        readings = self._site.aws.together(lambda cause: self.look_up(job, run_id_of(job, cause)), causes)
        return {cause: self.resolved(found) for cause, found in zip(causes, readings, strict=True) if found}

    def listing(
        self, *, job: str | None, statuses: Sequence[Status] | None, since: datetime | None, limit: int
    ) -> list[Run]:
        """The newest runs, newest first. One call a run shown, and one for each hundred listed."""
        jobs = [self._site.jobfile.job(job).name] if job else list(self._site.jobfile.jobs)
        latest = _runs_in(rows(self._site, jobs, statuses=statuses, since=since, page=max(_WINDOW, limit)), statuses)
        found: list[Run] = []
        window = sorted(islice(latest, _WINDOW + 4 * limit), key=lambda row: row.started_at, reverse=True)
        while window and len(found) < limit:
            chosen, window = window[:limit], window[limit:] or list(islice(latest, limit))
            runs = self.read_all(chosen)
            found += [run for run in runs if statuses is None or _is_meant(run, statuses, since)]
        return history.ordered(found)[:limit]

    def read_all(self, listed: Sequence[Row]) -> list[Run]:
        """The runs of a listing, without those that are gone by now."""
        readings = self._site.aws.together(lambda row: self.look_up(row.job, row.run_id), listed)
        return self._site.aws.together(self.resolved, [reading for reading in readings if reading])

    def resolved(self, reading: Reading) -> Run:
        """The run with its command and environment."""
        if not reading.visits:
            return reading.run
        name = reading.visits[-1].definition
        return resolved(reading, {name: self.definition(name)}, self._site.jobfile.jobs.get(reading.run.job))

    def definition(self, name: str) -> Mapping[str, Any]:
        """A task definition, as ECS describes it; empty when it is gone."""
        if name and name not in self._definitions:
            try:
                answer = self._site.aws.call("ecs", "describe_task_definition", taskDefinition=name)
            except AwsError as error:
                if error.code != "ClientException":
                    raise
                answer = {}
            self._definitions[name] = answer.get("taskDefinition") or {}
        return self._definitions.get(name, {})

    def _most(self) -> int:
        return _LOOKED_THROUGH * len(self._site.jobfile.jobs)

    def _search(self, run_id: str) -> Reading | None:
        """A run of whichever job."""
        found = self._site.aws.together(lambda job: self.look_up(job, run_id), self._site.jobfile.jobs)
        return next((reading for reading in found if reading), None)

    def _wait_for(self, run_id: str) -> Reading | None:
        """A run that is known to be there."""
        patient_until = time.monotonic() + _PATIENCE
        while True:
            reading = self.look_up(self._jobs[run_id], run_id)
            is_all = reading is not None and reading.rounds >= self._rounds.get(run_id, 1)
            if is_all or time.monotonic() > patient_until:
                return reading
            time.sleep(_PULSE)

    def look_up(self, job: str, run_id: str) -> Reading | None:
        """Read a run's history, a call a round; where that leaves something open, ask ECS, too.

        None: there is no such run. A round that has ended badly costs one more call: is there another?
        """
        events: list[Mapping[str, Any]] = []
        for round_number in count(1):
            more = self._events(job, run_id, round_number)
            events += more
            if not history.may_go_on(more):
                break
        if not events:
            return None
        spec = self._site.jobfile.jobs.get(job)
        reading = history.read(events, run_id=run_id, job=job, spec=spec)
        ended_at = reading.run.ended_at
        if reading.unsettled and (ended_at is None or self._site.clock() - ended_at < _REMEMBERED):
            tasks = self._tasks(reading.unsettled[-_DESCRIBED:])
            reading = history.read(events, run_id=run_id, job=job, spec=spec, tasks=tasks)
        self._jobs[run_id] = job
        self._seen[run_id] = time.monotonic(), reading
        return reading

    def _events(self, job: str, run_id: str, round_number: int) -> list[Mapping[str, Any]]:
        """The history of one round; empty when there is none."""
        try:
            return list(
                self._site.aws.pages(
                    "stepfunctions",
                    "get_execution_history",
                    "events",
                    executionArn=self._site.names.execution_arn(job, run_id, round_number),
                    PaginationConfig={"PageSize": 1000},
                )
            )
        except AwsError as error:
            if error.code in ("ExecutionDoesNotExist", "StateMachineDoesNotExist"):
                return []
            raise

    def _tasks(self, arns: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """What ECS knows of tasks, without those that it has forgotten, an hour after their end."""
        cluster = self._site.names.cluster
        answer = self._site.aws.call("ecs", "describe_tasks", cluster=cluster, tasks=list(arns))
        return {task["taskArn"]: pascal(task) for task in answer["tasks"]}


def _runs_in(listed: Iterable[Row], statuses: Sequence[Status] | None) -> Iterator[Row]:
    """One row a run. A further round tells of an older run, which is listed itself unless some are left out."""
    seen: set[tuple[str, str]] = set()
    for row in listed:
        run = row.job, row.run_id
        if run not in seen and (statuses is not None or row.round_number == 1):
            seen.add(run)
            yield row


def _is_meant(run: Run, statuses: Sequence[Status], since: datetime | None) -> bool:
    """A row speaks of one round, this of the whole run."""
    return run.status in statuses and (since is None or run.created_at >= since)
