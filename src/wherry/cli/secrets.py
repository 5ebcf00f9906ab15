"""`wherry secrets set|ls|rm`."""

from __future__ import annotations

import argparse
import sys

from wherry.cli import output
from wherry.cli.context import add_environment, add_json, open_target
from wherry.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    set_parser = actions.add_parser("set", help="set or replace a secret")
    set_parser.add_argument("name", metavar="NAME")
    set_parser.add_argument("--from-file", metavar="FILE", help="take the value from a file, byte for byte")
    list_parser = actions.add_parser("ls", help="list secrets, without their values")
    add_json(list_parser)
    remove_parser = actions.add_parser("rm", help="remove a secret")
    remove_parser.add_argument("name", metavar="NAME")
    for changing in (set_parser, remove_parser):
        changing.add_argument("--yes", action="store_true", help="also one that was set for somebody else")
    for action in (set_parser, list_parser, remove_parser):
        add_environment(action)


def execute(arguments: argparse.Namespace) -> int:
    """Do one of the three."""
    with open_target(arguments) as target:
        if arguments.action == "set":
            target.set_secret(arguments.name, _value(arguments.from_file), is_sure=arguments.yes)
        elif arguments.action == "rm":
            target.remove_secret(arguments.name, is_sure=arguments.yes)
        else:
            entries = target.secrets()
            if arguments.json:
                output.say_json(
                    [{"name": entry.name, "changed_at": output.instant(entry.changed_at)} for entry in entries]
                )
            elif entries:
                output.table(["NAME", "CHANGED"], [[entry.name, output.moment(entry.changed_at)] for entry in entries])
            else:
                output.note("no secrets")
    return 0


def _value(path: str | None) -> bytes:
    """The value: from a file, from a pipe, or typed unseen. Never an argument, which every process list would show."""
    if path is not None:
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise UserError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from None
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("value: ").encode()
    value = sys.stdin.buffer.read()
    return value[:-1] if value.endswith(b"\n") and value.count(b"\n") == 1 else value
