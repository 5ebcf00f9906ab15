"""An AWS service acts in a role: every call it makes goes through the front door, where IAM is evaluated."""

import secrets
import threading
import time
from datetime import UTC, datetime

import botocore.config
import botocore.session
from ministack.core.iam_evaluator import (
    EvalContext,
    _conditions_met,
    _service_principal_matches,
)
from ministack.services import iam, sts

from tests.standin.settings import Settings

_session = botocore.session.Session()
_making = threading.Lock()
_clients: dict[tuple, object] = {}
_config = botocore.config.Config(
    retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=60, s3={"addressing_style": "path"}
)


class NotAssumed(Exception):
    """The role is not there, or does not trust the service."""


def credentials(role_arn: str, service: str, session_name: str, source_arn: str = "") -> dict[str, str]:
    """New session keys of the role, if its trust policy lets the service have them.

    AWS: the role's trust policy names the service principal; `aws:SourceArn` and `aws:SourceAccount` are set for
    the confused-deputy conditions of ECS, Step Functions, Scheduler and EventBridge (iam.md section 2).
    """
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    role = iam._roles.get_scoped(account, None, name)
    if role is None or not _trusted(role, role_arn, service, account, source_arn):
        raise NotAssumed(f"{service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")
    keys = {
        "AccessKeyId": sts._gen_session_access_key(),
        "SecretAccessKey": sts._gen_secret(),
        "Token": sts._gen_session_token(),
    }
    sts.register_session(
        keys["AccessKeyId"],
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}",
            "UserId": f"{role['RoleId']}:{session_name}",
            "SecretAccessKey": keys["SecretAccessKey"],
            "SessionToken": keys["Token"],
            "Expiration": time.time() + 6 * 3600,
            "AccountId": account,
            "PrincipalType": "AssumedRole",
            "SourceAccessKeyId": account,
            "SourcePrincipalArn": service,
            "SessionTags": [],
            "SessionPolicies": None,
        },
    )
    expires = datetime.fromtimestamp(time.time() + 6 * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**keys, "Expiration": expires, "RoleArn": role_arn}


def _trusted(role, role_arn: str, service: str, account: str, source_arn: str) -> bool:
    return service_may(
        role.get("AssumeRolePolicyDocument"), service, "sts:AssumeRole", role_arn, account, source_arn, trust=True
    )


def service_may(
    policy, service: str, action: str, resource: str, account: str, source_arn: str, *, trust: bool = False
) -> bool:
    """Whether a resource's policy lets an AWS service do something to it."""
    import json

    from ministack.core.iam_evaluator import _action_matches, _resource_matches

    document = json.loads(policy) if isinstance(policy, str) else policy or {}
    context = EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region="",
        service_context={"aws:sourcearn": source_arn, "aws:sourceaccount": _account_of(source_arn) or account},
        secure_transport=True,
    )
    statements = document.get("Statement", [])
    allowed = False
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal")
        if not (principal == "*" or _service_principal_matches(principal, service) or _everyone(principal)):
            continue
        if not _action_matches(action, _listed(statement.get("Action")), _listed(statement.get("NotAction"))):
            continue
        if not trust and not _resource_matches(resource, _listed(statement.get("Resource")), []):
            continue
        if not _conditions_met(statement.get("Condition", {}), context):
            continue
        if statement.get("Effect") == "Deny":
            return False
        allowed = True
    return allowed


def _account_of(arn: str) -> str:
    return arn.split(":")[4] if arn.count(":") > 4 else ""


def _everyone(principal) -> bool:
    return isinstance(principal, dict) and "*" in _listed(principal.get("AWS"))


def _listed(value) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def client(service: str, region: str, keys: dict[str, str]):
    """A client with a role's session keys, at our own front door."""
    wanted = (service, region, keys["AccessKeyId"])
    with _making:
        if wanted not in _clients:
            _clients[wanted] = _session.create_client(
                service,
                region_name=region,
                endpoint_url=Settings.read().here,
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["Token"],
                config=_config,
            )
        return _clients[wanted]


def session_name() -> str:
    return secrets.token_hex(16)
