"""`wherry VERB ...`: parses, dispatches, and prints errors once. Exit codes: 0, 1 (failed), 2 (your mistake), 130."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from wherry import __version__
from wherry.cli import (
    check,
    cp,
    emit,
    env,
    init,
    logs,
    output,
    pattern,
    runs,
    schedule,
    schema,
    secrets,
    show,
    status,
    up,
)
from wherry.cli import (
    run as run_verb,
)
from wherry.cli.verb import Verb
from wherry.errors import WherryError

#: Every verb, in the order of the help.
VERBS: dict[str, Verb] = {
    "init": init,
    "check": check,
    "schema": schema,
    "run": run_verb,
    "up": up,
    "emit": emit,
    "cp": cp,
    "runs": runs,
    "show": show,
    "logs": logs,
    "status": status,
    "secrets": secrets,
    "env": env,
    "schedule": schedule,
    "pattern": pattern,
}

DESCRIPTION = """\
Batch and ETL jobs from one small file: here now, on Amazon ECS with the same file and the same commands.

Start with `wherry init`, then `wherry run hello`, then `wherry up`.
"""


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command line; gives the exit code."""
    # What stands behind `--` belongs to the job, whatever it looks like.
    own, _, rest = _split(list(argv))
    arguments = _parser().parse_args(own)
    arguments.rest = rest
    try:
        return VERBS[arguments.verb].execute(arguments)
    except WherryError as failure:
        output.error(failure)
        return failure.exit_code
    except KeyboardInterrupt:
        output.note("interrupted")
        return 130
    except BrokenPipeError:
        # The reader had enough (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:  # noqa: BLE001 - the edge: a bug is reported with what is needed to mend it
        return _report_bug()


def _split(argv: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in argv:
        return argv, False, []
    place = argv.index("--")
    return argv[:place], True, argv[place + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wherry", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"wherry {__version__}")
    parser.add_argument("-f", "--file", metavar="FILE", help="the job file (default: the nearest wherry.yaml)")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    for name, verb in VERBS.items():
        text = verb.HELP
        verb.configure(verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))
    return parser


def _report_bug() -> int:
    import platform
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="wherry-bug-", suffix=".txt", delete=False) as file:
        file.write(f"wherry {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
        file.write(f"command: {sys.argv}\n\n{traceback.format_exc()}")
    output.note(f"{output.paint('error', 'red', sys.stderr)}: this is a bug in wherry: {sys.exc_info()[1]!r}")
    output.note(f"  what is needed to mend it is in {file.name}")
    return 1
