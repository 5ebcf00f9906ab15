"""How the queues of an environment stand: what is in them, who works on it, and why nobody does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from wherry.aws.client import AwsError
from wherry.aws.site import Site
from wherry.aws.stumbles import stumble_of
from wherry.model import Queue
from wherry.target import QueueState, Stumble

_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
#: CloudWatch's minutes that a rate is of, and how far back the oldest message's age is looked for.
_MINUTES = 5
#: DescribeServices takes so many.
_SERVICES = 10

#: A service, as ECS describes it.
Service = Mapping[str, Any]


def states(site: Site) -> list[QueueState]:
    """All queues of the job file, in its order."""
    queues = list(site.jobfile.queues.values())
    if not queues:
        return []
    names = [name for each in queues for name in (each.name, each.dead_letters)]
    seen = site.aws.together(lambda name: counts(site, name), names)
    measured = _measured(site, queues)
    services = _services(site, queues)
    states = [
        _state(site, queue, own, letters, measured[queue.name], services.get(queue.name, {}))
        for queue, own, letters in zip(queues, seen[::2], seen[1::2], strict=True)
    ]
    stumbles = _stumbles(site, states, services)
    return [replace(state, stumble=stumbles.get(state.name)) for state in states]


def counts(site: Site, name: str) -> dict[str, Any]:
    """A queue's counts and its address; nothing where it is not deployed."""
    try:
        url = site.aws.call("sqs", "get_queue_url", QueueName=site.names.queue(name))["QueueUrl"]
        answer = site.aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(_COUNTS))
    except AwsError as error:
        if is_missing(error):
            return {}
        raise
    return {**answer["Attributes"], "QueueUrl": url}


def total(counted: Mapping[str, Any]) -> int:
    """How many messages that are, wherever they stand."""
    return sum(int(counted.get(name, 0)) for name in _COUNTS)


def is_missing(error: AwsError) -> bool:
    """True for SQS's error about a queue that is not there, in either of its spellings."""
    return "NonExistentQueue" in error.code or "QueueDoesNotExist" in error.code


def _state(
    site: Site,
    queue: Queue,
    own: Mapping[str, Any],
    letters: Mapping[str, Any],
    measured: tuple[float | None, float | None],
    service: Service,
) -> QueueState:
    waiting, in_flight, delayed = (int(own.get(name, 0)) for name in _COUNTS)
    taker = site.jobfile.taker(queue.name)
    age, deleted = measured
    return QueueState(
        name=queue.name,
        url=str(own.get("QueueUrl", "")),
        waiting=waiting,
        in_flight=in_flight,
        delayed=delayed,
        dead=total(letters),
        oldest=timedelta(seconds=age) if age is not None and waiting else None,
        job=taker[0].name if taker else None,
        workers=int(service.get("runningCount", 0)),
        max_workers=taker[1].max_workers if taker else 0,
        rate=None if deleted is None else deleted / _MINUTES,
        is_there=bool(own),
    )


def _services(site: Site, queues: Sequence[Queue]) -> dict[str, Service]:
    """Queue -> the service of its workers, of those that are there."""
    takers = {queue.name: site.jobfile.taker(queue.name) for queue in queues}
    wanted = {site.names.service(taker[0].name, queue): queue for queue, taker in takers.items() if taker}

    def look(some: Sequence[str]) -> list[Service]:
        try:
            answer = site.aws.call("ecs", "describe_services", cluster=site.names.cluster, services=list(some))
        except AwsError as error:
            if error.code == "ClusterNotFoundException":
                return []
            raise
        found: list[Service] = answer["services"]
        return found

    parts = [list(wanted)[first : first + _SERVICES] for first in range(0, len(wanted), _SERVICES)]
    found = [each for part in site.aws.together(look, parts) for each in part]
    return {wanted[each["serviceName"]]: each for each in found if each["status"] == "ACTIVE"}


def _stumbles(site: Site, states: Sequence[QueueState], services: Mapping[str, Service]) -> dict[str, Stumble | None]:
    """Queue -> why nobody takes what is there, of those where nobody does."""
    idle = [
        (state, site.jobfile.jobs[state.job])
        for state in states
        if state.job and state.name in services and not state.workers and state.waiting + state.in_flight
    ]
    found = site.aws.together(lambda each: stumble_of(site, each[1], services[each[0].name]), idle)
    return {state.name: stumble for (state, _), stumble in zip(idle, found, strict=True)}


def _measured(site: Site, queues: Sequence[Queue]) -> dict[str, tuple[float | None, float | None]]:
    """Queue -> age of the oldest message in seconds, and messages deleted in the last minutes; None: unknown."""
    queries = [
        {
            "Id": f"{kind}{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "QueueName", "Value": site.names.queue(queue.name)}],
                },
                "Period": 60,
                "Stat": statistic,
            },
        }
        for number, queue in enumerate(queues)
        for kind, metric, statistic in (
            ("age", "ApproximateAgeOfOldestMessage", "Maximum"),
            ("gone", "NumberOfMessagesDeleted", "Sum"),
        )
    ]
    until = site.clock()
    answer = site.aws.call(
        "cloudwatch",
        "get_metric_data",
        MetricDataQueries=queries,
        StartTime=until - timedelta(minutes=_MINUTES),
        EndTime=until,
        ScanBy="TimestampDescending",
    )
    values = {found["Id"]: found.get("Values") or [] for found in answer["MetricDataResults"]}
    return {
        queue.name: (
            next(iter(values.get(f"age{number}", ())), None),
            sum(values[f"gone{number}"]) if values.get(f"gone{number}") else None,
        )
        for number, queue in enumerate(queues)
    }
