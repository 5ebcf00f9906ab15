"""`wherry dead-letters [ls|show|redrive|purge]`."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

from wherry.cli import output
from wherry.cli.context import add_environment, add_executor, add_json, open_target
from wherry.cli.run import report, take_as_interrupts
from wherry.cli.runs import row, since_of
from wherry.cli.show import show
from wherry.errors import NotFound, UserError
from wherry.model import Run, Status
from wherry.target import Target

_PULSE = 0.05
_ACTIONS = ("ls", "show", "redrive", "purge")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "A dead letter is a run whose last attempt failed; it keeps its event. `redrive` gives it another round of "
        "attempts, `purge` takes it off the list (the run itself stays in `wherry runs`)."
    )
    parser.add_argument("action", choices=_ACTIONS, nargs="?", default="ls", metavar="ls|show|redrive|purge")
    parser.add_argument("runs", metavar="RUN", nargs="*", help="a run's id, or the beginning of it")
    parser.add_argument("--job", metavar="JOB", help="only those of this job")
    parser.add_argument("--reason", metavar="TEXT", help="only those whose reason contains this")
    parser.add_argument("--since", metavar="WHEN", help="only those that failed since then: 30m, 24h, 7d, 2026-03-01")
    parser.add_argument("--all", action="store_true", help="redrive or purge everything")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    add_json(parser)
    add_environment(parser)
    add_executor(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Do what is asked with the dead letters that are meant."""
    acts = arguments.action in ("redrive", "purge")
    chosen = arguments.runs or arguments.job or arguments.reason or arguments.since or arguments.all
    if acts and not chosen:
        raise UserError(f"`{arguments.action}` what?", hint="name runs, give --job, --reason or --since, or say --all")
    if arguments.action == "show" and not arguments.runs:
        raise UserError("`show` which?", hint="`wherry dead-letters` lists them")
    take_as_interrupts()
    with open_target(arguments) as target:
        letters = _chosen(target, arguments)
        if arguments.json:
            output.say_json([output.run_as_json(run) for run in letters])
        elif arguments.action == "show":
            for run in letters:
                show(target, run)
        elif not letters:
            output.note("no dead letters")
        elif arguments.action == "ls" or arguments.dry_run:
            output.table(["RUN", "JOB", "TRIGGER", "STATUS", "CREATED", "TOOK", ""], [row(run) for run in letters])
        if arguments.action == "ls" and not arguments.json:
            _tell_of_messages(target)
        if not letters or not acts or arguments.dry_run:
            return 0
        return _purge(target, letters) if arguments.action == "purge" else _redrive(target, letters)


def _tell_of_messages(target: Target) -> None:
    """A queue has dead letters of its own, among them messages that no run stands for."""
    for state in target.queues():
        if state.dead:
            what = f"queue `{state.name}` holds {output.count(state.dead, 'dead message')}"
            output.note(f"{what}: `wherry queue peek {state.name} --dead` shows the run of each")


def _chosen(target: Target, arguments: argparse.Namespace) -> list[Run]:
    since = since_of(arguments.since, datetime.now(UTC)) if arguments.since else None  # noqa: TID251 - the edge
    letters = target.dead_letters(job=arguments.job, reason=arguments.reason, since=since)
    if not arguments.runs:
        return letters
    wanted = {_meant(target, reference, letters) for reference in arguments.runs}
    missing = wanted - {run.id for run in letters}
    if missing:
        raise NotFound(f"run {min(missing)} is no dead letter", hint="`wherry dead-letters` lists them")
    return [run for run in letters if run.id in wanted]


def _meant(target: Target, reference: str, letters: list[Run]) -> str:
    """The id that a person means; what was never delivered is no run that could be found."""
    found = [run.id for run in letters if run.id.startswith(reference.lower())]
    return found[0] if len(found) == 1 else target.find(reference).id


def _purge(target: Target, letters: list[Run]) -> int:
    target.bury([run.id for run in letters])
    output.note(f"{output.count(len(letters), 'dead letter')} purged")
    return 0


def _redrive(target: Target, letters: list[Run]) -> int:
    """Oldest first, as they came. With an engine they go on by themselves, else we wait for them."""
    letters.reverse()
    has_engine = target.has_engine()
    # One may be refused, as its job is not in the file any more: the others go on.
    refused = target.retry_all([run.id for run in letters])
    for run_id, error in refused.items():
        output.error(UserError(f"{run_id}: {error.message}", hint=error.hint))
    letters = [run for run in letters if run.id not in refused]
    if has_engine:
        output.note(f"{output.count(len(letters), 'run')} queued once more; `wherry runs` shows them")
        return 1 if refused else 0
    waiting = {run.id for run in letters}
    failed = 0
    while waiting:
        time.sleep(_PULSE)
        for run in [target.find(run_id) for run_id in sorted(waiting)]:
            if run.status.ended:
                waiting.remove(run.id)
                failed += run.status is not Status.SUCCEEDED
                output.say(f"{run.id}  {run.job}  {output.status(run.status)}")
                report(run)
    return 1 if failed or refused else 0
