"""`wherry schema`."""

from __future__ import annotations

import argparse

from wherry.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def execute(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - every verb has the same shape
    """Print the schema."""
    from wherry.jobfile import json_schema

    output.say_json(json_schema())
    return 0
