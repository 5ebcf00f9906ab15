"""What a template takes from outside: images by digest, secrets' ARNs, the network. Records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.aws.instances import Instance


@dataclass(frozen=True, kw_only=True)
class GivenNetwork:
    """A network that is there: given by the job file, or the default VPC's."""

    vpc: str
    subnets: tuple[str, ...]
    #: Empty: the template makes one that lets nothing in.
    security_groups: tuple[str, ...] = ()
    public_ip: bool = True


@dataclass(frozen=True, kw_only=True)
class Given:
    """Everything that is not in the job file. Without a value the template holds what can be said without AWS."""

    #: Job, or `JOB/HELPER` -> image, by digest once it is pushed.
    images: Mapping[str, str] = field(default_factory=dict)
    #: Secret -> its whole ARN.
    secrets: Mapping[str, str] = field(default_factory=dict)
    #: Log groups that a user's own task definition names and that are there already, not of this stack.
    log_groups: frozenset[str] = frozenset()
    #: What EC2 says of the environment's instance type; None: nobody was asked, or there are no instances.
    instance: Instance | None = None
    #: None: the template makes a small VPC.
    network: GivenNetwork | None = None
