"""`wherry replay RUN`."""

from __future__ import annotations

import argparse
import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

from wherry.causes import replay_of, replayed_run
from wherry.cli import output
from wherry.cli.context import LOCAL, add_environment, add_executor, open_target
from wherry.cli.run import follow
from wherry.errors import UserError
from wherry.model import Event, Overrides
from wherry.target import Wish


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "RUN may also be a file that `wherry show RUN --json` has written, here or elsewhere: "
        "a failure of another machine runs again on this one. With `--env ENV --here` the objects that the run names "
        "in buckets that the job reads are copied here first."
    )
    parser.add_argument("run", metavar="RUN", help="a run's id, or the beginning of it, or a file with its JSON")
    parser.add_argument("--here", action="store_true", help="run it on this machine, wherever it ran first")
    parser.add_argument(
        "--with",
        dest="objects",
        metavar="s3://BUCKET/KEY",
        action="append",
        default=[],
        help="with --here: copy this object, too, or all below a key that ends with /; may be repeated",
    )
    parser.add_argument("--yes", action="store_true", help="with --here: copy without asking, also what is large")
    add_environment(parser)
    add_executor(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run the same event as a new run, show its log, and exit with its exit code."""
    if arguments.objects and not arguments.here:
        raise UserError("`--with` copies objects to this machine", hint="add `--here`, or leave it out")
    if os.path.isfile(arguments.run):
        wish = _wish_of(_read(arguments.run))
    elif arguments.here and arguments.env != LOCAL:
        from wherry.cli.fetching import bring

        wish = _wish_of(output.run_as_json(bring(arguments)))
    else:
        with open_target(arguments) as origin:
            wish = _wish_of(output.run_as_json(origin.find(arguments.run)))
    if arguments.here:
        arguments.env = LOCAL
    with open_target(arguments) as target:
        run_id = str(target.start(wish))
        output.note(f"run {run_id} replays {replayed_run(wish.cause)} of {wish.job}")
        return follow(target, run_id)


def _wish_of(run: Mapping[str, Any]) -> Wish:
    """A new run of the same job, event and overrides; its cause says whose replay it is."""
    try:
        overrides = run.get("overrides", {})
        command = overrides.get("command")
        return Wish(
            job=run["job"],
            trigger=run["trigger"],
            cause=replay_of(run["id"], uuid.uuid4().hex[:8]),
            event=Event(document=dict(run["event"])),
            overrides=Overrides(
                command=None if command is None else tuple(command),
                args=tuple(overrides.get("args", ())),
                env=dict(overrides.get("env", {})),
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"this is not the JSON of a run: {error}", hint="`wherry show RUN --json` writes it") from None


def _read(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except ValueError as error:
        raise UserError(f"`{path}` is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"`{path}` is not the JSON of one run", hint="`wherry show RUN --json` writes it")
    return content
