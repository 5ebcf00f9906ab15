"""The ledger of expected firings: each that was due has a run whose id follows from its cause, or it was missed.

Nothing is kept: what was due follows from the job file and from what Scheduler says of the schedules; what has started
is in Step Functions. One that is disabled, or that was made or changed after the firing, has missed nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from wherry import lifecycle, schedule
from wherry.aws.client import AwsError
from wherry.aws.compile import logical_ids
from wherry.aws.deadletters import DeadLetters
from wherry.aws.rows import Row
from wherry.aws.runs import Runs
from wherry.aws.site import Site
from wherry.aws.triggers import logical_id
from wherry.messages import RUN_ID_LENGTH, run_id_of
from wherry.model import ScheduleTrigger, Status, iso_seconds
from wherry.target import Missed, Upcoming

#: Missed firings of one schedule that are looked at one by one; of more only the newest.
_MOST = 100
#: Scheduler may fire so much later than it says; and its `rate()` may begin so much off from when it was made.
_LATE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Firing:
    """A firing that was due."""

    job: str
    label: str
    at: datetime
    #: Why it has no run, where nothing else says so.
    otherwise: str = "no run of it was started"

    @property
    def cause(self) -> str:
        """The cause of its run."""
        return f"{self.label} {iso_seconds(self.at)}"

    @property
    def run_id(self) -> str:
        """The id of its run."""
        return run_id_of(self.job, self.cause)


@dataclass(kw_only=True)
class Ledger:
    """What was due within a day, and what is next."""

    #: How many firings were due and have a run, by job.
    fired: Counter[str] = field(default_factory=Counter)
    missed: list[Missed] = field(default_factory=list)
    #: The next firing of each schedule that is deployed as it is in the job file, and enabled.
    upcoming: list[Upcoming] = field(default_factory=list)


def ledger(site: Site, runs: Runs, listed: Sequence[Row], *, since: datetime, now: datetime) -> Ledger:
    """Compare what was due with the executions that are listed, which are those since then."""
    found = Ledger()
    deployed = _schedules(site)
    ids = logical_ids(site.jobfile)
    absent: list[Firing] = []
    for job in site.jobfile.jobs.values():
        begun = [row for row in listed if row.job == job.name]
        for trigger in job.triggers:
            if not isinstance(trigger, ScheduleTrigger):
                continue
            name = site.names.rule(logical_id(ids[job.name], trigger))
            found.upcoming += _upcoming(job.name, trigger, deployed.get(name), now)
            described = deployed.get(name) or _gone(site, logical_id(ids[job.name], trigger))
            due = expected(job.name, trigger, described, since=since, now=now)
            alone = _confirmed(site, trigger, without_run(trigger, due, begun))
            absent += alone
            found.fired[job.name] += len(due) - len(alone)
            found.missed += _waiting(runs, due, begun)
    why = DeadLetters(site, runs).undelivered() if absent else {}
    found.missed += [
        Missed(job=firing.job, fires_at=firing.at, reason=why.get((firing.job, firing.cause), firing.otherwise))
        for firing in absent
    ]
    found.upcoming.sort(key=lambda each: (each.at, each.job))
    found.missed.sort(key=lambda missed: (missed.fires_at, missed.job), reverse=True)
    return found


def expected(
    job: str, trigger: ScheduleTrigger, deployed: Mapping[str, Any] | None, *, since: datetime, now: datetime
) -> list[Firing]:
    """The firings that must have a run by now. `deployed` is what Scheduler says of the schedule, None: nothing."""
    if deployed is None or deployed["State"] != "ENABLED":
        return []
    made, changed = (deployed[key].astimezone(UTC) for key in ("CreationDate", "LastModificationDate"))
    parsed = schedule.parse(trigger.expression)
    firings = parsed.firings(max(since, changed), timezone=trigger.timezone, anchor=made)
    latest = now - lifecycle.START_GRACE - trigger.window
    due = takewhile(lambda firing: firing.at <= latest, firings)
    more = {"otherwise": deployed["Reason"]} if "Reason" in deployed else {}
    return [Firing(job=job, label=trigger.label, at=firing.at, **more) for firing in due]


def _upcoming(
    job: str, trigger: ScheduleTrigger, deployed: Mapping[str, Any] | None, now: datetime
) -> Iterator[Upcoming]:
    """The next firing; its name says that a schedule has this expression and zone. `rate()` counts from its making."""
    if deployed is None or deployed["State"] != "ENABLED":
        return
    anchor = deployed["CreationDate"].astimezone(UTC)
    at = schedule.parse(trigger.expression).next_after(now, timezone=trigger.timezone, anchor=anchor)
    if at is not None:
        yield Upcoming(job=job, at=at)


def without_run(trigger: ScheduleTrigger, due: Iterable[Firing], begun: Sequence[Row]) -> list[Firing]:
    """Those of the firings that have no execution among these.

    `rate()` counts from a moment that only Scheduler knows to the second: there any run of a trigger (its id has that
    length) that began within the interval after the firing will do.
    """
    parsed = schedule.parse(trigger.expression)
    if isinstance(parsed, schedule.Rate):
        starts = [row.started_at for row in begun if len(row.run_id) == RUN_ID_LENGTH]
        length = parsed.interval
        return [each for each in due if not any(-_LATE <= start - each.at < length for start in starts)]
    names = {row.run_id for row in begun}
    return [each for each in due if each.run_id not in names]


def _schedules(site: Site) -> dict[str, Mapping[str, Any]]:
    """What Scheduler says of the schedules, by name."""
    group = {"GroupName": site.names.schedules}
    try:
        return {each["Name"]: each for each in site.aws.pages("scheduler", "list_schedules", "Schedules", **group)}
    except AwsError as error:
        if error.code == "ResourceNotFoundException":  # no job has a schedule
            return {}
        raise


def _gone(site: Site, resource: str) -> Mapping[str, Any] | None:
    """The description of a schedule that the stack has made and that is not there; None when it was not deployed."""
    try:
        answer = site.aws.call(
            "cloudformation", "describe_stack_resource", StackName=site.names.stack, LogicalResourceId=resource
        )
    except AwsError as error:
        if error.code == "ValidationError":
            return None
        raise
    made = answer["StackResourceDetail"]["LastUpdatedTimestamp"]
    return {"State": "ENABLED", "CreationDate": made, "LastModificationDate": made, "Reason": "its schedule is gone"}


def _confirmed(site: Site, trigger: ScheduleTrigger, firings: list[Firing]) -> list[Firing]:
    """The newest of them that have no run when they are asked for, too: listings are late, and may be cut off."""
    if isinstance(schedule.parse(trigger.expression), schedule.Rate):
        return firings[-_MOST:]

    def is_there(firing: Firing) -> bool:
        try:
            arn = site.names.execution_arn(firing.job, firing.run_id)
            site.aws.call("stepfunctions", "describe_execution", executionArn=arn)
        except AwsError as error:
            if error.code in ("ExecutionDoesNotExist", "StateMachineDoesNotExist"):
                return False
            raise
        return True

    newest = firings[-_MOST:]
    return [each for each, there in zip(newest, site.aws.together(is_there, newest), strict=True) if not there]


def _waiting(runs: Runs, due: Sequence[Firing], begun: Sequence[Row]) -> list[Missed]:
    """Those whose run is there, and has not begun."""
    by_id = {firing.run_id: firing for firing in due}
    open_ones = [row for row in begun if row.run_id in by_id and row.status == "RUNNING"][-_MOST:]
    return [
        Missed(
            job=run.job,
            fires_at=by_id[run.id].at,
            reason=f"run {run.id} has not begun: it waits for another run of the job to end",
        )
        for run in runs.read_all(open_ones)
        if run.status is Status.QUEUED and not run.attempts
    ]
