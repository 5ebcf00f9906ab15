"""`wherry VERB ...`: parses, dispatches, and prints errors once. Exit codes: 0, 1 (failed), 2 (your mistake), 130."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from wherry import __version__
from wherry.errors import UserError, WherryError

if TYPE_CHECKING:
    from wherry.cli.verb import Verb

#: Every verb, in the order of the help, and what it says of itself. The module `wherry.cli.VERB` is imported when it is
#: used: the help, and a quick question like `wherry runs`, must not pay for the engine.
VERBS = {
    "init": "make a job file that runs: hello, nightly or upload",
    "check": "check the job file; all problems at once",
    "schema": "print the JSON Schema of job files, for editors",
    "policy": "print the IAM policy of what deploying needs, to hand to an administrator",
    "verify": "check what runs on AWS need, before they fail for it: network, images, secrets, roles, quotas",
    "plan": "show what a deploy would change on AWS, and the permissions it grants",
    "deploy": "bring the job file to AWS: images, then one CloudFormation stack",
    "destroy": "take an environment on AWS away; data stays unless you say otherwise twice",
    "cost": "show what it costs on AWS: idle, a run, a month; or what runs have cost",
    "template": "print the CloudFormation template of an environment; asks nobody",
    "eject": "write an environment on AWS as plain CloudFormation that needs no wherry",
    "build": "build the images of the jobs, for the platform of an environment",
    "run": "run a job now, show its log, and exit with its exit code",
    "up": "run the engine here: schedules, uploads, events; until Ctrl-C",
    "emit": "put an event on the bus",
    "cp": "copy a file to or from a bucket: s3://BUCKET/KEY",
    "runs": "list runs, newest first",
    "show": "show one run: why it started, what it ran, how it ended",
    "logs": "print what a run wrote",
    "explain": "say why a run ended as it did, and what to change",
    "stop": "end runs: SIGTERM, then SIGKILL after 30 seconds",
    "retry": "give a run that ended badly another round of attempts",
    "replay": "run the event of a run once more, as a new run",
    "backfill": "run a job for each interval of a span of time, resumable",
    "dead-letters": "list, show, redrive and purge what failed for good",
    "queues": "list queues: what waits, what is worked on, what has died, how many work",
    "queue": "send messages to a queue, look at them, redrive its dead letters, purge it",
    "status": "show the engine, the runs of the last day, what comes next, what failed, what was missed",
    "secrets": "set, list and remove secrets",
    "env": 'print what points any AWS client at the engine: eval "$(wherry env)"',
    "schedule": "say when a schedule fires",
    "pattern": "try an event pattern on an event",
}

#: What a machine says that has no room left: nobody's bug.
_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}

#: So many choices are listed to whom gave another one.
_FEW = 8

DESCRIPTION = """\
Batch and ETL jobs from one small file: here now, on Amazon ECS with the same file and the same commands.

Start with `wherry init`, then `wherry run hello`, then `wherry up`.
"""


def run() -> None:
    """The console script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # an event may hold half a character, which no stream takes; this prints it as JSON spells it
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command line; gives the exit code."""
    if not argv or argv[0] == "--":
        _parser(None).print_help()
        return 2
    arguments = parse(argv)
    try:
        return load_verb(arguments.verb).execute(arguments)
    except WherryError as failure:
        _output().error(failure)
        return failure.exit_code
    except KeyboardInterrupt:
        _output().note("interrupted")
        return 130
    except BrokenPipeError:
        # The reader had enough (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as failure:  # noqa: BLE001 - the edge
        return _report_trouble(failure)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line; exits where it is none. What stands behind `--` belongs to the job."""
    own, rest = _split(list(argv))
    name = next((word for word in own if word in VERBS), None)
    arguments = _parser(name).parse_args(own)
    arguments.rest = rest
    return arguments


def load_verb(name: str) -> Verb:
    """The module of a verb."""
    verb: Verb = importlib.import_module(f"wherry.cli.{name.replace('-', '_')}")
    return verb


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in argv:
        return argv, []
    place = argv.index("--")
    return argv[:place], argv[place + 1 :]


class _Parser(argparse.ArgumentParser):
    """Takes options and words in any order, and says what is wrong as all of wherry does: what, and what to do."""

    _is_mixing = False
    #: The verb, where this parser is the one of all verbs: it is who finds what a verb does not know.
    verb = ""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What argparse has takes `QUEUE --delay 10s BODY` for too many words; its way around that calls this again."""
        if self._subparsers is not None or self._is_mixing:
            return super().parse_known_args(args, namespace)
        self._is_mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_mixing = False

    def error(self, message: str) -> NoReturn:
        hint = f"`{' '.join(filter(None, [self.prog, self.verb]))} --help` tells what there is"
        if "invalid choice" in message:
            from wherry.model import did_you_mean

            given = message.partition("invalid choice: '")[2].partition("'")[0]
            known = re.findall(r"'([^']+)'", message.partition("(choose from ")[2])
            message = f"there is no `{given}`"
            near = did_you_mean(given, known)
            hint = near if near and (near.startswith("did") or len(known) <= _FEW) else hint
        elif match := re.fullmatch(r"argument (?:.*/)?(\S+): invalid int value: '(.*)'", message):
            message = f"`{match[1]}` must be a whole number, not `{match[2]}`"
        elif match := re.fullmatch(r"argument (?:.*/)?(\S+): expected one argument", message):
            message = f"`{match[1]}` needs a value"
        _output().error(UserError(message, hint=hint))
        sys.exit(2)


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=24, width=100)


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    """The parser; of the verbs only the one that is wanted knows its options."""
    parser = _Parser(prog="wherry", description=DESCRIPTION, formatter_class=_formatter)
    parser.verb = wanted or ""
    parser.add_argument("--version", action="version", version=f"wherry {__version__}")
    parser.add_argument("-f", "--file", metavar="FILE", help="the job file (default: the nearest wherry.yaml)")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs", prog="wherry")
    for name, text in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:], formatter_class=_formatter)
        if name == wanted:
            load_verb(name).configure(verb)
    return parser


def _output() -> ModuleType:
    from wherry.cli import output

    return output


def _report_trouble(failure: Exception) -> int:
    """A machine without room left says so; anything else is a bug, and reported with what is needed to mend it."""
    if not isinstance(failure, OSError) or failure.errno not in _OF_THE_MACHINE:
        return _report_bug()
    where = f"{failure.filename}: " if failure.filename else ""
    _output().error(WherryError(f"{where}{(failure.strerror or '').lower()}"))
    return WherryError.exit_code


def _report_bug() -> int:
    import platform
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="wherry-bug-", suffix=".txt", delete=False) as file:
        file.write(f"wherry {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
        file.write(f"command: {sys.argv}\n\n{traceback.format_exc()}")
    output = _output()
    output.note(f"{output.paint('error', 'red', sys.stderr)}: this is a bug in wherry: {sys.exc_info()[1]!r}")
    output.note(f"  what is needed to mend it is in {file.name}")
    return 1
