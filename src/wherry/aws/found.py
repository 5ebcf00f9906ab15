"""What a deployment finds in the account: secrets, a network, buckets of its own and of somebody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from wherry.aws import feeding
from wherry.aws.client import Aws, AwsError
from wherry.aws.given import GivenNetwork
from wherry.errors import NotFound, UserError
from wherry.model import Bucket, Environment, JobFile

_T = TypeVar("_T")
_R = TypeVar("_R")

#: Questions asked at once; each takes a tenth of a second, and none needs the other's answer.
_AT_ONCE = 8


def at_once(ask: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """Ask the same of many things at the same time; raises what the first of them raised."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, items))


def secret_names(jobfile: JobFile, environment: Environment) -> list[str]:
    """The secrets that the jobs of a file need in an environment, and the one that its registry asks for."""
    needed = {name for job in jobfile.jobs.values() for name in job.secrets.values()}
    return sorted(needed | ({environment.registry_secret} if environment.registry_secret else set()))


def secrets_of(aws: Aws, jobfile: JobFile, environment: Environment) -> Mapping[str, str]:
    """Secret -> its ARN; raises NotFound naming all that are missing."""
    names = secret_names(jobfile, environment)
    found = dict(zip(names, at_once(lambda name: secret_arn(aws, name), names), strict=True))
    missing = [name for name, arn in found.items() if arn is None]
    if missing:
        commands = ", ".join(f"`wherry secrets set {name} --env {environment.name}`" for name in missing)
        listed = ", ".join(f"`{name}`" for name in missing)
        raise NotFound(f"secrets are missing in environment `{environment.name}`: {listed}", hint=commands)
    return {name: arn for name, arn in found.items() if arn}


def secret_arn(aws: Aws, name: str) -> str | None:
    """The ARN of a secret, or None when there is none; one that is about to be deleted is none."""
    try:
        described = aws.call("secretsmanager", "describe_secret", SecretId=name)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    return None if described.get("DeletedDate") else str(described["ARN"])


def network_of(aws: Aws, environment: Environment) -> GivenNetwork | None:
    """The network that the file gives, else the default VPC's; None: the template makes one.

    Raises UserError for subnets that are not there or not of one VPC, and where `default` is asked for and not there.
    """
    wanted = environment.network
    if wanted.subnets:
        return _given(aws, environment)
    if wanted.which == "own":
        return None
    filters = [{"Name": "is-default", "Values": ["true"]}]
    vpcs = [vpc["VpcId"] for vpc in aws.pages("ec2", "describe_vpcs", "Vpcs", Filters=filters)]
    subnets: list[str] = []
    if vpcs:
        filters = [{"Name": "vpc-id", "Values": vpcs[:1]}, {"Name": "default-for-az", "Values": ["true"]}]
        subnets = sorted(
            subnet["SubnetId"] for subnet in aws.pages("ec2", "describe_subnets", "Subnets", Filters=filters)
        )
    if subnets:
        return GivenNetwork(vpc=vpcs[0], subnets=tuple(subnets), security_groups=wanted.security_groups)
    if wanted.which == "default":
        raise UserError(
            f"`network: default`: {aws.region} has no default VPC with subnets",
            hint="name `subnets`, or write `network: own` for a small network of its own",
        )
    return None


def _given(aws: Aws, environment: Environment) -> GivenNetwork:
    wanted = environment.network
    try:
        subnets = list(aws.pages("ec2", "describe_subnets", "Subnets", SubnetIds=list(wanted.subnets)))
    except AwsError as error:
        if error.code.startswith("InvalidSubnet"):
            raise UserError(
                f"environment `{environment.name}`: a subnet is not in {aws.region}: {error.message}",
                hint="`aws ec2 describe-subnets` lists those that are",
            ) from None
        raise
    vpcs = sorted({subnet["VpcId"] for subnet in subnets})
    if len(vpcs) != 1:
        raise UserError(
            f"environment `{environment.name}`: the subnets are of different VPCs: {', '.join(vpcs)}",
            hint="name subnets of one VPC",
        )
    return GivenNetwork(
        vpc=vpcs[0], subnets=wanted.subnets, security_groups=wanted.security_groups, public_ip=wanted.public_ip
    )


# ------------------------------------------------------------------------------------------------------------ buckets


def is_there(aws: Aws, bucket: str) -> bool:
    """Whether a bucket is there, in this account: `environments.X.buckets` may give it a name without its number."""
    try:
        aws.call("s3", "head_bucket", Bucket=bucket, ExpectedBucketOwner=aws.account)
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket", "403", "AccessDenied"):
            return False
        raise
    return True


def bears(aws: Aws, bucket: str, tags: Mapping[str, str]) -> bool:
    """Whether a bucket has these tags: its name alone is no proof of whose it is."""
    try:
        known = {tag["Key"]: tag["Value"] for tag in aws.call("s3", "get_bucket_tagging", Bucket=bucket)["TagSet"]}
    except AwsError as error:
        if error.code == "NoSuchTagSet":
            return False
        raise
    return tags.items() <= known.items()


def existing_buckets(aws: Aws, jobfile: JobFile) -> list[str]:
    """Look at the `existing` buckets; gives those whose uploads EventBridge has to hear of and does not yet.

    Raises NotFound for one that is not there, UserError for one of another region.
    """
    watched = feeding.watched(jobfile)

    def look(bucket: Bucket) -> str | None:
        name = str(bucket.existing)
        check_bucket(aws, bucket)
        return name if bucket.name in watched and "EventBridgeConfiguration" not in notifications(aws, name) else None

    found = at_once(look, [bucket for bucket in jobfile.buckets.values() if bucket.existing])
    return [name for name in found if name]


def switch_on(aws: Aws, bucket: str) -> None:
    """Let a bucket's events reach EventBridge; what it tells others stays as it is."""
    known = notifications(aws, bucket)
    if "EventBridgeConfiguration" not in known:
        aws.call(
            "s3",
            "put_bucket_notification_configuration",
            Bucket=bucket,
            NotificationConfiguration={**known, "EventBridgeConfiguration": {}},
            # whether the others' queues still exist is none of our business
            SkipDestinationValidation=True,
        )


def notifications(aws: Aws, bucket: str) -> dict[str, Any]:
    """What a bucket tells whom."""
    answer = aws.call("s3", "get_bucket_notification_configuration", Bucket=bucket)
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def check_bucket(aws: Aws, bucket: Bucket) -> None:
    """Raises NotFound for an `existing` bucket that is not there, UserError for one of another account or region."""
    try:
        answer = aws.call("s3", "head_bucket", Bucket=bucket.existing)
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket"):
            raise NotFound(
                f"bucket `{bucket.name}`: there is no bucket `{bucket.existing}`",
                hint="`existing` names a bucket that is there; without it one is made",
            ) from None
        if error.code in ("403", "AccessDenied"):
            raise UserError(
                f"bucket `{bucket.name}`: the bucket `{bucket.existing}` is another account's, or closed to you"
            ) from None
        raise
    region = answer.get("BucketRegion")
    if region and region != aws.region:
        raise UserError(
            f"bucket `{bucket.name}`: `{bucket.existing}` is in {region}, and this environment in {aws.region}",
            hint="a bucket's events are told in its own region only",
        )
