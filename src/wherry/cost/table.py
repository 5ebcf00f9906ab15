"""The price table: which prices are known, for which region, since when and from whom."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from wherry.errors import UserError
from wherry.model import did_you_mean

#: Every price there can be: what it counts, and how many of these it is for.
UNITS: Mapping[str, tuple[str, int]] = {
    "fargate-vcpu-hour": ("vCPU-hours", 1),
    "fargate-gb-hour": ("GB-hours", 1),
    "fargate-arm-vcpu-hour": ("vCPU-hours", 1),
    "fargate-arm-gb-hour": ("GB-hours", 1),
    "ephemeral-gb-hour": ("GB-hours", 1),
    "transitions-1000": ("transitions", 1_000),
    "events-1000000": ("events", 1_000_000),
    "scheduler-1000000": ("invocations", 1_000_000),
    "express-1000000": ("executions", 1_000_000),
    "sqs-1000000": ("requests", 1_000_000),
    "logs-gb": ("GB", 1),
    "logs-kept-gb-month": ("GB-months", 1),
    "metric-month": ("metrics", 1),
    "alarm-month": ("alarms", 1),
    "dashboard-month": ("dashboards", 1),
    "images-gb-month": ("GB", 1),
    "secret-month": ("secrets", 1),
    "secret-calls-10000": ("calls", 10_000),
    "key-month": ("keys", 1),
    "nat-hour": ("hours", 1),
    "nat-gb": ("GB", 1),
    "endpoint-hour": ("hours", 1),
    "endpoint-gb": ("GB", 1),
    "ipv4-hour": ("hours", 1),
    "glue-dpu-hour": ("DPU-hours", 1),
    "lambda-gb-second": ("GB-seconds", 1),
    "lambda-arm-gb-second": ("GB-seconds", 1),
    "lambda-requests-1000000": ("requests", 1_000_000),
}
_INSTANCE = "ec2-"


def unit_of(key: str) -> tuple[str, int]:
    """What a price counts, and how many of these it is for; raises KeyError for a price that there cannot be."""
    return ("hours", 1) if key.startswith(_INSTANCE) else UNITS[key]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a price was read."""

    name: str
    about: str
    #: As exact as it is known: `2026-08-16`, `2026`, `undated`.
    date: str
    verified: bool = True


@dataclass(frozen=True, kw_only=True)
class Price:
    """One number."""

    key: str
    amount: Decimal
    source: Source


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """The prices of one region."""

    code: str
    name: str
    prices: Mapping[str, Price]
    #: Of the table that they are from.
    date: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """All prices that are known."""

    date: str
    sources: Mapping[str, Source]
    #: For regions without a price of their own.
    elsewhere: Mapping[str, Price]
    #: Code -> name, and code -> prices.
    names: Mapping[str, str]
    regions: Mapping[str, Mapping[str, Price]]
    #: Region -> the date of the table that its newest prices are from.
    dates: Mapping[str, str]

    def tariff(self, region: str) -> Tariff:
        """The prices of a region; raises UserError naming the known ones: none is ever priced as another one."""
        if region not in self.regions:
            known = ", ".join(sorted(self.regions))
            near = did_you_mean(region, sorted(self.regions)) or ""
            hint = f"{near}; known: {known}" if near.startswith("did") else f"known: {known}"
            raise UserError(f"there are no prices for region `{region}`", hint=hint)
        own = self.regions[region]
        return Tariff(code=region, name=self.names[region], prices={**self.elsewhere, **own}, date=self.dates[region])

    def under(self, newer: Table) -> Table:
        """The same with a newer table laid over it: its prices come first, and its date counts for its regions."""
        codes = {**self.regions, **newer.regions}
        regions = {code: {**self.regions.get(code, {}), **newer.regions.get(code, {})} for code in codes}
        return replace(
            self,
            sources={**self.sources, **newer.sources},
            elsewhere={**self.elsewhere, **newer.elsewhere},
            names={**newer.names, **self.names},
            regions=regions,
            dates={**self.dates, **newer.dates},
        )


def parse(text: str, where: str) -> Table:
    """A table from its TOML; `where` names it in errors. Raises UserError for one that is not well made."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
        sources = {name: Source(name=name, **told) for name, told in document["sources"].items()}
        regions = document.get("regions", {})
        date = str(document["date"])
        return Table(
            date=date,
            sources=sources,
            elsewhere=_prices(document.get("elsewhere", {}), sources),
            names={code: str(told.get("name", code)) for code, told in regions.items()},
            regions={code: _prices(told, sources) for code, told in regions.items()},
            dates=dict.fromkeys(regions, date) | document.get("dates", {}),
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{where} is no price table: {type(error).__name__}: {error}",
            hint="`wherry cost --refresh` makes a new one; without it the packaged prices count",
        ) from None


def render(table: Table) -> str:
    """The table as TOML, which `parse` reads."""
    lines = [f"date = {_text(table.date)}", "", "[sources]"]
    lines += [
        f"{_text(name)} = {{ date = {_text(source.date)}, verified = {str(source.verified).lower()},"
        f" about = {_text(source.about)} }}"
        for name, source in table.sources.items()
    ]
    lines += ["", "[dates]", *(f"{_text(code)} = {_text(date)}" for code, date in table.dates.items())]
    lines += ["", "[elsewhere]", *_lines(table.elsewhere)]
    for code, prices in table.regions.items():
        lines += ["", f"[regions.{_text(code)}]", f"name = {_text(table.names[code])}", *_lines(prices)]
    return "\n".join(lines) + "\n"


def _lines(prices: Mapping[str, Price]) -> list[str]:
    return [f"{_text(key)} = [{price.amount:f}, {_text(price.source.name)}]" for key, price in prices.items()]


def _text(value: str) -> str:
    """A TOML string: JSON's is one, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _prices(told: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, Price]:
    found = {}
    for key, value in told.items():
        if key == "name":
            continue
        unit_of(key)
        amount, source = value
        if not isinstance(amount, Decimal | int) or isinstance(amount, bool) or amount < 0:
            raise ValueError(f"{key} is no price")
        found[key] = Price(key=key, amount=Decimal(amount), source=sources[source])
    return found
