"""Workers while their stack changes: what a deploy waits for, and what it cannot do.

A service holds on to what it runs on, also with no task at all: the provider of instances cannot leave the cluster
while a service names it (ECS API Reference, PutClusterCapacityProviders), and whether CloudFormation takes the network
configuration of Fargate from a service that comes to instances is not documented.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from wherry.aws import services
from wherry.aws.changes import Template
from wherry.aws.client import AwsError
from wherry.aws.compile import logical_ids
from wherry.aws.hosts import GROUP
from wherry.aws.survey import Site
from wherry.errors import UserError
from wherry.model import QueueTrigger

_IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"


def refuse_to_move(site: Site, old: Template, new: Template) -> None:
    """Raise UserError where services of workers would go from Fargate to instances, or back."""
    before, after = (GROUP in template.get("Resources", {}) for template in (old, new))
    staying = sorted(_services(old) if before else _services(old) & _services(new))
    if before != after and staying:
        raise UserError(
            f"`{site.names.stem}` moves to {'instances' if after else 'Fargate'}, and its workers cannot go along: "
            + ", ".join(staying),
            hint="deploy twice: first without the `queue` triggers of these jobs (what is sent then waits in its "
            "queue), then with them and the other `capacity`",
        )


def waits_for(site: Site, old: Template, new: Template) -> str:
    """What is to be said of the workers that a deploy changes while they are at work; empty where none is."""
    queues = list(_changed(site, old, new))
    count = 0
    for queue in queues:
        with contextlib.suppress(AwsError):  # it is to be said, and nothing depends on it
            url = site.aws.call("sqs", "get_queue_url", QueueName=site.names.queue(queue))["QueueUrl"]
            told = site.aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=[_IN_FLIGHT])
            count += int(told["Attributes"][_IN_FLIGHT])
    if not count:
        return ""
    what = "a message is" if count == 1 else f"{count} messages are"
    return f"{what} being worked on: workers are changed when theirs is done, and CloudFormation waits for three hours"


def _changed(site: Site, old: Template, new: Template) -> Iterator[str]:
    """The queues at which wherry's workers get another task; one that polls by itself is not waited for."""
    before, after = old.get("Resources", {}), new.get("Resources", {})
    ids = logical_ids(site.jobfile)
    for job in site.jobfile.jobs.values():
        for trigger in job.triggers:
            if isinstance(trigger, QueueTrigger) and trigger.is_managed:
                task = f"{services.worker_id_of(ids[job.name], trigger.queue)}Task"
                if task in before and before[task] != after.get(task):
                    yield trigger.queue


def _services(template: Template) -> set[str]:
    every = template.get("Resources", {}).values()
    return {str(each["Properties"]["ServiceName"]) for each in every if each["Type"] == "AWS::ECS::Service"}
