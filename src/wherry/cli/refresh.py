"""`wherry cost --refresh`: a region's prices, from AWS's public price list into the user's own price file."""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime

from wherry.aws import pricelist
from wherry.cli import output, prices
from wherry.cost.offers import NEEDED, WANTED, prices_of
from wherry.cost.parts import exact
from wherry.cost.table import Price, Source, Table, render
from wherry.errors import UserError, WherryError


def execute(arguments: argparse.Namespace, region: str) -> int:
    """Fetch them. All or nothing: when one file cannot be had or understood, everything stays as it was."""
    today = datetime.now(UTC).strftime("%Y-%m-%d")  # noqa: TID251 - the edge
    found = _fetch(region, today)
    missing = [key for names in WANTED.values() for key in names.values() if key not in found]
    place = prices.path()
    _write(place, render(_merged(region, found, today)))
    if arguments.json:
        said = {"region": region, "date": today, "file": place, "not_found": missing}
        output.say_json({**said, "prices": {key: exact(price.amount) for key, price in found.items()}})
        return 0
    packaged = prices.packaged().regions.get(region, {})
    rows = [[key, _old(packaged.get(key)), str(exact(price.amount))] for key, price in found.items()]
    output.table(["PRICE", "BEFORE", region.upper()], rows)
    output.note(f"written to {place}; NAT gateways, alarms, secrets and images keep the prices that come with wherry")
    if missing:
        output.note(f"not in AWS's list, or not in one way: {', '.join(missing)}")
    return 0


def _fetch(region: str, today: str) -> dict[str, Price]:
    found: dict[str, Price] = {}
    for service in WANTED:
        offer = pricelist.offer(service, region)
        published = str(offer.get("publicationDate", "on an unknown day"))[:10]
        about = f"AWS price list of {service} in {region}, published {published}"
        source = Source(name=f"{service} {region}", about=about, date=today)
        try:
            amounts = prices_of(service, offer)
        except ValueError as error:
            raise WherryError(
                f"the price list of {service} in {region} cannot be read: {error}", hint="the prices stay as they were"
            ) from None
        found |= {key: Price(key=key, amount=amount, source=source) for key, amount in amounts.items()}
    lacking = [key for key in NEEDED if key not in found]
    if lacking:
        said = f"the price list of AmazonECS in {region} has no {' and no '.join(lacking)}"
        raise WherryError(said, hint="the prices stay as they were")
    return found


def _merged(region: str, found: dict[str, Price], today: str) -> Table:
    """The user's own prices with the new ones; those of other regions stay."""
    name = prices.packaged().names.get(region, region)
    made = Table(
        date=today,
        sources={price.source.name: price.source for price in found.values()},
        elsewhere={},
        names={region: name},
        regions={region: found},
        dates={region: today},
    )
    try:
        before = prices.fetched()
    except UserError:
        before = None  # it cannot be read: the new one takes its place
    return made if before is None else replace(before.under(made), date=today)


def _write(place: str, text: str) -> None:
    """Put the file there, whole or not at all; raises WherryError."""
    folder = os.path.dirname(place)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".prices-", encoding="utf-8", delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, place)
    except OSError as error:
        raise WherryError(f"{place} cannot be written: {error.strerror}", hint="WHERRY_PRICES names another") from None


def _old(price: Price | None) -> str:
    return "-" if price is None else str(exact(price.amount))
