"""`wherry deploy`."""

from __future__ import annotations

import argparse

from wherry.cli import output
from wherry.cli.cloud import add_options, add_yes, ask, open_site, require_answer
from wherry.cli.plan import show
from wherry.cli.progress import Progress


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Interrupted at any moment, the next deploy completes it."
    add_options(parser)
    add_yes(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Show what changes, ask, and do it."""
    require_answer(arguments)
    from wherry.aws import deploy
    from wherry.aws.survey import survey

    site = open_site(arguments)
    plan = deploy.plan(survey(site), keep=True)
    try:
        show(plan)
        if plan.is_empty:
            return 0
        if not arguments.yes and ask("deploy? [y/N] ").lower() not in ("y", "yes"):
            deploy.abandon(plan)
            output.note("nothing was changed")
            return 1
    except KeyboardInterrupt:
        deploy.abandon(plan)
        raise
    try:
        deploy.carry_out(plan, Progress())
    except KeyboardInterrupt:
        output.note("what AWS has begun goes on there; `wherry deploy` waits for it and completes it")
        raise
    env = site.environment.name
    output.note(output.paint(f"deployed: {site.names.app} in {env}", "green"))
    job = next(iter(site.jobfile.jobs), None)
    if job:
        output.note(f"  `wherry run {job} --env {env}` runs a job there, `wherry status --env {env}` says what is next")
    return 0
