"""How far the deployer's permissions reach: for each service the resources of one environment. Pure.

Source: the "Resource types" tables of the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wherry.aws import owntask
from wherry.aws.buses import rules_of
from wherry.aws.found import secret_names
from wherry.aws.names import Names
from wherry.model import Environment, JobFile

#: Actions that IAM knows no resource for.
NO_RESOURCE = frozenset(
    (
        "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
        "application-autoscaling:DescribeScheduledActions", "autoscaling:Describe*",
        "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLifecycleHooks",
        "cloudwatch:GetMetricStatistics", "ec2:Describe*", "ec2:DescribeInstanceTypes", "ec2:DescribeInstances",
        "ec2:DescribeInternetGateways", "ec2:DescribeLaunchTemplates", "ec2:DescribeNatGateways",
        "ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcEncryptionControls", "ec2:DescribeVpcs", "ec2:DescribeVpnGateways", "ec2:Get*",
        "ecr:GetAuthorizationToken", "ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition",
        "ecs:ListTaskDefinitionFamilies", "ecs:ListTaskDefinitions", "events:PutPermission", "events:RemovePermission",
        "logs:DescribeIndexPolicies", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies",
        "scheduler:ListSchedules", "secretsmanager:ListSecrets", "servicequotas:GetAWSDefaultServiceQuota",
        "servicequotas:ListServiceQuotas", "tag:GetResources",
    )
)  # fmt: skip
#: CloudFormation shortens a stack's name in the names that it makes; roles have 64 characters at most.
_STACK_IN_ROLES = 24


@dataclass(frozen=True, kw_only=True)
class Place:
    """An environment in an account; what is not known yet is `*`."""

    jobfile: JobFile
    environment: Environment
    account: str = "*"
    region: str = "*"

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`, by the region."""
        for begin, name in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
            if self.region.startswith(begin):
                return name
        return "aws"

    @property
    def names(self) -> Names:
        """The names of the environment's parts there."""
        return Names(
            app=self.jobfile.app,
            environment=self.environment.name,
            account=self.account,
            region=self.region,
            partition=self.partition,
        )

    def arn(self, service: str, resource: str) -> str:
        """An ARN, or a pattern of some."""
        where = ":" if service == "s3" else f":{self.account}" if service == "iam" else f"{self.region}:{self.account}"
        return f"arn:{self.partition}:{service}:{where}:{resource}"


def resources(place: Place) -> Mapping[str, Sequence[str]]:
    """Service -> the ARN patterns that its actions are limited to, those of one environment."""
    names = place.names
    bus = names.bus(place.environment.bus)
    stem, prefix = names.stem, names.prefix
    own = [owntask.load(place.jobfile, job) for job in place.jobfile.jobs.values() if job.task_definition]
    families = sorted({str(each["family"]) for each in own if each.get("family")})
    groups = sorted({group for each in own for group in owntask.log_groups(each)})
    secrets = secret_names(place.jobfile, place.environment)
    rules = [f"rule/{prefix}*", f"rule/{bus}/{prefix}*", f"event-bus/{bus}", f"event-bus/{stem}*"]
    tails: dict[str, list[str]] = {
        "application-autoscaling": ["scalable-target/*"],
        "autoscaling": [f"autoScalingGroup:*:autoScalingGroupName/{stem}*"],
        "cloudformation": [f"stack/{names.stack}/*", f"stack/{names.base_stack}/*", "changeSet/wherry-*/*"],
        "cloudwatch": [f"alarm:{stem}*"],
        "ec2": ["*/*"],
        "ecr": [f"repository/{names.repository('*')}"],
        "ecs": [
            f"cluster/{names.cluster}",
            *(f"{kind}/{names.cluster}/*" for kind in ("task", "service", "service-deployment", "container-instance")),
            f"task-definition/{names.family('*')}",
            *(f"task-definition/{family}:*" for family in families),
            f"capacity-provider/{names.capacity_provider}",
        ],
        "events": rules if bus != "default" else [rules[0], *rules[2:]],
        "iam": [f"role/{roles_of(names)}*", f"instance-profile/{roles_of(names)}*"],
        "lambda": sorted({f"function:{stem}*", f"function:{prefix}*"}),
        "logs": [f"log-group:{names.log_group('*')}", *(f"log-group:{group}*" for group in groups)],
        "s3": [each for name in _buckets(place) for each in (name, f"{name}/*")],
        "scheduler": [
            each
            for group in (names.schedules, names.watches)
            for each in (f"schedule-group/{group}", f"schedule/{group}/*")
        ],
        # with the six characters that a secret's ARN ends in, and without them while there is no such secret
        "secretsmanager": [f"secret:{name}{more}" for name in secrets for more in ("", "-??????")],
        "servicequotas": ["fargate/*"],
        "sns": [f"{names.topic}*"],
        "sqs": sorted({names.dead_letters, f"{stem}-*"}),
        "states": [f"stateMachine:{prefix}*", f"execution:{prefix}*"],
    }
    found = {service: [place.arn(service, tail) for tail in each] for service, each in tails.items()}
    if place.environment.bus.is_elsewhere:
        found["events"] += [place.environment.bus.name, f"{rules_of(place.environment.bus)}/wherry-{place.account}-*"]
    found["cloudwatch"].append(f"arn:{place.partition}:cloudwatch::{place.account}:dashboard/{stem}*")
    # images and snapshots have no account in their ARNs: RunInstances is asked about them, too
    found["ec2"] += [f"arn:{place.partition}:ec2:{place.region}::{kind}/*" for kind in ("image", "snapshot")]
    found["ssm"] = [f"arn:{place.partition}:ssm:{place.region}::parameter/aws/service/*"]
    return found


def roles_of(names: Names) -> str:
    """What the names of the environment's roles begin with."""
    whole = f"{names.stack}-"
    return whole if len(whole) <= _STACK_IN_ROLES else whole[:_STACK_IN_ROLES]


def others_buckets(place: Place) -> list[str]:
    """The ARNs of the buckets of somebody else, and of what is in them."""
    names = [str(bucket.existing) for bucket in place.jobfile.buckets.values() if bucket.existing]
    return [place.arn("s3", each) for name in names for each in (name, f"{name}/*")]


def others_images(place: Place) -> list[str]:
    """The ARNs of ECR repositories whose images jobs name."""
    from wherry.aws.jobroles import repository_arn

    jobs = place.jobfile.jobs.values()
    named = [image for job in jobs for image in (job.image, *(helper.image for helper in job.helpers)) if image]
    found = {arn for image in named if (arn := repository_arn(image))}
    return sorted(arn.replace("${AWS::Partition}", place.partition) for arn in found)


def passed_roles(place: Place) -> list[str]:
    """The roles that are handed to services: the stack's own, and those that own task definitions name."""
    own = [owntask.load(place.jobfile, job) for job in place.jobfile.jobs.values() if job.task_definition]
    named = {str(each[key]) for each in own for key in ("taskRoleArn", "executionRoleArn") if each.get(key)}
    written = sorted(name if name.startswith("arn:") else place.arn("iam", f"role/{name}") for name in named)
    return [place.arn("iam", f"role/{roles_of(place.names)}*"), *written]


def _buckets(place: Place) -> list[str]:
    names, environment = place.names, place.environment
    usual = f"{names.stem}-*-{place.account}-{place.region}"
    own = [names.bucket(each, environment) for each in place.jobfile.buckets.values() if not each.existing]
    odd = [name for name in (names.work_bucket, *own) if not _is_like(name, usual)]
    return [usual, *sorted(set(odd))]


def _is_like(name: str, pattern: str) -> bool:
    begin, _, end = pattern.partition("*")
    return name.startswith(begin) and name.endswith(end)
