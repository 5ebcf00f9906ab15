"""`wherry init [TEMPLATE]`."""

from __future__ import annotations

import argparse
import os
import shutil

from wherry.cli import output
from wherry.cli.context import JOBFILE
from wherry.errors import UserError
from wherry.model import did_you_mean

#: Template -> what to type next.
TEMPLATES = {
    "hello": ["wherry run hello", "wherry run hello -- and more arguments"],
    "nightly": ["wherry schedule next '0 5 * * *' --timezone Europe/Berlin", "wherry run nightly", "wherry up"],
    "upload": ["wherry up", "printf 'a,b\\n1,2\\n' | wherry cp - s3://incoming/data.csv", "wherry runs"],
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    names = ", ".join(TEMPLATES)
    parser.add_argument("template", nargs="?", default="hello", metavar="TEMPLATE", help=f"{names} (default: hello)")


def execute(arguments: argparse.Namespace) -> int:
    """Copy a template into this folder; never over a file that is there."""
    name = arguments.template
    if name not in TEMPLATES:
        raise UserError(f"there is no template `{name}`", hint=did_you_mean(name, TEMPLATES))
    folder = os.path.join(os.path.dirname(__file__), "templates", name)
    files = sorted(os.listdir(folder), key=lambda file: (file != JOBFILE, file))
    present = [file for file in files if os.path.lexists(file)]
    if present:
        raise UserError(f"`{present[0]}` is there already", hint="run `wherry init` in an empty folder")
    for file in files:
        shutil.copy(os.path.join(folder, file), file)
        output.say(f"made {file}")
    output.say("next:")
    for line in TEMPLATES[name]:
        output.say(f"  {line}")
    return 0
