"""`wherry verify`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wherry.cli import output
from wherry.cli.cloud import add_options, environment_of
from wherry.cli.context import add_json

if TYPE_CHECKING:
    from wherry.aws.verify import Finding

_COLOURS = {"OK": "green", "NG": "red", "SKIP": "yellow"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Exits with 1 where something is [NG]. Nothing is changed."
    add_options(parser)
    add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Check, and tell; nothing is changed."""
    jobfile, environment = environment_of(arguments)
    from wherry.aws import survey, verify
    from wherry.aws.client import Aws
    from wherry.local.clock import system_clock

    survey.check(jobfile, environment)
    output.speak_of(environment.name)
    aws = Aws(region=environment.region, tell=output.note)
    findings = [verify.region(aws)]
    if not _has_failed(findings):
        findings += verify.verify(survey.site_of(aws, jobfile, environment), system_clock())
    if arguments.json:
        output.say_json([{**vars(finding), "verdict": finding.verdict.value} for finding in findings])
    else:
        _show(verify.worst_first(findings))
    return 1 if _has_failed(findings) else 0


def _has_failed(findings: Iterable[Finding]) -> bool:
    return any(finding.verdict.value == "NG" for finding in findings)


def _show(findings: Iterable[Finding]) -> None:
    for finding in findings:
        verdict = finding.verdict.value
        output.say(f"{output.paint(f'[{verdict}]', _COLOURS[verdict])} {finding.subject}: {finding.reason}")
        if finding.hint:
            output.say(f"     {output.addressed(finding.hint)}")
