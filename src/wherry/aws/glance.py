"""An environment on AWS at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from wherry.agent.records import OPEN
from wherry.aws import counts, history, ledger
from wherry.aws.client import AwsError
from wherry.aws.recordings import Recordings
from wherry.aws.rows import Row, rows
from wherry.aws.runs import Runs
from wherry.aws.site import Site
from wherry.errors import UserError
from wherry.model import Run, Status
from wherry.target import EnvironmentStatus

_DAY = timedelta(days=1)
#: So many runs are counted, and of so many of them is asked how they ended in our words.
_MOST_COUNTED = 10_000
_MOST_READ = 200
_FAILURES = 5
#: No task comes and goes in so short a time: what succeeded so soon may have been skipped.
_TASKLESS = timedelta(seconds=15)
_PLAIN = {
    "RUNNING": Status.RUNNING,
    "SUCCEEDED": Status.SUCCEEDED,
    "FAILED": Status.FAILED,
    "TIMED_OUT": Status.TIMED_OUT,
    "ABORTED": Status.STOPPED,
}


def glance(site: Site, runs: Runs, recordings: Recordings) -> EnvironmentStatus:
    """What there is to know."""
    stack = _stack(site)
    where = f"AWS {site.names.region}, account {site.names.account}, stack {site.names.stack}"
    if stack is None:
        hint = f"`wherry deploy --env {site.environment.name}` makes it"
        return _status(engine=f"{where}: not deployed, {hint}")
    now = site.clock()
    since = now - _DAY
    listed = _listed(site, since)
    totals, failures = _last_day(site, runs, listed)
    of_messages, failed = _of_messages(recordings, since)
    totals, failures = totals + of_messages, history.ordered([*failures, *failed])[:_FAILURES]
    known = ledger.ledger(site, runs, listed, since=since, now=now)
    return _status(
        engine=f"{where}: {stack['StackStatus']}",
        running=True,
        runs=dict(totals),
        upcoming=tuple(known.upcoming),
        failures=tuple(failures),
        missed=tuple(known.missed),
        triggers=counts.counts(site, known, since=since, now=now),
        dead_letters=_dead_letters(site),
    )


def _status(**known: Any) -> EnvironmentStatus:
    unknown: dict[str, Any] = {
        "running": False,
        "runs": {},
        "upcoming": (),
        "failures": (),
        "missed": (),
        "triggers": (),
        "dead_letters": 0,
        "disk": None,
    }
    return EnvironmentStatus(**{**unknown, **known})


def _stack(site: Site) -> Mapping[str, Any] | None:
    """The stack, None when it is not there."""
    try:
        stacks = site.aws.call("cloudformation", "describe_stacks", StackName=site.names.stack)["Stacks"]
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in error.message:
            return None
        raise
    return next((stack for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"), None)


def _listed(site: Site, since: datetime) -> list[Row]:
    """The latest executions."""
    try:
        return list(islice(rows(site, site.jobfile.jobs, since=since), _MOST_COUNTED))
    except UserError:  # a stack without machines: its deployment goes on, or was rolled back
        return []


def _last_day(site: Site, runs: Runs, listed: Sequence[Row]) -> tuple[Counter[Status], list[Run]]:
    """How many runs stand where, and the latest that ended badly.

    A listing tells apart what Step Functions does; of the rest the latest are read.
    """
    first = [row for row in listed if row.round_number == 1]
    retried = {row.run_id for row in listed if row.round_number > 1}
    unclear = [row for row in first if row.run_id in retried or _is_unclear(site, row)][:_MOST_READ]
    read = runs.read_all(unclear)
    totals = Counter(run.status for run in read)
    totals.update(_PLAIN.get(row.status, Status.FAILED) for row in set(first) - set(unclear))
    failures = [run for run in read if run.status in (Status.FAILED, Status.TIMED_OUT)]
    return totals, history.ordered(failures)[:_FAILURES]


def _of_messages(recordings: Recordings, since: datetime) -> tuple[Counter[Status], list[Run]]:
    """The same of runs of messages: their listing tells how they ended; of those that have not, all are said to run."""
    listed = list(islice(recordings.entries(recordings.jobs, since=since), _MOST_COUNTED))
    totals = Counter(Status.RUNNING if each.state == OPEN else Status(each.state) for each in listed)
    bad = [each for each in listed if each.state in (Status.FAILED, Status.TIMED_OUT)][:_FAILURES]
    return totals, recordings.runs_of([record for record in recordings.read_all(bad) if record])


def _is_unclear(site: Site, row: Row) -> bool:
    """Whether Step Functions' word for a status has several meanings here."""
    if row.status != "SUCCEEDED":
        return row.status != "ABORTED"
    is_short = row.stopped_at is not None and row.stopped_at - row.started_at < _TASKLESS
    return is_short and site.jobfile.jobs[row.job].overlap == "skip"


def _dead_letters(site: Site) -> int:
    """How many messages are in the queue of dead letters, about; also those that somebody looks at just now."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    try:
        url = site.aws.call("sqs", "get_queue_url", QueueName=site.names.dead_letters)["QueueUrl"]
        answer = site.aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=names)
    except AwsError as error:
        if "NonExistentQueue" in error.code or "QueueDoesNotExist" in error.code:
            return 0
        raise
    return sum(int(answer["Attributes"].get(name, 0)) for name in names)
