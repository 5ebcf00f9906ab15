"""Who may do what: read from the roles of a template, and from what other accounts may. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from wherry.aws.words import about

Template = Mapping[str, Any]


_OPERATORS = {"StringEquals": "is", "ArnEquals": "is", "StringLike": "is like", "ArnLike": "is like"}


class Grant(NamedTuple):
    """One permission."""

    #: The role, in words.
    who: str
    #: `s3:GetObject`; with `not ` before it where it is denied.
    action: str
    #: The resource as the template has it, readable.
    resource: str
    #: The statement's condition as text, or empty.
    condition: str = ""


def grants(template: Template) -> frozenset[Grant]:
    """All that a template allows."""
    found: set[Grant] = set()
    resources: Mapping[str, Any] = template.get("Resources", {})
    for logical_id, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            who = about(logical_id, template)
            for policy in properties.get("Policies", ()):
                found |= set(_of_document(who, policy["PolicyDocument"]))
            found |= {Grant(who, "all of", text(arn)) for arn in properties.get("ManagedPolicyArns", ())}
        elif resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
            roles = properties.get("Roles") or [properties.get("RoleName", logical_id)]
            for role in roles:
                name = role.get("Ref", text(role)) if isinstance(role, Mapping) else str(role)
                found |= set(_of_document(about(name, template), properties["PolicyDocument"]))
        elif resource["Type"] == "AWS::Events::EventBusPolicy":
            statement = properties["Statement"]
            for principal in _listed(statement["Principal"]["AWS"]):
                found |= set(_of_document(f"account {text(principal).split(':')[-2]}", {"Statement": statement}))
    return frozenset(found)


def lines(granted: frozenset[Grant], known: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Permissions as rows: who, actions (of one service, together), resource and condition.

    `known` has texts for what stands in `${...}`.
    """
    together: dict[tuple[str, str, str], list[str]] = {}
    for grant in sorted(granted):
        service = grant.action.partition(":")[0]
        where = f"{grant.resource}, if {grant.condition}" if grant.condition else grant.resource
        where = re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found[1], found[0]), where)
        together.setdefault((grant.who, where, service), []).append(grant.action)
    return [
        (who, ", ".join([actions[0], *(action.partition(":")[2] or action for action in actions[1:])]), where)
        for (who, where, _), actions in sorted(together.items())
    ]


def text(value: Any) -> str:  # noqa: PLR0911 - one for each function of CloudFormation
    """A value of a template as people read it: `Fn::Sub` filled with names, `Ref` and `Fn::GetAtt` in braces."""
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::GetAtt": name}:
            return f"${{{name}}}"
        case {"Fn::Sub": [str() as pattern, dict() as values]}:
            for name, filled in values.items():
                pattern = pattern.replace(f"${{{name}}}", text(filled))
            return pattern
        case {"Fn::Sub": pattern}:
            return str(pattern)
        case {"Fn::Join": [separator, list() as parts]}:
            return str(separator).join(text(part) for part in parts)
    return json.dumps(value, sort_keys=True)


def _of_document(who: str, document: Mapping[str, Any]) -> Iterator[Grant]:
    for statement in _listed(document["Statement"]):
        condition = _condition(statement.get("Condition", {}))
        denied = "not " if statement.get("Effect") == "Deny" else ""
        for action in _listed(statement.get("Action", ())):
            for resource in _listed(statement.get("Resource", "*")):
                yield Grant(who, f"{denied}{action}", text(resource), condition)


def _condition(condition: Mapping[str, Any]) -> str:
    parts = [
        f"{key} {_OPERATORS.get(operator, operator)} {' or '.join(text(value) for value in _listed(values))}"
        for operator, tests in condition.items()
        for key, values in tests.items()
    ]
    return " and ".join(sorted(parts))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
