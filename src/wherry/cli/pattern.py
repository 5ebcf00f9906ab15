"""`wherry pattern test`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from wherry.cli import output
from wherry.cli.emit import read_json
from wherry.errors import PatternError, UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    test = actions.add_parser("test", help="exit 0: match, 1: no match, 2: invalid")
    test.add_argument("--pattern", metavar="FILE|JSON", help="the event pattern")
    test.add_argument("--event", metavar="FILE|JSON", help="the event")
    test.add_argument(
        "--jsonl", action="store_true", help="read {pattern, event} lines from stdin, write true, false or error: ..."
    )


def execute(arguments: argparse.Namespace) -> int:
    """Say whether it matches, and which field does not."""
    from wherry import pattern

    if arguments.jsonl:
        for line in sys.stdin:
            if line.strip():
                output.say(_answer(line))
        return 0
    if arguments.pattern is None or arguments.event is None:
        raise UserError("both --pattern and --event are needed")
    parsed = pattern.parse(_text(arguments.pattern))
    event = read_json(arguments.event)
    if not isinstance(event, dict):
        raise UserError("an event is a JSON object")
    why_not = parsed.explain(event)
    output.say("match" if why_not is None else f"no match: {why_not}")
    return 0 if why_not is None else 1


def _text(argument: str) -> Any:
    return read_json(argument)


def _answer(line: str) -> str:
    from wherry import pattern

    try:
        request = pattern.loads(line)
        if not isinstance(request, dict) or not {"pattern", "event"} <= request.keys():
            return "error: a line is {pattern, event}"
        if not isinstance(request["event"], dict):
            return "error: an event is a JSON object"
        return "true" if pattern.parse(request["pattern"]).matches(request["event"]) else "false"
    except PatternError as error:
        return f"error: {error.message}"
    except ValueError as error:
        return f"error: not valid JSON: {error}"
