"""Workers before their stack goes: none comes again, whatever waits in their queues.

A backlog asks for workers as long as it is there: the waker looks every minute, and CloudWatch repeats the action of an
alarm of Auto Scaling while it stands. So both are ended before a service's number of tasks is.

Sources: Application Auto Scaling API Reference, RegisterScalableTarget; EventBridge API Reference, DisableRule.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from wherry.aws.changes import Template
from wherry.aws.client import AwsError
from wherry.aws.survey import Site

_DIMENSION = "ecs:service:DesiredCount"
#: DescribeScalableTargets takes so many at once.
_BATCH = 50


def dismiss(site: Site, template: Template, tell: Callable[[str], object]) -> None:
    """Have no workers: neither those that are there, nor others."""
    services = list(_services(template))
    if not services:
        return
    for rule in _wakes(site, template):
        with _unless_gone():
            site.aws.call("events", "disable_rule", **rule)
    _close(site, services)
    for service in services:
        tell(f"workers {service}: no more of them")
        with contextlib.suppress(AwsError):  # it is gone, or just going
            site.aws.call("ecs", "update_service", cluster=site.names.cluster, service=service, desiredCount=0)


def _close(site: Site, services: list[str]) -> None:
    """Let nothing scale; only what is registered, for what is not would be registered by that."""
    wanted = [f"service/{site.names.cluster}/{service}" for service in services]
    for first in range(0, len(wanted), _BATCH):
        for target in site.aws.pages(
            "application-autoscaling",
            "describe_scalable_targets",
            "ScalableTargets",
            ServiceNamespace="ecs",
            ResourceIds=wanted[first : first + _BATCH],
            ScalableDimension=_DIMENSION,
        ):
            with _unless_gone():
                site.aws.call(
                    "application-autoscaling",
                    "register_scalable_target",
                    ServiceNamespace="ecs",
                    ResourceId=target["ResourceId"],
                    ScalableDimension=_DIMENSION,
                    MinCapacity=0,
                    MaxCapacity=0,
                )


def _wakes(site: Site, template: Template) -> Iterator[dict[str, str]]:
    """The rules that start the waker, as the API names them."""
    for resource in template.get("Resources", {}).values():
        properties = resource["Properties"]
        if resource["Type"] != "AWS::Events::Rule":
            continue
        if any(target["Arn"] == {"Ref": "Waker"} for target in properties.get("Targets", ())):
            bus = {"EventBusName": site.names.bus(site.environment.bus)} if "EventBusName" in properties else {}
            yield {"Name": properties["Name"], **bus}


def _services(template: Template) -> Iterator[str]:
    """The services of the stack: they would put a task in the place of each one that is stopped."""
    for resource in template.get("Resources", {}).values():
        if resource["Type"] == "AWS::ECS::Service":
            yield str(resource["Properties"]["ServiceName"])


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """An earlier try may have taken it away, with its service."""
    try:
        yield
    except AwsError as error:
        if error.code not in ("ResourceNotFoundException", "ObjectNotFoundException", "ValidationException"):
            raise
