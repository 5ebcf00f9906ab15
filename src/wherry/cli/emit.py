"""`wherry emit EVENT`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from wherry.causes import fed_by
from wherry.cli import output
from wherry.cli.context import add_environment, add_json, jobfile_path, load_jobfile, open_target
from wherry.errors import UserError
from wherry.model import Event, complete_event


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "event", metavar="EVENT", help="JSON, or the name of a file with it, or - for stdin; one or a list"
    )
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Put the event on the bus and say which runs it makes."""
    documents = read_json(arguments.event)
    now = datetime.now(UTC)  # noqa: TID251 - the edge
    events = [_event(document, now) for document in (documents if isinstance(documents, list) else [documents])]
    with open_target(arguments) as target:
        runs = target.emit(events)
        running = target.has_engine() if runs else True
    if arguments.json:
        output.say_json([output.run_as_json(run) for run in runs])
        return 0
    for run in runs:
        output.say(f"{run.id}  {run.job}")
    if not runs:
        _say_who_is_fed(arguments, events)
    elif not running:
        output.note("no engine runs: `wherry up` will start what is queued")
    return 0


def _say_who_is_fed(arguments: argparse.Namespace, events: Sequence[Event]) -> None:
    """No job has started: the events may be messages now."""
    jobfile = load_jobfile(jobfile_path(arguments))
    fed = {queue: None for event in events for queue in fed_by(jobfile, lambda bucket: bucket.local_name, event)}
    for queue in fed:
        output.note(f"queue `{queue}` has it as a message; `wherry queues` shows it")
    if not fed:
        output.note("no job is started by this event")


def read_json(argument: str) -> Any:
    """JSON given on the command line: itself, a file's name, or `-`; raises UserError with line and column."""
    text = argument
    if argument == "-":
        text = sys.stdin.read()
    elif not argument.lstrip().startswith(("{", "[")):
        if not os.path.isfile(argument):
            raise UserError(f"`{argument}` is neither JSON nor a file", hint="JSON begins with { as in '{\"id\": 1}'")
        with open(argument, encoding="utf-8") as file:
            text = file.read()
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"`{argument[:60]}` is not valid JSON: {error}") from None


def event_of(document: Any, now: datetime) -> Event:
    """A person's event for a run by hand, completed; raises UserError."""
    if not isinstance(document, dict):
        raise UserError("an event is a JSON object")
    for field in ("id", "source", "detail-type", "account", "time", "region", "version"):
        if not isinstance(document.get(field, ""), str):
            raise UserError(f"`{field}` of an event is a text")
    if not isinstance(document.get("detail", {}), dict):
        raise UserError("`detail` of an event is a JSON object")
    return complete_event(document, now=now)


def _event(document: Any, now: datetime) -> Event:
    if isinstance(document, dict) and not {"source", "detail-type"} <= document.keys():
        raise UserError(
            "an event needs `source` and `detail-type`",
            hint='e.g. {"source": "shop", "detail-type": "order placed", "detail": {"order": 7}}',
        )
    return event_of(document, now)
