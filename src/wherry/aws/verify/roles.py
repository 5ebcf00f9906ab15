"""Roles: are they there, do they trust ECS, may the caller hand them over? And the one that AWS makes for ECS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

from wherry.aws import owntask
from wherry.aws.client import AwsError
from wherry.aws.survey import Site
from wherry.aws.verify.findings import Check, Finding, ng, ok, skip
from wherry.model import Job

#: The service-linked role of ECS (ECS Developer Guide, "Using service-linked roles").
_LINKED = "AWSServiceRoleForECS"
_TASKS = "ecs-tasks.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role, as far as it is there."""

    name: str
    #: GetRole's answer; empty when there is none of that name.
    described: Mapping[str, Any]
    #: SimulatePrincipalPolicy's decision on iam:PassRole; empty: it cannot be asked.
    decision: str = ""


def checks(site: Site) -> list[Check]:
    """One for the roles of each job, and one for ECS's own."""
    found = [
        Check(subject=f"roles of job {job.name}", look=partial(_look, site, job), judge=partial(judge, job.name))
        for job in site.jobfile.jobs.values()
    ]
    return [*found, Check(subject=f"role {_LINKED}", look=partial(_look_linked, site), judge=_linked)]


def _look(site: Site, job: Job) -> list[Role]:
    """The roles that the job's own task definition names, else those of the one that is deployed."""
    own = owntask.load(site.jobfile, job) if job.task_definition else {}
    written = _named(own)
    family = str(own.get("family") or site.names.family(job.name))
    deployed = [name for name in _named(_deployed(site, family)) if _name(name) not in map(_name, written)]
    found = []
    for name in [*written, *deployed]:
        described = _role(site, _name(name))
        is_asked = bool(described) and name in written  # whoever deploys has made the others
        decision = _decision(site, described) if is_asked else "allowed"
        found.append(Role(name=_name(name), described=described, decision=decision))
    return found


def _named(definition: Mapping[str, Any]) -> list[str]:
    return sorted({str(definition[key]) for key in ("taskRoleArn", "executionRoleArn") if definition.get(key)})


def _name(written: str) -> str:
    """A role's name: a task definition may have its ARN, too."""
    return written.rpartition("/")[2]


def _deployed(site: Site, family: str) -> Mapping[str, Any]:
    """The task definition that runs of a job get; empty before the first deploy."""
    try:
        found: Mapping[str, Any] = site.aws.call("ecs", "describe_task_definition", taskDefinition=family)
    except AwsError as error:
        if error.code == "ClientException":
            return {}
        raise
    definition: Mapping[str, Any] = found["taskDefinition"]
    return definition


def _look_linked(site: Site) -> tuple[Mapping[str, Any], bool]:
    return _role(site, _LINKED), site.main.look().exists


def _role(site: Site, name: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = site.aws.call("iam", "get_role", RoleName=name)["Role"]
    except AwsError as error:
        if error.code in ("NoSuchEntity", "NoSuchEntityException"):
            return {}
        raise
    return found


def _decision(site: Site, role: Mapping[str, Any]) -> str:
    """Whether the caller may hand the role to ECS; empty where that cannot be asked (an account's root, no leave)."""
    caller = _principal(str(site.aws.caller["Arn"]))
    if caller is None:
        return ""
    passed = {"ContextKeyName": "iam:PassedToService", "ContextKeyValues": [_TASKS], "ContextKeyType": "string"}
    try:
        answer = site.aws.call(
            "iam",
            "simulate_principal_policy",
            PolicySourceArn=caller,
            ActionNames=["iam:PassRole"],
            ResourceArns=[role["Arn"]],
            ContextEntries=[passed],
        )
    except AwsError:
        return ""
    return str(answer["EvaluationResults"][0]["EvalDecision"])


def _principal(arn: str) -> str | None:
    """The user or role whose policies count: a session has those of its role. None for root.

    A role's path does not stand in a session's ARN; where it has one, the simulation finds no such role.
    """
    if ":assumed-role/" in arn:
        account, name = arn.split(":")[4], arn.split("/")[1]
        return f"arn:{arn.split(':')[1]}:iam::{account}:role/{name}"
    return arn if ":user/" in arn else None


def judge(job: str, roles: Sequence[Role]) -> Iterator[Finding]:
    """Can ECS assume them, and can they be handed over? Pure."""
    about = f"roles of job {job}"
    if not roles:
        yield ok(about, "are not there yet: the deploy makes them")
        return
    troubles = [trouble for role in roles if (trouble := _trouble(about, role))]
    yield from troubles
    if not troubles:
        yield ok(about, "are there, and trust ECS")


def _trouble(about: str, role: Role) -> Finding | None:
    if not role.described:
        return ng(
            about, f"`{role.name}` is not there", f"make it, trusting {_TASKS}; `wherry deploy` makes the stack's own"
        )
    if not trusts(role.described.get("AssumeRolePolicyDocument", {}), _TASKS):
        hint = f'its trust policy needs `"Principal": {{"Service": "{_TASKS}"}}, "Action": "sts:AssumeRole"`'
        return ng(about, f"`{role.name}` cannot be assumed: it does not trust {_TASKS}", hint)
    if role.decision in ("implicitDeny", "explicitDeny"):
        return ng(about, f"you may not hand `{role.name}` to ECS", f"you need iam:PassRole on {role.described['Arn']}")
    if not role.decision:
        reason = f"`{role.name}` is there and trusts ECS; to tell whether you may hand it over needs"
        return skip(about, f"{reason} iam:SimulatePrincipalPolicy")
    return None


def trusts(document: Any, service: str) -> bool:
    """Whether a trust policy lets a service assume its role, conditions left out. Pure."""
    policy = json.loads(unquote(document)) if isinstance(document, str) else document
    for statement in _listed(policy.get("Statement", ())):
        principal = statement.get("Principal", {})
        services = _listed(principal.get("Service", ())) if isinstance(principal, Mapping) else []
        actions = {str(action).lower() for action in _listed(statement.get("Action", ()))}
        if service in services and actions & {"sts:assumerole", "sts:*", "*"}:
            return bool(statement.get("Effect") == "Allow")
    return False


def _linked(seen: tuple[Mapping[str, Any], bool]) -> Iterator[Finding]:
    role, is_deployed = seen
    about = f"role {_LINKED}"
    if role:
        yield ok(about, "is there")
    elif not is_deployed:
        yield ok(about, "is not there yet: the first deploy makes it")
    else:
        hint = "`aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com` makes it"
        yield ng(about, "is not there: ECS cannot give tasks a network", hint)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
