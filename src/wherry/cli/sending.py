"""What `wherry queue send` sends: a body given, of a file, or of standard input, whole or line by line."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice

from wherry.errors import UserError
from wherry.jobfile.values import BadValue, parse_duration
from wherry.target import Draft

#: So many messages of `--lines` go together.
_BATCH = 500
#: A word of what SQS says -> what to do.
_HINTS = {
    "MessageGroupId": "`--group NAME` says whose order is kept",
    "ContentBasedDeduplication": "`--dedup ID` tells it from others, or `content_deduplication: true` of the queue",
    "MessageBody": "give a body, `--file FILE`, or pipe it into the command",
    "Invalid characters": "a message is text: put bytes into it as base64",
    "DelaySeconds": "a message can be kept back for up to 15m; in a FIFO queue only all of them: `delay` of the queue",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a message."""
    parser.add_argument("body", metavar="BODY", nargs="?", help="the message, or - for standard input")
    parser.add_argument("--file", metavar="FILE", dest="path", help="take the message from a file")
    parser.add_argument("--lines", action="store_true", help="each line of the file or of stdin is a message")
    parser.add_argument("--group", metavar="G", default="", help="the message group; FIFO queues need one")
    parser.add_argument(
        "--dedup", metavar="ID", default="", help="FIFO: within five minutes messages of one ID are one message"
    )
    parser.add_argument("--delay", metavar="TIME", help="nobody receives it before: 10s, up to 15m")
    parser.add_argument(
        "--attribute", metavar="NAME=VALUE", action="append", default=[], help="a text attribute; may be repeated"
    )


def drafts_of(arguments: argparse.Namespace) -> Iterator[Draft]:
    """The messages that a command line means, in order; raises UserError for what it cannot mean."""
    if arguments.rest:  # behind `--`: a body that looks like an option
        if len(arguments.rest) > 1 or arguments.body is not None:
            raise UserError("a message is one word of the command line", hint="quote it: `'--all of it'`")
        (arguments.body,) = arguments.rest
    if arguments.path is not None and arguments.body is not None:
        raise UserError("a body and `--file` are two messages", hint="keep one of them")
    if arguments.lines and arguments.body not in (None, "-"):
        raise UserError("`--lines` are those of standard input or of a file", hint="pipe them, or name a `--file`")
    if arguments.lines and arguments.dedup:
        said = "`--dedup` is one message's, and `--lines` sends many: all but the first would be dropped"
        raise UserError(said, hint="leave it out; `content_deduplication: true` of the queue tells them apart")
    if arguments.body is None and arguments.path is None and sys.stdin.isatty():
        raise UserError("what is to be sent?", hint="give a body, `--file FILE`, or pipe it into the command")
    delay = _delay(arguments.delay)
    attributes = dict(_attribute(text) for text in arguments.attribute)
    return (
        Draft(
            body=body,
            group=arguments.group,
            deduplication_id=arguments.dedup,
            delay=delay,
            attributes=attributes,
        )
        for body in _bodies(arguments)
    )


def batches(drafts: Iterable[Draft]) -> Iterator[list[Draft]]:
    """The same, so many at a time as are well sent together."""
    rest = iter(drafts)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def hint_of(message: str) -> str | None:
    """What to type when SQS refuses a message so."""
    return next((hint for word, hint in _HINTS.items() if word in message), None)


def _bodies(arguments: argparse.Namespace) -> Iterator[str]:
    if arguments.body not in (None, "-"):
        yield arguments.body
        return
    name = arguments.path or "standard input"
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(arguments.path, "rb")) if arguments.path else sys.stdin.buffer
            if arguments.lines:
                lines = (line.removesuffix(b"\n").removesuffix(b"\r") for line in file)
                yield from (_text(line, f"line {number} of {name}") for number, line in enumerate(lines, 1) if line)
            else:
                whole = file.read()
                # What `echo` adds belongs to nobody; of a file each byte counts.
                yield _text(whole if arguments.path else whole.removesuffix(b"\n"), name)
    except OSError as error:
        raise UserError(f"`{name}` cannot be read: {(error.strerror or '').lower()}") from None


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UserError(f"{where} is not UTF-8 text", hint="a message is text: put bytes into it as base64") from None


def _delay(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except BadValue as error:
        raise UserError(f"`--delay` {error}", hint=error.hint) from None


def _attribute(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (sign and name and value):
        raise UserError(f"`--attribute {text}` is not NAME=VALUE", hint="for example `--attribute kind=order`")
    return name, value
