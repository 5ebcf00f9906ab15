"""`wherry status`."""

from __future__ import annotations

import argparse

from wherry.cli import output
from wherry.cli.context import add_environment, add_json, open_target
from wherry.cli.runs import row
from wherry.target import EnvironmentStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Show it."""
    with open_target(arguments) as target:
        status = target.status()
    if arguments.json:
        output.say_json(_as_json(status))
    else:
        _show(status)
    return 0


def _show(status: EnvironmentStatus) -> None:
    output.say(f"{output.paint('engine', 'grey')}    {status.engine}")
    counts = ", ".join(f"{count} {output.status(name)}" for name, count in sorted(status.runs.items()))
    output.say(f"{output.paint('last 24h', 'grey')}  {counts or 'no runs'}")
    if status.upcoming:
        output.say(output.paint("next", "grey"))
        for firing in status.upcoming:
            output.say(f"  {output.moment(firing.at)}  {firing.job}")
    if status.failures:
        output.say(output.paint("failures of the last 24h", "grey"))
        output.table(["RUN", "JOB", "TRIGGER", "STATUS", "CREATED", "TOOK", ""], [row(run) for run in status.failures])


def _as_json(status: EnvironmentStatus) -> dict[str, object]:
    return {
        "running": status.running,
        "engine": status.engine,
        "runs": {name.value: count for name, count in status.runs.items()},
        "upcoming": [{"job": firing.job, "at": output.instant(firing.at)} for firing in status.upcoming],
        "failures": [output.run_as_json(run) for run in status.failures],
    }
