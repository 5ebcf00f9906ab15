"""`wherry env`."""

from __future__ import annotations

import argparse
import shlex

from wherry.cli import output
from wherry.cli.context import add_environment, add_json, open_target


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print `export` lines for the shell."""
    with open_target(arguments) as target:
        variables = target.access()
    if arguments.json:
        output.say_json(variables)
    else:
        for name, value in variables.items():
            output.say(f"export {name}={shlex.quote(value)}")
    return 0
