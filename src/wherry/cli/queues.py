"""`wherry queues`."""

from __future__ import annotations

import argparse
from typing import Any

from wherry.cli import output
from wherry.cli.context import add_environment, add_json, open_target
from wherry.target import QueueState

_HEAD = ("QUEUE", "JOB", "WAITING", "IN FLIGHT", "DELAYED", "OLDEST", "DEAD", "WORKERS", "A MINUTE")
_NUMBERS = _HEAD[2:]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "The counts are those that SQS gives: messages that wait, that somebody has received and not deleted, and that "
        "are not due yet. OLDEST is how long the oldest of those that wait has waited, DEAD what is in the queue of "
        "dead letters, A MINUTE how many messages were finished a minute within the last five."
    )
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """List the queues of the job file."""
    with open_target(arguments) as target:
        states = target.queues()
    if arguments.json:
        output.say_json([queue_as_json(state) for state in states])
    elif states:
        output.table(_HEAD, [_row(state) for state in states], right=_NUMBERS)
    else:
        output.note("no queues: the job file declares none under `queues`")
    return 0


def _row(state: QueueState) -> list[str]:
    """A queue as a line of a table; what is nothing is said in grey."""
    return [
        state.name,
        state.job or output.paint("-", "grey"),
        _number(state.waiting),
        _number(state.in_flight, "blue"),
        _number(state.delayed),
        output.length(state.oldest) if state.oldest is not None else output.paint("-", "grey"),
        _number(state.dead, "red"),
        f"{state.workers}/{state.max_workers}" if state.job else output.paint("-", "grey"),
        output.paint("-", "grey") if state.rate is None else f"{state.rate:.1f}" if state.rate else _number(0),
    ]


def _number(number: int, colour: str | None = None) -> str:
    if not number:
        return output.paint("0", "grey")
    return output.paint(str(number), colour) if colour else str(number)


def queue_as_json(state: QueueState) -> dict[str, Any]:
    """A queue for other programs; `oldest` in seconds."""
    oldest = None if state.oldest is None else round(state.oldest.total_seconds(), 3)
    return {**vars(state), "oldest": oldest}
