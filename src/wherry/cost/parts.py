"""A sum of money and how it comes about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from wherry.cost.table import Price, Tariff, unit_of

#: AWS counts a month as so many hours in its own estimates: 365 days of 24 hours, by twelve.
MONTH_HOURS = 730


@dataclass(frozen=True, kw_only=True)
class Part:
    """One line of a bill."""

    what: str
    #: US dollars; None where no price is known.
    amount: Decimal | None
    #: How it is made, in words and numbers.
    how: str
    #: The prices in it.
    prices: tuple[Price, ...] = ()
    #: What is not certain of it; empty where nothing is.
    doubt: str = ""


def part(
    tariff: Tariff,
    what: str,
    quantities: Mapping[str, Decimal | int],
    *,
    why: str = "",
    how: str = "",
    doubt: str = "",
    factor: Decimal = Decimal(1),
) -> Part:
    """So much of this and that at the region's prices, times a factor.

    `why` says where the quantities are from; `how` says it all, where it can be said better than by quantities alone.
    """
    missing = [key for key in quantities if key not in tariff.prices]
    if missing:
        return Part(what=what, amount=None, how=why, doubt=f"no price is known for {tariff.code}")
    prices = tuple(tariff.prices[key] for key in quantities)
    amount = sum(
        (Decimal(quantities[price.key]) * price.amount / unit_of(price.key)[1] for price in prices), Decimal(0)
    )
    if not how:
        counted = " + ".join(_times(quantities[price.key], price) for price in prices)
        how = f"{why}: {counted}" if why else counted
    doubts = [doubt] if doubt else []
    doubts += ["unverified price"] if any(not price.source.verified for price in prices) else []
    return Part(
        what=what,
        amount=amount * factor,
        how=how,
        prices=prices,
        doubt="; ".join(doubts),
    )


def total(parts: Iterable[Part]) -> Decimal:
    """What is known of it together."""
    return sum((each.amount for each in parts if each.amount is not None), Decimal(0))


def plain(value: Decimal | int) -> str:
    """A number without an exponent and without needless noughts, with at most four digits behind its first nought."""
    number = Decimal(value)
    if number and abs(number) < 1000:
        number = number.quantize(Decimal(1).scaleb(min(number.adjusted() - 3, 0)), ROUND_HALF_EVEN)
    text = f"{number:,f}" if abs(number) >= 1000 else f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def exact(value: Decimal | None) -> str | None:
    """An amount for other programs: to twelve places, which no price list goes beyond."""
    if value is None:
        return None
    text = f"{value.quantize(Decimal('1e-12'), ROUND_HALF_EVEN):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def dollars(value: Decimal | None, places: int = 2) -> str:
    """An amount for people, in cents or with so many places."""
    if value is None:
        return "?"
    least = Decimal(1).scaleb(-places)
    if 0 < value < least / 2:
        return f"<${least:f}"
    return f"${value.quantize(least, ROUND_HALF_EVEN):,f}"


def rate(tariff: Tariff, key: str) -> str:
    """A price as price lists write it; a question mark where none is known."""
    return _written(tariff.prices[key].amount) if key in tariff.prices else "?"


def _written(amount: Decimal) -> str:
    whole, _, rest = f"{amount.normalize():f}".partition(".")
    return f"${whole}.{rest.ljust(2, '0')}"


def _times(quantity: Decimal | int, price: Price) -> str:
    word, many = unit_of(price.key)
    per = f" per {many:,}" if many > 1 else ""
    word = word.removesuffix("s") if quantity == 1 and word.endswith("s") else word
    return f"{plain(quantity)} {word} x {_written(price.amount)}{per}"
