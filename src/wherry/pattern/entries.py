"""The entries of a pattern's arrays: one class for each operator of EventBridge's pattern language.

An entry is plain data; `test()` makes the function that holds a scalar of an event against it. Operators and their
meaning: EventBridge User Guide, "Comparison operators for use in event patterns", and aws/event-ruler's README.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from wherry.pattern import texts
from wherry.pattern.literals import as_address, as_double, is_number

Scalar = str | int | float | bool | None
Test = Callable[[Scalar], bool]


@dataclass(frozen=True)
class Entry(ABC):
    """One alternative of a field."""

    @abstractmethod
    def test(self) -> Test:
        """The function that says whether a scalar of the event satisfies this entry."""


@dataclass(frozen=True)
class Text(Entry):
    """A text that is not an IP address, or `exactly`: equal text."""

    value: str

    def test(self) -> Test:
        """True for the same text and nothing else."""
        return lambda value: value.__class__ is str and value == self.value


@dataclass(frozen=True)
class Constant(Entry):
    """`true`, `false` or `null`."""

    value: bool | None

    def test(self) -> Test:
        """True for the very constant: 1 is not `true`, an absent field is not `null`."""
        return lambda value: value is self.value


@dataclass(frozen=True)
class Number(Entry):
    """A number: equal as an IEEE double, whatever its spelling; beyond a double's range the text must be equal."""

    value: float

    def test(self) -> Test:
        """True for an equal number."""
        expected = as_double(self.value)

        def test(value: Scalar) -> bool:
            if not isinstance(value, int | float) or value.__class__ is bool:
                return False
            double = as_double(value)
            if expected is None or double is None:
                return expected is double and value == self.value
            return double == expected

        return test


@dataclass(frozen=True)
class Address(Entry):
    """A text that is an IP address: the same address in any spelling."""

    octets: bytes

    def test(self) -> Test:
        """True for the same address."""
        return lambda value: isinstance(value, str) and as_address(value) == self.octets

    def number_test(self) -> Test:
        """event-ruler's slip: see `Network.number_test`. Of one address it needs all digits."""
        digits = self.octets.hex().upper()
        return lambda value: is_number(value) and str(value).startswith(digits)


@dataclass(frozen=True)
class Network(Entry):
    """`cidr`: an address between two, both included."""

    first: bytes
    last: bytes

    def test(self) -> Test:
        """True for an address of the network; IPv4 and IPv6 never meet."""

        def test(value: Scalar) -> bool:
            octets = as_address(value) if isinstance(value, str) else None
            return octets is not None and len(octets) == len(self.first) and self.first <= octets <= self.last

        return test

    def number_test(self) -> Test:
        """event-ruler's slip: a number whose digits, read as a hexadecimal address, fall into the network.

        It decides at the first digit that settles the question, so `5` is in `0.0.0.0/0` (`ByteMachine`: "as soon as
        you see the match, you've matched"). Where a field has numbers among its entries, numbers are compared as such
        and this does not happen.
        """
        low, high = self.first.hex().upper(), self.last.hex().upper()
        return lambda value: is_number(value) and _falls_between(str(value), low, high)


@dataclass(frozen=True)
class Prefix(Entry):
    """`prefix`: how a text begins."""

    text: str
    ignore_case: bool = False

    def test(self) -> Test:
        """True for text that begins so."""
        return _of_text(texts.starts_with(self.text, ignore_case=self.ignore_case))


@dataclass(frozen=True)
class Suffix(Entry):
    """`suffix`: how a text ends."""

    text: str
    ignore_case: bool = False

    def test(self) -> Test:
        """True for text that ends so."""
        return _of_text(texts.ends_with(self.text, ignore_case=self.ignore_case))


@dataclass(frozen=True)
class IgnoreCase(Entry):
    """`equals-ignore-case`: the same text in any case."""

    text: str

    def test(self) -> Test:
        """True for the text in any case."""
        return _of_text(texts.equals_ignoring_case(self.text))


@dataclass(frozen=True)
class StrayedIgnoreCase(Entry):
    """`equals-ignore-case` behind a `wildcard` that begins with `*`, in one array: it matches more than it says.

    event-ruler adds the entry to the states of the wildcard and takes the star's own state for that of the first letter
    (`ByteMachine.canReuseNextByteState` looks at single bytes, and a letter in two cases is none). From there on any
    text leads to the second letter. EventBridge is made of that matcher, so this is what AWS does as well.
    """

    text: str

    def test(self) -> Test:
        """True for a character, anything, and then the text without its first character, in any case."""
        ends = texts.ends_with(self.text[1:], ignore_case=True)
        rest = len(self.text)
        return _of_text(lambda value: len(value) >= rest and ends(value))


@dataclass(frozen=True)
class Wildcard(Entry):
    """`wildcard`: literal pieces of text with anything, also nothing, between them."""

    pieces: tuple[str, ...]

    def test(self) -> Test:
        """True for text made of the pieces."""
        return _of_text(texts.matches_pieces(self.pieces))


@dataclass(frozen=True)
class Range(Entry):
    """`numeric`: a number between two, each included or not."""

    low: float = float("-inf")
    low_included: bool = False
    high: float = float("inf")
    high_included: bool = False

    def test(self) -> Test:
        """True for a number of the range; a number beyond a double's range is in none."""

        def test(value: Scalar) -> bool:
            number = as_double(value) if isinstance(value, int | float) and is_number(value) else None
            if number is None:
                return False
            above = number > self.low or (self.low_included and number == self.low)
            return above and (number < self.high or (self.high_included and number == self.high))

        return test


@dataclass(frozen=True)
class AnythingBut(Entry):
    """`anything-but`: a value of any type that none of the refused entries matches."""

    refused: tuple[Entry, ...]

    def test(self) -> Test:
        """True for present values that nothing of the list matches; also null, also of another type."""
        tests = [entry.test() for entry in self.refused]
        return lambda value: not any(test(value) for test in tests)


@dataclass(frozen=True)
class Exists(Entry):
    """`exists`: there is a scalar at the path, whatever it is, or there is none."""

    expected: bool

    def test(self) -> Test:
        """What a present scalar means; absence is the matcher's own question."""
        return lambda _: self.expected


@dataclass(frozen=True)
class Field:
    """The alternatives for one path."""

    #: Names joined with dots, as event-ruler flattens events: `detail.bucket.name`.
    path: str
    entries: tuple[Entry, ...]
    #: The array as it was written, as compact JSON, for people.
    written: str = field(default="", compare=False, repr=False)

    @property
    def accepts_absence(self) -> bool:
        """True when the field may be missing."""
        return Exists(expected=False) in self.entries

    def test(self) -> Test:
        """The function that says whether a scalar at the path satisfies one of the entries."""
        tests = [entry.test() for entry in self.entries if not isinstance(entry, Text)]
        if not any(_is_about_numbers(entry) for entry in self.entries):
            tests += [entry.number_test() for entry in self.entries if isinstance(entry, Address | Network)]
        exact = frozenset(entry.value for entry in self.entries if isinstance(entry, Text))
        if not tests:
            return lambda value: value.__class__ is str and value in exact
        if not exact and len(tests) == 1:
            return tests[0]
        return lambda value: (value.__class__ is str and value in exact) or any(test(value) for test in tests)


def _of_text(test: texts.TextTest) -> Test:
    return lambda value: isinstance(value, str) and test(value)


def _is_about_numbers(entry: Entry) -> bool:
    if isinstance(entry, AnythingBut):
        return any(_is_about_numbers(refused) for refused in entry.refused)
    return isinstance(entry, Number | Range)


def _falls_between(digits: str, low: str, high: str) -> bool:
    """True when the first digits settle that what follows is at least `low` and at most `high`."""
    at_low = at_high = True
    for at, (digit, lowest, highest) in enumerate(zip(digits, low, high, strict=False), start=1):
        if digit not in "0123456789ABCDEF" or (at_low and digit < lowest) or (at_high and digit > highest):
            return False
        at_low, at_high = at_low and digit == lowest, at_high and digit == highest
        if not at_low and not at_high:
            return True
        if at == len(low):
            return True
    return False
