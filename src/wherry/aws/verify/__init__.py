"""Checks what runs and deploys are going to need, before they fail for it.

A check looks and judges; all look at the same time, and judging is pure. Works before the first deploy and after. What
the caller may not ask is left out by name, and never an error.
"""

from __future__ import annotations

from datetime import datetime

from wherry.aws.client import Aws
from wherry.aws.survey import Site
from wherry.aws.verify import egress, images, names, network, places, quotas, roles, secrets
from wherry.aws.verify.findings import Check, Finding, Verdict, ng, ok, worst_first

__all__ = ["Check", "Finding", "Verdict", "region", "verify", "worst_first"]


def region(aws: Aws) -> Finding:
    """Whether there is such a region: to be asked before anything else, which would wait for it in vain."""
    if aws.knows_region():
        return ok(f"region {aws.region}", "is one of AWS's")
    return ng(
        f"region {aws.region}", "is none that boto3 knows", "`region: eu-central-1`; a newer boto3 knows new ones"
    )


def verify(site: Site, now: datetime) -> list[Finding]:
    """Everything that can be told now, in the order of the checks; what goes wrong is told as a finding."""
    checks = [
        *places.checks(site),
        names.check(site),
        Check(subject="network", look=lambda: network.look(site), judge=egress.judge),
        *images.checks(site),
        *secrets.checks(site),
        *roles.checks(site),
        *quotas.checks(site, now),
    ]
    return [finding for found in site.aws.together(Check.findings, checks) for finding in found]
