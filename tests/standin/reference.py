"""The Service Authorization Reference as data, which cfn-lint brings along."""

import fnmatch
import functools
import json
import re
from pathlib import Path

import cfnlint


@functools.cache
def _reference() -> dict:
    path = Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json"
    return json.loads(path.read_text(encoding="utf-8"))


def _matching(action: str) -> list[dict]:
    service, _, name = action.partition(":")
    known = _reference().get(service, {}).get("Actions", {})
    return [about for each, about in known.items() if fnmatch.fnmatch(each.lower(), name.lower())]


def is_action(action: str) -> bool:
    """Whether IAM knows it, or for a pattern such an action."""
    return bool(_matching(action))


def has_resource(action: str) -> bool:
    """Whether IAM knows resources for an action. What a schema names by a pattern is asked about `*`."""
    return "*" not in action and any(about.get("Resources") for about in _matching(action))


def resource_types(service: str) -> set[str]:
    """What the last part of the ARNs of a service's resources begins with: `cluster/`, `alarm:`."""
    formats = [form for each in _reference()[service]["Resources"].values() for form in each["ARNFormats"]]
    tails = [form.split(":", 5)[5] for form in formats]
    return {re.split(r"\.\*|\$\{", tail)[0] for tail in tails}
