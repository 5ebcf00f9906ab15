"""The network that tasks stand in, as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from wherry.aws import found, owntask
from wherry.aws.client import Aws
from wherry.aws.given import GivenNetwork
from wherry.aws.survey import Site
from wherry.aws.tasks import builds_image
from wherry.model import QueueTrigger

_ECR = re.compile(r"\d{12}\.dkr\.ecr\.")


@dataclass(frozen=True, kw_only=True)
class Network:
    """What was seen. The members' items are EC2's own descriptions (API Reference, Describe...)."""

    region: str
    given: GivenNetwork
    needs: Needs
    subnets: Sequence[Mapping[str, Any]]
    tables: Sequence[Mapping[str, Any]]
    #: NAT gateways, by id.
    nats: Mapping[str, Mapping[str, Any]]
    endpoints: Sequence[Mapping[str, Any]]
    acls: Sequence[Mapping[str, Any]]
    #: Security groups, by id: those that are given (none: the stack's own lets everything out), and the endpoints'.
    groups: Mapping[str, Mapping[str, Any]]
    #: Of the VPC: names are resolved; endpoints are found by the services' own names.
    resolves: bool = True
    has_names: bool = True


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What tasks have to reach before their first line of code."""

    #: Services of AWS as endpoints name them: `ecr.api`, `logs`.
    services: tuple[str, ...]
    #: Images that come from elsewhere: only the internet leads there.
    elsewhere: tuple[str, ...] = ()


def needs_of(site: Site) -> Needs:
    """What the jobs of a file need.

    Source: ECS Developer Guide, "Migrating to Linux platform version 1.4.0", for what goes through a task's network.
    """
    jobs = list(site.jobfile.jobs.values())
    own = [owntask.load(site.jobfile, job) for job in jobs if job.task_definition]
    containers = [each for definition in own for each in definition.get("containerDefinitions", ())]
    images = [image for job in jobs for image in (job.image, *(helper.image for helper in job.helpers)) if image]
    images += [str(each.get("image", "")) for each in containers]
    registry = site.environment.registry
    images += [registry] if registry and any(builds_image(job) for job in jobs) else []
    elsewhere = sorted({image for image in images if not _ECR.match(image)})
    from_ecr = len(elsewhere) < len(set(images)) or any(builds_image(job) and not registry for job in jobs)
    secrets = bool(site.environment.registry_secret) or any(job.secrets for job in jobs)
    secrets = secrets or any(each.get("secrets") for each in containers)
    triggers = [trigger for job in jobs for trigger in job.triggers if isinstance(trigger, QueueTrigger)]
    # wherry's own worker also reads and writes in S3: what messages tell of, and what has become of them
    managed = any(trigger.is_managed for trigger in triggers)
    services = [
        *(("ecr.api", "ecr.dkr") if from_ecr else ()),
        *(("s3",) if from_ecr or managed else ()),
        "logs",
        *(("secretsmanager",) if secrets else ()),
        *(("sqs",) if triggers else ()),
    ]
    return Needs(services=tuple(services), elsewhere=tuple(elsewhere))


def look(site: Site) -> Network | None:
    """See the network; None: the stack makes one of its own. Raises UserError where subnets are not there."""
    aws = site.aws
    given = found.network_of(aws, site.environment)
    if given is None:
        return None
    here = [{"Name": "vpc-id", "Values": [given.vpc]}]
    asks: list[Callable[[], Any]] = [
        lambda: list(aws.pages("ec2", "describe_subnets", "Subnets", SubnetIds=list(given.subnets))),
        lambda: list(aws.pages("ec2", "describe_route_tables", "RouteTables", Filters=here)),
        lambda: list(aws.pages("ec2", "describe_nat_gateways", "NatGateways", Filters=here)),
        lambda: list(aws.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=here)),
        lambda: list(aws.pages("ec2", "describe_network_acls", "NetworkAcls", Filters=here)),
        partial(_attribute, aws, given.vpc, "enableDnsSupport"),
        partial(_attribute, aws, given.vpc, "enableDnsHostnames"),
    ]
    subnets, tables, nats, endpoints, acls, resolves, has_names = aws.together(lambda ask: ask(), asks)
    theirs = {group["GroupId"] for each in endpoints for group in each.get("Groups", ())}
    return Network(
        region=aws.region,
        given=given,
        needs=needs_of(site),
        subnets=subnets,
        tables=tables,
        nats={nat["NatGatewayId"]: nat for nat in nats},
        endpoints=endpoints,
        acls=acls,
        groups=_groups(aws, sorted({*theirs, *given.security_groups})),
        resolves=resolves,
        has_names=has_names,
    )


def _groups(aws: Aws, ids: Sequence[str]) -> dict[str, Any]:
    if not ids:
        return {}
    groups = aws.pages("ec2", "describe_security_groups", "SecurityGroups", GroupIds=list(ids))
    return {group["GroupId"]: group for group in groups}


def _attribute(aws: Aws, vpc: str, name: str) -> bool:
    answer = aws.call("ec2", "describe_vpc_attribute", VpcId=vpc, Attribute=name)
    return bool(answer[f"{name[:1].upper()}{name[1:]}"]["Value"])
