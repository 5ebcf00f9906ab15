"""`wherry stop RUN...`."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta

from wherry import messages
from wherry.cli import output
from wherry.cli.context import LOCAL, add_environment, open_target
from wherry.errors import UserError
from wherry.executors import GRACE
from wherry.model import Run, Status

#: How long we wait beyond the grace period.
_MARGIN = timedelta(seconds=10)
_PULSE = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run's id, or the beginning of it")
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Ask for the runs' end and wait for it; 1 when one has not ended by then."""
    on_aws = arguments.env != LOCAL
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
        patience = GRACE + _MARGIN if target.has_engine() else _MARGIN
        patient_until, latest = time.monotonic() + patience.total_seconds(), _now() + patience
        waiting = {run.id: run for run in runs}
        while waiting and time.monotonic() < patient_until:
            for run in [target.find(run_id) for run_id in waiting]:
                waiting[run.id] = run
                if run.status.ended:
                    del waiting[run.id]
                    output.say(f"{run.id}  {run.job}  {output.status(run.status)}")
            if all(on_aws and _waits_for_its_message(run) and run.due_at > latest for run in waiting.values()):
                break
            time.sleep(_PULSE)
    left = [run for run in waiting.values() if not _tell(run, on_aws=on_aws)]
    return 1 if left else refused


def _tell(run: Run, *, on_aws: bool) -> bool:
    """Say how a run stands that has not ended yet; True when nothing is left to do about it."""
    if not on_aws:
        output.note(f"{run.id} has not ended yet; where no engine runs the next `wherry up` will end it")
        return False
    if not _waits_for_its_message(run):
        output.note(f"{run.id} has not ended yet; `wherry show {run.id}` says how it stands")
        return False
    due = f" (due {output.moment(run.due_at)})" if run.due_at > _now() else ""
    output.note(f"{run.id} will be stopped: its message becomes a dead letter when it is received next{due}")
    return True


def _waits_for_its_message(run: Run) -> bool:
    """True when no worker has the message of a run: on AWS nobody can end it but who receives that next."""
    return run.status is Status.QUEUED and messages.queue_of(run.cause) is not None


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge
