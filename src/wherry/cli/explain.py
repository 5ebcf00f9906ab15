"""`wherry explain RUN`."""

from __future__ import annotations

import argparse
import textwrap

from wherry.cli import output
from wherry.cli.context import LOCAL, add_environment, add_json, jobfile_path, load_jobfile, open_target
from wherry.cli.show import last_lines
from wherry.explanation import explain
from wherry.model import Status

_LOG_LINES = 40
_SHOWN_LINES = 15


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's id, or the beginning of it")
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Say in plain words why a run ended as it did, and what to change."""
    jobs = load_jobfile(jobfile_path(arguments)).jobs
    with open_target(arguments) as target:
        run = target.find(arguments.run)
        log = last_lines(target, run, _LOG_LINES) if run.attempts else []
    explanation = explain(run, jobs.get(run.job), log, on_aws=arguments.env != LOCAL)
    if arguments.json:
        output.say_json(vars(explanation) | {"run": run.id, "status": run.status.value, "log": log})
        return 0
    output.say(f"{run.id}  {run.job}  {output.status(run.status)}")
    _say(explanation.what)
    for fact in explanation.facts:
        _say(fact, "- ")
    if log and run.status is not Status.SUCCEEDED:
        output.say(output.paint("\nend of the log", "grey"))
        for line in log[-_SHOWN_LINES:]:
            output.say(f"  {line}")
    if explanation.advice:
        output.say(output.paint("\nwhat to do", "grey"))
        for advice in explanation.advice:
            _say(advice, "- ")
    return 0


def _say(text: str, bullet: str = "") -> None:
    output.say(
        textwrap.fill(
            output.addressed(text), 110, initial_indent=f"  {bullet}", subsequent_indent="  " + " " * len(bullet)
        )
    )
