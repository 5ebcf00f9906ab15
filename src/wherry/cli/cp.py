"""`wherry cp SRC DST`."""

from __future__ import annotations

import argparse
import os
import sys

from wherry.cli import output
from wherry.cli.context import add_environment, open_target
from wherry.errors import UserError
from wherry.target import Target


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", metavar="SRC", help="a file, s3://BUCKET/KEY, or - for stdin")
    parser.add_argument("destination", metavar="DST", help="a file or folder, s3://BUCKET/[KEY], or - for stdout")
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Copy one object."""
    up, down = arguments.destination.startswith("s3://"), arguments.source.startswith("s3://")
    if up == down:
        raise UserError(
            "one of SRC and DST must be s3://BUCKET/KEY, and the other a file",
            hint='between buckets, an AWS client does it: `eval "$(wherry env)"; aws s3 cp s3://... s3://...`',
        )
    with open_target(arguments) as target:
        if up:
            _upload(target, arguments.source, arguments.destination)
        else:
            _download(target, arguments.source, arguments.destination)
    return 0


def _upload(target: Target, source: str, destination: str) -> None:
    bucket, key = bucket_and_key(destination)
    if not key or key.endswith("/"):
        if source == "-":
            raise UserError("what comes from stdin needs a key", hint=f"e.g. {destination.rstrip('/')}/data.csv")
        key += os.path.basename(source)
    if source == "-":
        size = target.put(bucket, key, sys.stdin.buffer)
    else:
        try:
            with open(source, "rb") as file:
                size = target.put(bucket, key, file)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise UserError(f"`{source}` cannot be read: {(error.strerror or '').lower()}") from None
    output.note(f"s3://{bucket}/{key}  {output.bytes_of(size)}")


def _download(target: Target, source: str, destination: str) -> None:
    bucket, key = bucket_and_key(source)
    if not key:
        raise UserError(f"`{source}` names no object", hint="write s3://BUCKET/KEY")
    chunks = target.get(bucket, key)
    first = next(chunks, b"")  # raises before a file is made
    if destination == "-":
        output.write(first)
        for chunk in chunks:
            output.write(chunk)
        return
    if os.path.isdir(destination) or destination.endswith("/"):
        destination = os.path.join(destination, os.path.basename(key))
    aside = f"{destination}.{os.getpid()}.part"
    try:
        with open(aside, "wb") as file:
            file.write(first)
            file.writelines(chunks)
        os.replace(aside, destination)
    except FileNotFoundError:
        raise UserError(f"there is no folder `{os.path.dirname(destination)}`") from None
    output.note(f"{destination}  {output.bytes_of(os.path.getsize(destination))}")


def bucket_and_key(url: str) -> tuple[str, str]:
    """The two parts of s3://BUCKET/KEY; raises UserError."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise UserError(f"`{url}` names no bucket", hint="write s3://BUCKET/KEY")
    return bucket, key
