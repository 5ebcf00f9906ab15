"""`wherry stop RUN...`."""

from __future__ import annotations

import argparse
import time

from wherry.cli import output
from wherry.cli.context import add_environment, open_target
from wherry.errors import UserError
from wherry.executors import GRACE

#: How long we wait beyond the grace period, in seconds.
_MARGIN = 10.0
_PULSE = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run's id, or the beginning of it")
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Ask for the runs' end and wait for it; 1 when one has not ended by then."""
    with open_target(arguments) as target:
        runs = [target.find(reference) for reference in arguments.runs]
        refused = 0
        for run in list(runs):
            try:
                target.stop(run.id)
            except UserError as error:  # the others are stopped none the less
                output.error(error)
                runs.remove(run)
                refused = error.exit_code
        running = target.has_engine()
        patient_until = time.monotonic() + (GRACE.total_seconds() + _MARGIN if running else _MARGIN)
        waiting = [run.id for run in runs]
        while waiting and time.monotonic() < patient_until:
            for run in [target.find(run_id) for run_id in waiting]:
                if run.status.ended:
                    waiting.remove(run.id)
                    output.say(f"{run.id}  {run.job}  {output.status(run.status)}")
            time.sleep(_PULSE)
    for run_id in waiting:
        output.note(f"{run_id} has not ended yet; where no engine runs the next `wherry up` will end it")
    return 1 if waiting else refused
