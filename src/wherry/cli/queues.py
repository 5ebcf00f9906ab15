"""`wherry queues`."""

from __future__ import annotations

import argparse
from typing import Any

from wherry.cli import output
from wherry.cli.context import add_environment, add_json, open_target
from wherry.errors import UserError
from wherry.target import QueueState, Stumble

_HEAD = ("QUEUE", "JOB", "WAITING", "IN FLIGHT", "DELAYED", "OLDEST", "DEAD", "WORKERS", "A MINUTE")
_NUMBERS = _HEAD[2:]
#: What is null in JSON where a queue is not deployed.
_COUNTS = ("url", "waiting", "in_flight", "delayed", "dead", "workers")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "The counts are those that SQS gives: messages that wait, that somebody has received and not\n"
        "deleted, and that are not due yet. OLDEST is how long the oldest of those that wait has been\n"
        "there, DEAD what is in the queue of dead letters, A MINUTE how many messages were finished a\n"
        "minute within the last five."
    )
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """List the queues of the job file."""
    with open_target(arguments) as target:
        states = target.queues()
    if states and not any(state.is_there for state in states):
        raise not_deployed("the queues of the job file are", arguments)
    if arguments.json:
        output.say_json([queue_as_json(state) for state in states])
    elif states:
        output.table(_HEAD, [_row(state) for state in states], right=_NUMBERS)
        for state in states:
            if state.stumble:
                output.note(stumble_of(state, state.stumble))
        if missing := [f"`{state.name}`" for state in states if not state.is_there]:
            output.note(f"not deployed yet: {', '.join(missing)}; `wherry deploy --env {arguments.env}` does it")
    else:
        output.note("no queues: the job file declares none under `queues`")
    return 0


def not_deployed(what: str, arguments: argparse.Namespace) -> UserError:
    """The error for queues that the job file has and the environment has not."""
    return UserError(f"{what} not deployed in `{arguments.env}`", hint=f"`wherry deploy --env {arguments.env}` does it")


def stumble_of(state: QueueState, stumble: Stumble) -> str:
    """Why nobody takes what is in a queue, in a line."""
    last = f"no worker takes from queue `{state.name}`; the last one ({output.moment(stumble.at)}): {stumble.what}"
    log = f"its log: `{stumble.log}`" if stumble.log else ""
    return "; ".join(part for part in (last, stumble.remedy, log) if part)


def _row(state: QueueState) -> list[str]:
    """A queue as a line of a table; what is nothing, or nobody knows, is said in grey."""
    nothing = output.paint("-", "grey")
    counts = [
        _number(state.waiting),
        _number(state.in_flight, "blue"),
        _number(state.delayed),
        output.length(state.oldest) if state.oldest is not None else nothing,
        _number(state.dead, "red"),
        f"{state.workers}/{state.max_workers}" if state.job else nothing,
        nothing if state.rate is None else f"{state.rate:.1f}" if state.rate else _number(0),
    ]
    return [state.name, state.job or nothing, *(counts if state.is_there else [nothing] * len(counts))]


def _number(number: int, colour: str | None = None) -> str:
    if not number:
        return output.paint("0", "grey")
    return output.paint(str(number), colour) if colour else str(number)


def queue_as_json(state: QueueState) -> dict[str, Any]:
    """A queue for other programs; `oldest` in seconds. Of one that is not deployed nothing is counted."""
    oldest = None if state.oldest is None else round(state.oldest.total_seconds(), 3)
    stumble = state.stumble and {**vars(state.stumble), "at": output.instant(state.stumble.at)}
    found = {**vars(state), "oldest": oldest, "stumble": stumble}
    return found if state.is_there else {**found, **dict.fromkeys(_COUNTS)}
