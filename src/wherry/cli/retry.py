"""`wherry retry RUN`."""

from __future__ import annotations

import argparse

from wherry.cli.context import add_environment, add_executor, open_target
from wherry.cli.run import follow


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "The same run goes on with its next attempt, with fresh budgets and a fresh deadline."
    parser.add_argument("run", metavar="RUN", help="a run's id, or the beginning of it")
    add_environment(parser)
    add_executor(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Give the run another round, show what it writes from there on, and exit with its exit code."""
    with open_target(arguments) as target:
        run = target.find(arguments.run)
        target.retry(run.id)
        return follow(target, run.id, after=len(run.attempts))
