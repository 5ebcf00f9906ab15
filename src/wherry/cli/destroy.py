"""`wherry destroy`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from wherry.cli import output
from wherry.cli.cloud import add_options, add_yes, ask, open_site, require_answer
from wherry.cli.progress import Progress
from wherry.errors import UserError

if TYPE_CHECKING:
    from wherry.aws.destroy import Remains
    from wherry.aws.survey import Site


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_options(parser)
    add_yes(parser)
    parser.add_argument(
        "--with-data",
        metavar="APP",
        nargs="?",
        const="",
        help="delete its own buckets, too, with all that is in them; without a terminal the app's name has to follow",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Say what goes and what stays, ask, and do it."""
    require_answer(arguments)
    site_app = arguments.with_data
    if site_app == "" and not sys.stdin.isatty():
        raise UserError("`--with-data` is asked twice, and there is no terminal", hint="write the app's name behind it")
    from wherry.aws import destroy

    site = open_site(arguments, checked=False)
    if site_app not in (None, "", site.names.app):
        raise UserError(f"`--with-data {site_app}`: this app is `{site.names.app}`")
    remains = destroy.look(site)
    with_data = site_app is not None
    if remains.is_nothing and not (with_data and remains.buckets):
        output.say(f"nothing of {site.names.app} is in {site.environment.name}")
        _stays(site, remains, with_data=False)
        return 0
    _goes(site, remains, with_data=with_data)
    _stays(site, remains, with_data=with_data)
    if not _is_sure(arguments, site, remains):
        output.note("nothing was changed")
        return 1
    try:
        destroy.destroy(site, Progress(), data=remains.buckets if with_data else ())
    except KeyboardInterrupt:
        output.note("what AWS has begun goes on there; `wherry destroy` completes it")
        raise
    output.note(output.paint(f"gone: {site.names.app} in {site.environment.name}", "green", sys.stderr))
    return 0


def _is_sure(arguments: argparse.Namespace, site: Site, remains: Remains) -> bool:
    question = f"destroy {site.names.app} in {site.environment.name}? [y/N] "
    if not arguments.yes and ask(question).lower() not in ("y", "yes"):
        return False
    if arguments.with_data == "" and remains.buckets:
        return ask(f"type `{site.names.app}` to delete the data as well: ") == site.names.app
    return True


def _goes(site: Site, remains: Remains, *, with_data: bool) -> None:
    where = f"{site.names.app} in {site.environment.name}, {site.aws.region}, account {site.names.account}"
    output.say(output.paint(where, "bold"))
    minus = output.paint("-", "red")
    if remains.resources:
        output.say(f"  {minus} {output.count(remains.resources, 'resource')}, with the logs and images of the jobs")
    if remains.tasks:
        output.say(f"  {minus} {output.count(len(remains.tasks), 'running task')}: stopped now")
    for queue, messages in remains.messages.items():
        lost = output.paint(f"with {output.count(messages, 'message')} in it", "red")
        output.say(f"  {minus} {queue}, {lost}")
    if with_data:
        for bucket in remains.buckets:
            output.say(f"  {minus} bucket {bucket}, {output.paint('with all that is in it', 'red')}")


def _stays(site: Site, remains: Remains, *, with_data: bool) -> None:
    from wherry.aws import feeding

    stays = output.paint("stays:", "yellow")
    if not with_data:
        for bucket in remains.buckets:
            output.say(f"  {stays} bucket {bucket}, because it holds data; `--with-data` deletes it")
    watched = feeding.watched(site.jobfile)
    for other in site.jobfile.buckets.values():
        if other.existing:
            tells = "; it goes on telling EventBridge" if other.name in watched else ""
            output.say(f"  {stays} bucket {other.existing}, which is somebody else's{tells}")
    for secret in remains.secrets:
        remove = f"`wherry secrets rm {secret} --env {site.environment.name}`"
        output.say(f"  {stays} secret {secret}, because people have set it (about $0.40 a month): {remove}")
    if site.environment.registry:
        output.say(f"  {stays} the images in {site.environment.registry}")
