"""`wherry logs RUN`."""

from __future__ import annotations

import argparse

from wherry.cli import output
from wherry.cli.context import add_environment, jobfile_path, load_jobfile, open_target
from wherry.errors import NotFound
from wherry.model import Run, did_you_mean


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's id, or the beginning of it")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")
    parser.add_argument("--attempt", metavar="N", type=int, help="only this attempt (default: all)")
    parser.add_argument("--helper", metavar="NAME", default="", help="what this helper wrote, instead of the job")
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the log: the job's stdout and stderr, byte for byte, in the order they were written."""
    with open_target(arguments) as target:
        run = target.find(arguments.run)
        numbers = [attempt.number for attempt in run.attempts]
        if arguments.attempt is not None and arguments.attempt not in numbers:
            raise NotFound(f"run {run.id} has no attempt {arguments.attempt}", hint=f"it has {len(numbers)} so far")
        if arguments.follow and arguments.attempt is None and not arguments.helper:
            chunks = target.follow(run.id)
        else:
            wanted = numbers if arguments.attempt is None else [arguments.attempt]
            chunks = (chunk for number in wanted for chunk in target.log(run, number, arguments.helper))
        is_empty = True
        for chunk in chunks:
            output.write(chunk)
            is_empty = False
        if is_empty and arguments.helper:
            _check_helper(arguments, run)
        if is_empty and run.status.ended and run.attempts:
            who = f"helper `{arguments.helper}` of run" if arguments.helper else "run"
            output.note(f"{who} {run.id} has written nothing, or its log was pruned (`keep:` in the job file)")
    return 0


def _check_helper(arguments: argparse.Namespace, run: Run) -> None:
    """Raise NotFound for a helper that the job does not have: where nothing is, a name may be mistyped."""
    job = load_jobfile(jobfile_path(arguments)).jobs.get(run.job)
    helpers = [helper.name for helper in job.helpers] if job else []
    if arguments.helper not in helpers:
        said = f"job `{run.job}` has no helper `{arguments.helper}`"
        raise NotFound(said, hint=did_you_mean(arguments.helper, helpers))
