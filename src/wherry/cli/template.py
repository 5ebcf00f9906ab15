"""`wherry template`."""

from __future__ import annotations

import argparse

from wherry.cli import output
from wherry.cli.cloud import environment_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--env", metavar="ENV", help="the environment (default: the only one on AWS)")
    parser.add_argument("--json", action="store_true", help="JSON instead of YAML")
    parser.add_argument("--base", action="store_true", help="the small stack that comes first")


def execute(arguments: argparse.Namespace) -> int:
    """Print it; neither AWS nor Docker is asked."""
    from wherry.aws.compile import base_template, compile_template
    from wherry.aws.given import Given
    from wherry.aws.template import to_json, to_yaml

    jobfile, environment = environment_of(arguments)
    made = base_template(jobfile, environment) if arguments.base else compile_template(jobfile, environment, Given())
    output.say((to_json(made) if arguments.json else to_yaml(made)).rstrip("\n"))
    return 0
