"""What whoever deploys and uses an environment may do: IAM policies to hand to an administrator. Pure.

Three tables make it: `calls` (what wherry calls), `handlers` (what CloudFormation then does in the caller's name), and
`reach` (which resources that is limited to).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from wherry.aws import calls, capacity, handlers, reach
from wherry.aws.compile import base_template, compile_template
from wherry.aws.given import Given, GivenNetwork
from wherry.aws.reach import Place

Statement = dict[str, Any]
Document = dict[str, Any]

#: A managed policy has at most so many characters, white space not counted (IAM User Guide, "IAM and STS quotas").
MOST = 6_144
#: The services that are handed roles.
_PASSED_TO = ("ecs-tasks", "states", "events", "scheduler", "lambda", "ec2")
#: Roles that AWS makes for itself, by the service whose first use asks for them.
_LINKED = {
    "ecs": "ecs.amazonaws.com",
    "autoscaling": "autoscaling.amazonaws.com",
    "application-autoscaling": "ecs.application-autoscaling.amazonaws.com",
}
_LINKED_PATH = "aws-service-role/ecs.amazonaws.com/"
#: On buckets of somebody else: that they are there, that their uploads are told, what `cp` does.
_ON_OTHERS = frozenset(
    ("s3:ListBucket", "s3:GetBucketNotification", "s3:PutBucketNotification", "s3:GetObject", "s3:PutObject",
     "s3:AbortMultipartUpload")
)  # fmt: skip
#: IAM knows a resource for these, but not when they are called for a list or a metric (DescribeAlarms asks for `*`).
#: A subscription's are asked for all of an account's (`arn:aws:sns:REGION:ACCOUNT:*`), seen on AWS for Unsubscribe.
WIDE = frozenset(
    ("cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "sns:GetSubscriptionAttributes",
     "sns:SetSubscriptionAttributes", "sns:Unsubscribe")
)  # fmt: skip


def policy(place: Place, *, using_only: bool = False) -> Document:
    """All that deploying and using needs, or using alone, as one policy."""
    return _document(_statements(place, _actions(place, using_only=using_only)))


def parts(document: Document) -> list[Document]:
    """The same as policies that are each small enough for a managed policy of IAM."""
    found: list[list[Statement]] = [[]]
    for statement in document["Statement"]:
        if size(_document([*found[-1], statement])) > MOST and found[-1]:
            found.append([])
        found[-1].append(statement)
    return [_document(statements) for statements in found]


def size(document: Document) -> int:
    """A policy's length as IAM counts it."""
    return len(json.dumps(document, separators=(",", ":")))


def resource_types(place: Place) -> frozenset[str]:
    """The types of the environment's resources, and those that it comes to have when jobs are added."""
    jobfile, environment = place.jobfile, place.environment
    is_given = bool(environment.network.subnets) or environment.network.which == "default"
    network = GivenNetwork(vpc="vpc", subnets=("subnet",)) if is_given else None
    templates = (
        base_template(jobfile, environment),
        compile_template(jobfile, environment, Given(network=network)),
    )
    return handlers.USUAL | {each["Type"] for template in templates for each in template["Resources"].values()}


def _actions(place: Place, *, using_only: bool) -> frozenset[str]:
    using = calls.actions_of(calls.USING)
    if using_only:
        return using
    instances = calls.actions_of(calls.ON_INSTANCES) if capacity.on_instances(place.environment) else frozenset()
    types = resource_types(place)
    workers = calls.actions_of(calls.WITH_WORKERS) if "AWS::ECS::Service" in types else frozenset()
    return using | instances | workers | calls.actions_of(calls.DEPLOYING) | handlers.actions_of(types)


def _statements(place: Place, actions: frozenset[str]) -> Iterator[Statement]:
    """One statement for the actions of a service, and some with conditions of their own."""
    wide = {action for action in actions if action in reach.NO_RESOURCE | WIDE}
    special = {"iam:PassRole", "iam:CreateServiceLinkedRole", "ecs:ListTasks"}
    special |= {action for action in actions if _is_ending(action)}
    limits = reach.resources(place)
    plain = actions - wide - special
    for service in sorted({_service(action) for action in plain}):
        if limits[service]:
            mine = [action for action in plain if _service(action) == service]
            yield _allow(service, mine, limits[service])
    yield from _others(place, actions)
    yield from _special(place, actions & special, actions)
    if wide:
        yield _allow("WithoutResource", wide, ["*"])


def _others(place: Place, actions: frozenset[str]) -> Iterator[Statement]:
    buckets, images = reach.others_buckets(place), reach.others_images(place)
    if buckets:
        yield _allow("BucketsOfOthers", actions & _ON_OTHERS, buckets)
    pulled = actions & {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    if images and pulled:
        yield _allow("ImagesOfOthers", pulled, images)


def _special(place: Place, special: frozenset[str], actions: frozenset[str]) -> Iterator[Statement]:
    if "ecs:ListTasks" in special:
        cluster = {"ArnEquals": {"ecs:cluster": place.arn("ecs", f"cluster/{place.names.cluster}")}}
        yield _allow("TasksOfTheCluster", ["ecs:ListTasks"], ["*"], cluster)
    if "iam:PassRole" in special:
        services = [f"{name}.amazonaws.com" for name in _PASSED_TO if _is_used(name, actions)]
        to = {"StringEquals": {"iam:PassedToService": services}}
        yield _allow("RolesForServices", ["iam:PassRole"], reach.passed_roles(place), to)
    if "iam:GetRole" in actions:
        # one that is not there has no path yet
        linked = [place.arn("iam", f"role/{path}AWSServiceRoleForECS") for path in ("", _LINKED_PATH)]
        yield _allow("RolesOfOthers", ["iam:GetRole"], [*linked, *reach.passed_roles(place)[1:]])
    if "iam:CreateServiceLinkedRole" in special:
        services = [name for service, name in _LINKED.items() if any(_service(each) == service for each in actions)]
        arns = [place.arn("iam", f"role/aws-service-role/{name}/*") for name in services]
        named = {"StringEquals": {"iam:AWSServiceName": services}}
        yield _allow("RolesOfAws", ["iam:CreateServiceLinkedRole"], arns, named)
    ending = sorted(action for action in special if _is_ending(action))
    if ending:
        tags = {"wherry:app": place.names.app, "wherry:environment": place.names.environment}
        ours = {"StringEquals": {f"aws:ResourceTag/{name}": value for name, value in tags.items()}}
        yield _allow("OwnNetworkGoes", ending, [place.arn("ec2", "*/*")], ours)


def _is_ending(action: str) -> bool:
    """Deletes a part of a network: only of those that the stack's tags mark as its own."""
    # whether a stack's tags reach a launch template is not documented
    return action.startswith("ec2:Delete") and action not in ("ec2:DeleteTags", "ec2:DeleteLaunchTemplate")


def _is_used(name: str, actions: frozenset[str]) -> bool:
    known = {"lambda": "lambda:CreateFunction", "ec2": "iam:AddRoleToInstanceProfile"}
    return name not in known or known[name] in actions


def _service(action: str) -> str:
    return action.partition(":")[0]


def _allow(name: str, actions: Iterable[str], resources: list[str] | Any, condition: Any = None) -> Statement:
    sid = "".join(part[:1].upper() + part[1:] for part in name.split("-"))
    found = {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}
    return found | ({"Condition": condition} if condition else {})


def _document(statements: Iterable[Statement]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}
