"""The changes of a change set as records. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Template = Mapping[str, Any]

#: What holds what people would miss: `Remove` and replacement of these are marked.
_DATA = {
    "AWS::S3::Bucket": "objects",
    "AWS::SQS::Queue": "messages",
    "AWS::SecretsManager::Secret": "value",
    "AWS::Logs::LogGroup": "logs",
    "AWS::ECR::Repository": "images",
    "AWS::Events::Archive": "events",
}
_ACTIONS = {"Add": "add", "Modify": "change", "Remove": "remove", "Import": "adopt", "Dynamic": "change"}
_REPLACEMENT = {"True": "yes", "Conditional": "maybe"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is going to happen to one resource."""

    #: `add`, `change`, `remove`, or `adopt`: it is there already, and becomes part of the stack.
    action: str
    logical_id: str
    #: The resource's CloudFormation type.
    kind: str
    #: Its name or ARN; empty for what is not there yet.
    physical_id: str = ""
    #: The resource is made anew, and the old one goes: `no`, `yes`, or `maybe`.
    replacement: str = "no"
    #: The properties that change.
    properties: tuple[str, ...] = ()
    #: Leaving the stack it stays in the account.
    is_kept: bool = False

    @property
    def loses(self) -> str:
        """What is lost with it (`objects`, `logs`), or empty."""
        if self.is_kept or (self.action != "remove" and self.replacement == "no"):
            return ""
        return _DATA.get(self.kind, "")


def change_of(described: Mapping[str, Any]) -> Change:
    """A `ResourceChange` of DescribeChangeSet."""
    targets = [detail.get("Target", {}) for detail in described.get("Details", ())]
    names = dict.fromkeys(target.get("Name") or target.get("Attribute", "") for target in targets)
    return Change(
        action=_ACTIONS.get(described["Action"], "change"),
        logical_id=described["LogicalResourceId"],
        kind=described.get("ResourceType", ""),
        physical_id=described.get("PhysicalResourceId") or "",
        replacement=_REPLACEMENT.get(described.get("Replacement", ""), "no"),
        properties=tuple(name for name in names if name and name != "Metadata"),
        # an old task definition stays for the runs under way, and is nobody's business
        is_kept=described.get("PolicyAction", "") in ("Retain", "ReplaceAndRetain")
        and described.get("ResourceType") in _DATA,
    )


def between(old: Template, new: Template) -> tuple[Change, ...]:
    """What differs, as far as two templates alone can tell: not whether a resource is going to be replaced."""
    before: Mapping[str, Any] = old.get("Resources", {})
    after: Mapping[str, Any] = new.get("Resources", {})
    found = []
    for logical_id in sorted({*before, *after}):
        one, other = before.get(logical_id), after.get(logical_id)
        if one == other:
            continue
        resource = other or one or {}
        action = "add" if one is None else "remove" if other is None else "change"
        kept = action == "remove" and str(resource.get("DeletionPolicy", "")).startswith("Retain")
        found.append(
            Change(
                action=action,
                logical_id=logical_id,
                kind=resource["Type"],
                properties=_differing(one, other) if one and other else (),
                is_kept=kept,
            )
        )
    return tuple(found)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = one.get("Properties", {}), other.get("Properties", {})
    return tuple(name for name in sorted({*before, *after}) if before.get(name) != after.get(name))
