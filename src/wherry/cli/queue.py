"""`wherry queue send|peek|redrive|purge QUEUE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from wherry.cli import output, sending
from wherry.cli.cloud import add_yes, ask
from wherry.cli.context import add_environment, add_json, open_target
from wherry.cli.queues import not_deployed
from wherry.errors import UserError, WherryError
from wherry.model import no_such_queue
from wherry.target import Message, QueueState, Target

#: Characters of a body that a table shows.
_SHOWN = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    send = actions.add_parser("send", help="send a message, or one for each line")
    send.add_argument("queue", metavar="QUEUE", help="a name under `queues`")
    sending.configure(send)
    peek = actions.add_parser("peek", help="look at the oldest messages; on AWS that counts as a receive")
    peek.add_argument("queue", metavar="QUEUE", help="a name under `queues`")
    peek.add_argument("--dead", action="store_true", help="its dead letters instead")
    peek.add_argument("--limit", metavar="N", type=int, default=10, help="at most so many (default: 10)")
    add_json(peek)
    redrive = actions.add_parser("redrive", help="move its dead letters back into a queue, as new messages")
    redrive.add_argument("queue", metavar="QUEUE", help="a name under `queues`")
    add_yes(redrive)
    purge = actions.add_parser("purge", help="delete all messages of a queue")
    purge.add_argument("queue", metavar="QUEUE", help="a name under `queues`")
    purge.add_argument("--dead", action="store_true", help="its dead letters instead")
    add_yes(purge)
    for action in (send, peek, redrive, purge):
        add_environment(action)


def execute(arguments: argparse.Namespace) -> int:
    """Do one of the four."""
    return _ACTIONS[arguments.action](arguments)


def _send(arguments: argparse.Namespace) -> int:
    drafts = sending.drafts_of(arguments)
    with open_target(arguments) as target:
        sent = 0
        try:
            for batch in sending.batches(drafts):
                ids = target.send(arguments.queue, batch)
                sent += len(ids)
                if not arguments.lines:
                    output.say("\n".join(ids))
        except WherryError as error:
            if sent:
                output.note(f"{output.count(sent, 'message')} sent before that")
            error.hint = error.hint or sending.hint_of(error.message)
            raise
        if arguments.lines:
            output.note(f"{output.count(sent, 'message')} sent")
        if not target.has_engine():
            output.note("no engine runs: the messages wait for `wherry up`")
    return 0


def _peek(arguments: argparse.Namespace) -> int:
    if arguments.limit < 1:
        raise UserError("`--limit` must be at least 1")
    with open_target(arguments) as target:
        messages = target.peek(arguments.queue, dead=arguments.dead, limit=arguments.limit)
    if arguments.json:
        output.say_json([_as_json(message) for message in messages])
    elif messages:
        groups = any(message.group for message in messages)
        head = ["MESSAGE", "SENT", "RECEIVES", "STATE", *(["GROUP"] if groups else []), "RUN", "BODY"]
        output.table(head, [_row(message, groups=groups) for message in messages], right=["RECEIVES"])
    else:
        output.note(f"no {_what(arguments)}")
    return 0


def _redrive(arguments: argparse.Namespace) -> int:
    arguments.dead = True
    with open_target(arguments) as target:
        state = _state(target, arguments)
        if not state.dead:
            output.note(f"no {_what(arguments)}")
            return 0
        question = f"move {output.count(state.dead, 'dead letter')} back into `{state.name}`"
        if not _is_sure(arguments, question):
            return 1
        moved = target.redrive(arguments.queue)
        output.note(f"{output.count(moved, 'message')} moved back into `{state.name}`; `wherry queues` shows it")
    return 0


def _purge(arguments: argparse.Namespace) -> int:
    with open_target(arguments) as target:
        state = _state(target, arguments)
        number = state.dead if arguments.dead else state.waiting + state.in_flight + state.delayed
        if not number:
            output.note(f"no {_what(arguments)}")
            return 0
        where = f"the dead letters of `{state.name}`" if arguments.dead else f"`{state.name}`"
        if not _is_sure(arguments, f"delete {output.count(number, 'message')} of {where}"):
            return 1
        deleted = target.purge(arguments.queue, dead=arguments.dead)
        output.note(f"{output.count(deleted, 'message')} deleted")
    return 0


#: What stands behind `wherry queue`.
_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "send": _send,
    "peek": _peek,
    "redrive": _redrive,
    "purge": _purge,
}


def _state(target: Target, arguments: argparse.Namespace) -> QueueState:
    """How a queue stands; raises UserError where it is not deployed, and NotFound with the nearest name."""
    queue = arguments.queue
    states = {state.name: state for state in target.queues()}
    if queue not in states:
        raise no_such_queue(queue, states)
    if not states[queue].is_there:
        raise not_deployed(f"queue `{queue}` is", arguments)
    return states[queue]


def _is_sure(arguments: argparse.Namespace, what: str) -> bool:
    """Ask a person, unless `--yes` has answered; raises UserError where nobody can answer."""
    if arguments.yes:
        return True
    if not sys.stdin.isatty():
        asks = f"`wherry queue {arguments.action}` asks first, and there is no terminal here"
        raise UserError(f"{asks}: it would {what}", hint="add `--yes`")
    if ask(f"{what}? [y/N] ").lower() in ("y", "yes"):
        return True
    output.note("nothing was changed")
    return False


def _what(arguments: argparse.Namespace) -> str:
    return f"dead letters of `{arguments.queue}`" if arguments.dead else f"messages in `{arguments.queue}`"


def _row(message: Message, *, groups: bool) -> list[str]:
    return [
        message.id,
        output.moment(message.sent_at),
        str(message.receives),
        message.state,
        *([message.group] if groups else []),
        message.run_id or output.paint("-", "grey"),
        _in_short(message.body),
    ]


def _in_short(body: str) -> str:
    """A body in one line, without what a terminal would obey."""
    line = "".join(sign if sign.isprintable() else " " for sign in body[: 4 * _SHOWN])
    line = " ".join(line.split())
    is_whole = len(line) <= _SHOWN and len(body) <= 4 * _SHOWN
    return line if is_whole else f"{line[: _SHOWN - 1]}…"


def _as_json(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "body": message.body,
        "sent_at": output.instant(message.sent_at),
        "receives": message.receives,
        "state": message.state,
        "group": message.group,
        "attributes": dict(message.attributes),
        "run": message.run_id,
    }
