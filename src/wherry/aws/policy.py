"""Who may do what: IAM roles with the least that each needs. Pure.

Sources are the IAM pages of each service's guide: ECS "Task execution IAM role" and "Task IAM role", Step Functions
"IAM policies for Amazon ECS", EventBridge "Resource-based policies", Scheduler "Confused deputy prevention".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Statement = dict[str, Any]
#: So long all policies within a role may be together (IAM and STS quotas).
MOST_CHARACTERS = 10_240


def sub(text: str) -> Any:
    """A text with `${...}` of CloudFormation; plain text stays plain."""
    return {"Fn::Sub": text} if "${" in text else text


def arn(service: str, resource: str) -> Any:
    """An ARN of this account and region."""
    return sub(f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}")


def allow(actions: Sequence[str], resources: Any, condition: dict[str, Any] | None = None) -> Statement:
    """One statement."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def role(
    about: str, principal: str, source: Any | None, statements: Iterable[Statement], *, here: bool = True
) -> dict[str, Any]:
    """A role that one service may assume, for this account alone unless `here` is false.

    `source` is the ARN (or pattern) of who asks; None for EC2 and Lambda, which do not say for whom they ask (Lambda
    Developer Guide, "Execution role": no such condition).
    """
    found = list(statements)
    whose = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}} if here else {}
    condition = {**whose, "ArnLike": {"aws:SourceArn": source}}
    assume = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
    trust = {
        "Version": "2012-10-17",
        "Statement": [assume | ({} if source is None else {"Condition": condition})],
    }
    document = {"Version": "2012-10-17", "Statement": found}
    policies = [{"PolicyName": "least", "PolicyDocument": document}] if found else []
    return {
        "Type": "AWS::IAM::Role",
        "Metadata": {"Wherry": {"about": about}},
        "Properties": {"AssumeRolePolicyDocument": trust} | ({"Policies": policies} if policies else {}),
    }


def reads(buckets: Sequence[str], objects: str = "*") -> list[Statement]:
    """What `reads:` grants: objects, and the list of them (without which a missing key looks forbidden).

    Clients that copy ask for tags as well, and some for the bucket's region; `objects` is a pattern of keys.
    """
    if not buckets:
        return []
    return [
        allow(["s3:GetObject", "s3:GetObjectAttributes", "s3:GetObjectTagging"], _in_s3(buckets, f"/{objects}")),
        allow(["s3:GetBucketLocation", "s3:ListBucket"], _in_s3(buckets, "")),
    ]


def writes(buckets: Sequence[str]) -> list[Statement]:
    """What `writes:` grants: objects, and what becomes of uploads in parts, those that were given up included."""
    if not buckets:
        return []
    parts = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    return [
        allow(["s3:PutObject", "s3:DeleteObject", *parts], _in_s3(buckets, "/*")),
        allow(["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], _in_s3(buckets, "")),
    ]


def joined(statements: Iterable[Statement]) -> list[Statement]:
    """The same permissions with the actions for the same resources in one statement; none has a condition."""
    found: list[Statement] = []
    for each in statements:
        same = next((one for one in found if one["Resource"] == each["Resource"]), None)
        if same is None:
            found.append(each)
        else:
            same["Action"] = list(dict.fromkeys([*same["Action"], *each["Action"]]))
    return found


def _in_s3(buckets: Sequence[str], end: str) -> Any:
    """The ARNs of buckets: one statement for all, because each would say its actions again (`MOST_CHARACTERS`)."""
    found = [sub(f"arn:${{AWS::Partition}}:s3:::{bucket}{end}") for bucket in buckets]
    return found if len(found) > 1 else found[0]


def length(statements: Sequence[Statement], region: str) -> int:
    """The characters of a role's policy as IAM counts them: without white space, names of the account filled in."""
    partition = "aws-us-gov" if region.startswith("us-gov-") else "aws-cn" if region.startswith("cn-") else "aws"
    filled = {"Partition": partition, "Region": region, "AccountId": "0" * 12}
    text = json.dumps({"Version": "2012-10-17", "Statement": [_filled(each, filled) for each in statements]})
    return len("".join(text.split()))


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    match node:
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{AWS::(\w+)\}", lambda found: values[found[1]], text)
        case dict():
            return {key: _filled(value, values) for key, value in node.items()}
        case list():
            return [_filled(each, values) for each in node]
    return node


def emits(bus: str) -> list[Statement]:
    """What `emits:` grants; the bus is named, or another account's ARN."""
    return [allow(["events:PutEvents"], bus if bus.startswith("arn:") else arn("events", f"event-bus/{bus}"))]


def asks_for(secrets: Mapping[str, str | None]) -> list[Statement]:
    """What `secrets:` grants to the code, by name: also through Parameter Store, which looks into Secrets Manager.

    Source: Systems Manager User Guide, "Referencing AWS Secrets Manager secrets from Parameter Store parameters".
    """
    named = sorted(secrets)
    return [
        allow(
            ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            [secret_arn(name, secrets[name]) for name in named],
        ),
        allow(
            ["ssm:GetParameter", "ssm:GetParameters"],
            [arn("ssm", f"parameter/aws/reference/secretsmanager/{name}") for name in named],
        ),
    ]


def secret_arn(name: str, known: str | None) -> Any:
    """A secret's ARN for IAM: six characters that Secrets Manager adds belong to it."""
    return known or arn("secretsmanager", f"secret:{name}-??????")


def role_arn(written: Any) -> Any:
    """A role's ARN: ECS takes its name alone, too, and a policy does not (RegisterTaskDefinition, taskRoleArn)."""
    if not isinstance(written, str) or written.startswith("arn:"):
        return written
    return sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{written}")


def pull(repository: Any) -> list[Statement]:
    """An image from ECR. The token is for the whole registry: the action takes no resource."""
    return [
        allow(["ecr:GetAuthorizationToken"], "*"),
        allow(["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"], repository),
    ]


def run_tasks(family: str, cluster: str, roles: Sequence[Any]) -> list[Statement]:
    """What `ecs:runTask.sync` needs: RunTask is authorised on the definition, the cluster is a condition."""
    return [
        allow(
            ["ecs:RunTask"],
            arn("ecs", f"task-definition/{family}:*"),
            {"ArnEquals": {"ecs:cluster": arn("ecs", f"cluster/{cluster}")}},
        ),
        allow(["ecs:StopTask", "ecs:DescribeTasks"], arn("ecs", f"task/{cluster}/*")),
        allow(["iam:PassRole"], list(roles), {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}),
        allow(
            ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            arn("events", "rule/StepFunctionsGetEventsForECSTaskRule"),
        ),
    ]
