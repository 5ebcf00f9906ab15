"""Instances that are let go before their group is: no scale-in takes a protected one, and a stack waits in vain for it.

ECS protects the instances of its capacity provider, and what it has protected stays so when the provider goes
(aws/containers-roadmap, issues 631 and 2862). So they are let go while the provider is still there, which drains them.

Sources: EC2 Auto Scaling User Guide, "Use instance scale-in protection"; API Reference, SetInstanceProtection.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from wherry.aws import standstill
from wherry.aws.changes import Template
from wherry.aws.client import AwsError
from wherry.aws.hosts import GROUP
from wherry.aws.survey import Site
from wherry.errors import UserError

#: An instance that is just being launched has to arrive before it can go; a drained one goes within minutes.
_PATIENCE = 600.0
#: SetInstanceProtection takes so many at once.
_BATCH = 50


def has_instances(template: Template) -> bool:
    """Whether a stack of this template has a group of instances."""
    return GROUP in template.get("Resources", {})


def refuse_while_busy(site: Site, old: Template, new: Template) -> None:
    """Raise UserError where the environment leaves its instances while tasks run on them."""
    if not has_instances(old) or has_instances(new):
        return
    running = len(list(standstill.tasks(site)))
    if running:
        raise UserError(
            f"`{site.names.stem}` moves to Fargate, and {running} {'task is' if running == 1 else 'tasks are'} running",
            hint=f"deploy when they have ended; `wherry runs --env {site.environment.name}` shows them",
        )


def release(site: Site, tell: Callable[[str], object], *, for_good: bool) -> None:
    """Let the instances go and wait until they are gone; `for_good` none comes again, whatever asks for one."""
    group = _group(site)
    if group is None:
        return
    named = {"AutoScalingGroupName": group}
    if for_good:
        with _unless_gone():
            site.aws.call("autoscaling", "update_auto_scaling_group", **named, NewInstancesProtectedFromScaleIn=False)
    patient_until = time.monotonic() + _PATIENCE
    pause = 0.5
    while (left := _instances(site, group)) and time.monotonic() < patient_until:
        tell(f"{len(left)} {'instance goes' if len(left) == 1 else 'instances go'}")
        held = [each["InstanceId"] for each in left if each["ProtectedFromScaleIn"] and _is_settled(each)]
        for first in range(0, len(held), _BATCH):
            unprotected = {"InstanceIds": held[first : first + _BATCH], "ProtectedFromScaleIn": False}
            with _unless_gone():
                site.aws.call("autoscaling", "set_instance_protection", **named, **unprotected)
        with _unless_gone():
            site.aws.call("autoscaling", "set_desired_capacity", **named, DesiredCapacity=0, HonorCooldown=False)
        time.sleep(pause)
        pause = min(10.0, pause * 1.5)
    if for_good:
        with _unless_gone():
            site.aws.call("autoscaling", "update_auto_scaling_group", **named, MinSize=0, MaxSize=0, DesiredCapacity=0)
        _sign_off(site)


def _sign_off(site: Site) -> None:
    """A cluster that still lists an instance cannot be deleted, although the instance is gone."""
    cluster = site.names.cluster
    for each in site.aws.pages("ecs", "list_container_instances", "containerInstanceArns", cluster=cluster):
        with contextlib.suppress(AwsError):  # it has signed off itself
            site.aws.call("ecs", "deregister_container_instance", cluster=cluster, containerInstance=each, force=True)


def _group(site: Site) -> str | None:
    """The name of the environment's group; None where there is none, or no stack."""
    try:
        found = site.aws.call(
            "cloudformation", "describe_stack_resource", StackName=site.names.stack, LogicalResourceId=GROUP
        )
    except AwsError as error:
        if "does not exist" in error.message:
            return None
        raise
    detail = found["StackResourceDetail"]
    is_gone = detail["ResourceStatus"] in ("DELETE_COMPLETE", "CREATE_FAILED")
    return None if is_gone else detail.get("PhysicalResourceId") or None


def _instances(site: Site, group: str) -> list[dict[str, Any]]:
    answer = site.aws.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[group])
    return [instance for each in answer["AutoScalingGroups"] for instance in each.get("Instances", ())]


def _is_settled(instance: dict[str, Any]) -> bool:
    """Whether its protection can be changed: not while it comes or goes."""
    return instance["LifecycleState"] in ("InService", "Standby", "EnteringStandby")


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """A group or an instance that has just gone, or is just going, has nothing to be let go of."""
    try:
        yield
    except AwsError as error:
        if error.code not in ("ValidationError", "ScalingActivityInProgress"):
            raise
