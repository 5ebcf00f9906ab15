"""The lines of bills: what all that speaks of money has in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from wherry.cli import output
from wherry.cost.parts import Part, dollars, exact
from wherry.cost.table import Price, Source, Tariff

Row = tuple[str, str, str]
#: A run costs parts of a cent.
RUN_PLACES = 6


class Footnotes:
    """Numbers for sources, in the order in which they are named."""

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def mark(self, prices: Iterable[Price]) -> str:
        """`[1, 3]`, or nothing."""
        numbers = []
        for price in prices:
            if price.source not in self.sources:
                self.sources.append(price.source)
            numbers.append(self.sources.index(price.source) + 1)
        return f"[{', '.join(str(number) for number in sorted(set(numbers)))}]" if numbers else ""

    def show(self) -> None:
        """What the numbers mean."""
        for number, source in enumerate(self.sources, 1):
            doubt = "" if source.verified else "unverified: "
            output.say(output.paint(f"[{number}] {doubt}{source.about} ({source.date})", "grey"))


def head(tariff: Tariff) -> str:
    """Where and when the prices hold."""
    return f"prices of {tariff.code} ({tariff.name}) as of {tariff.date}, US dollars"


def row(part: Part, notes: Footnotes, places: int = RUN_PLACES) -> Row:
    """A part as a line."""
    doubt = output.paint(f"({part.doubt})", "yellow") if part.doubt else ""
    mark = output.paint(notes.mark(part.prices), "grey")
    return part.what, dollars(part.amount, places), " ".join(word for word in (part.how, mark, doubt) if word)


def block(title: str, unit: str, why: str, rows: Sequence[Row], widths: tuple[int, int] = (27, 10)) -> None:
    """Lines below a heading, in the same columns as all others."""
    first, second = widths
    output.say(
        f"{output.paint(title.ljust(first), 'bold')}  {output.paint(unit.rjust(second), 'grey')}  {why}".rstrip()
    )
    for what, amount, how in rows:
        output.say(f"{what.ljust(first)}  {amount.rjust(second)}  {how}".rstrip())
    output.say()


def tariff_as_json(tariff: Tariff) -> dict[str, Any]:
    """Which prices these are."""
    return {"region": tariff.code, "currency": "USD", "prices_of": tariff.date}


def part_as_json(part: Part) -> dict[str, Any]:
    """A part, with the prices in it."""
    return {
        "what": part.what,
        "amount": exact(part.amount),
        "how": part.how,
        "doubt": part.doubt or None,
        "prices": [
            {"key": price.key, "amount": exact(price.amount), "source": price.source.name} for price in part.prices
        ],
    }
