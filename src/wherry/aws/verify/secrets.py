"""Whether secrets are there, and going to stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from wherry.aws.client import AwsError
from wherry.aws.found import secret_names
from wherry.aws.survey import Site
from wherry.aws.verify.findings import Check, Finding, ng, ok


def checks(site: Site) -> list[Check]:
    """One for each secret."""
    return [
        Check(subject=f"secret {name}", look=partial(_look, site, name), judge=partial(judge, name))
        for name in secret_names(site.jobfile, site.environment)
    ]


def _look(site: Site, name: str) -> Mapping[str, Any]:
    """DescribeSecret's answer, empty when there is none."""
    try:
        return site.aws.call("secretsmanager", "describe_secret", SecretId=name)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return {}
        raise


def judge(name: str, described: Mapping[str, Any]) -> Iterator[Finding]:
    """Is it there? Pure."""
    about = f"secret {name}"
    if not described:
        yield ng(about, "is not there", f"`wherry secrets set {name}`")
    elif described.get("DeletedDate"):
        yield ng(about, "is being deleted", f"`wherry secrets set {name}` brings it back, with a new value")
    else:
        yield ok(about, "is there")
