"""`wherry policy`."""

from __future__ import annotations

import argparse
import json
import os
import re
from typing import TYPE_CHECKING, Any

from wherry.cli import output
from wherry.cli.cloud import add_options, environment_of
from wherry.errors import UserError, WherryError
from wherry.model import Environment

if TYPE_CHECKING:
    from wherry.aws.deployer import Document

_ACCOUNT = re.compile(r"\d{12}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_options(parser)
    parser.add_argument("--account", metavar="ID", help="the account's 12 digits (default: the caller's, else any)")
    parser.add_argument(
        "--for",
        dest="purpose",
        choices=("deploy", "operate"),
        default="deploy",
        help="`operate`: without deploying and destroying (default: both)",
    )
    parser.add_argument("--to", metavar="FOLDER", help="write it there, in files that IAM takes as managed policies")


def execute(arguments: argparse.Namespace) -> int:
    """Print it; of AWS only the account's number is asked."""
    if arguments.account and not _ACCOUNT.fullmatch(arguments.account):
        raise UserError(f"`--account {arguments.account}`: an account has 12 digits")
    jobfile, environment = environment_of(arguments)
    from wherry.aws import deployer, survey
    from wherry.aws.reach import Place

    survey.check(jobfile, environment)
    place = Place(
        jobfile=jobfile,
        environment=environment,
        account=arguments.account or _own_account(environment),
        region=environment.region or "*",
    )
    document = deployer.policy(place, using_only=arguments.purpose == "operate")
    if arguments.to is not None:
        name = f"{place.names.stem}-{arguments.purpose}"
        _write(arguments.to, name, deployer.parts(document))
        return 0
    output.say_json(document)
    size = deployer.size(document)
    if size > deployer.MOST:
        output.note(
            f"these are {size:,} characters, and a managed policy of IAM has {deployer.MOST:,} at most: "
            f"`--to FOLDER` writes it as {len(deployer.parts(document))}"
        )
    return 0


def _own_account(environment: Environment) -> str:
    """The account of the caller's credentials; `*` where there are none: the policy then fits any account."""
    from wherry.aws.client import Aws

    try:
        return Aws(region=environment.region).account
    except WherryError:
        output.note("no credentials tell the account, so that `*` stands for it: `--account ID` names it")
        return "*"


def _write(folder: str, name: str, documents: list[Document]) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        for number, document in enumerate(documents, 1):
            path = os.path.join(folder, f"wherry-{name}-{number}.json")
            with open(path, "w", encoding="utf-8") as file:
                file.write(_compact(document))
            output.say(path)
    except OSError as error:
        raise UserError(f"`{folder}`: {(error.strerror or '').lower()}") from None
    output.note("`aws iam create-policy --policy-name NAME --policy-document file://FILE` makes one of each")


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":")) + "\n"
