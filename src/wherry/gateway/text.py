"""What comes in a URL, made into text and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from wherry.gateway.errors import AwsError

_NUMBER = re.compile(r"[0-9]{1,9}")


def decoded(text: str) -> str:
    """The text behind a percent-encoded one, decoded exactly once; raises AwsError InvalidURI for what is not UTF-8.

    A replacement character instead would make one key of two.
    """
    if "%" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise AwsError("InvalidURI", "the URI is not UTF-8 when its percent-encoding is undone") from None


def number_in(query: Mapping[str, str], name: str, default: int | None = None) -> int:
    """A parameter that is a whole number; raises AwsError for what is none, and for a missing one without a default."""
    text = query.get(name)
    if text is None and default is not None:
        return default
    # `isdigit` would take digits that `int` does not, and `int` more of them than it can read.
    if text is None or not _NUMBER.fullmatch(text):
        raise AwsError("InvalidArgument", f"{name} must be a whole number")
    return int(text)
