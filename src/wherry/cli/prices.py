"""Finds the prices: those that come with wherry, and over them those that `wherry cost --refresh` has fetched."""

from __future__ import annotations

import os
from importlib import resources

from wherry.cost.table import Table, parse
from wherry.errors import UserError

_VARIABLE = "WHERRY_PRICES"


def path() -> str:
    """The user's own price file: `$WHERRY_PRICES`, else `wherry/prices.toml` in the XDG cache folder."""
    given = os.environ.get(_VARIABLE)
    if given:
        return os.path.abspath(given)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "wherry", "prices.toml")


def packaged() -> Table:
    """The prices that come with wherry."""
    text = resources.files("wherry.cost").joinpath("prices.toml").read_text(encoding="utf-8")
    return parse(text, "the packaged table")


def fetched() -> Table | None:
    """The user's own prices; None where there are none. Raises UserError for a file that cannot be read."""
    place = path()
    try:
        with open(place, encoding="utf-8") as file:
            return parse(file.read(), place)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the prices in {place} cannot be read: {error}") from None


def table() -> Table:
    """All prices that are known here."""
    own = fetched()
    return packaged() if own is None else packaged().under(own)
