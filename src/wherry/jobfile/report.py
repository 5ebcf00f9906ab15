"""Where a value stands while it is read, and how messages speak of it."""

from __future__ import annotations

from dataclasses import dataclass

from wherry.errors import Place
from wherry.jobfile.nodes import Document, Mapping, Node, Scalar, describe
from wherry.jobfile.source import Source


@dataclass(frozen=True)
class Spot:
    """One value of the document: its path, and what a message calls it."""

    source: Source
    document: Document
    #: `jobs.nightly.retry`
    path: str = ""
    #: `retry`, in backticks; `an item of `reads``.
    label: str = "the job file"

    @property
    def place(self) -> Place:
        """Where a person would look: the key, or the item of a list."""
        return self.document.places[self.path]

    @property
    def name(self) -> str:
        """The key itself, without what leads there."""
        return self.label.strip("`")

    @property
    def value_place(self) -> Place:
        """Where the value itself begins."""
        return self.document.values[self.path].place

    def has(self, name: str) -> bool:
        """True when this mapping has the key, whatever its value."""
        return f"{self.path}.{name}" in self.document.places

    def at(self, path: str) -> Spot:
        """The spot of a path from the top of the document."""
        return Spot(self.source, self.document, path)

    def key(self, name: str) -> Spot:
        """The spot of a key of this mapping."""
        return Spot(self.source, self.document, f"{self.path}.{name}" if self.path else name, f"`{name}`")

    def item(self, number: int) -> Spot:
        """The spot of an item of this list."""
        return Spot(self.source, self.document, f"{self.path}.{number}", f"an item of {self.label}")

    def problem(self, place: Place, message: str, hint: str | None = None) -> None:
        """Note a problem."""
        self.source.report(place, message, hint)

    def refuse(self, node: Node, demand: str, hint: str | None = None) -> None:
        """Note that a value is not what it must be; `demand` completes "must be"."""
        found = describe(node)
        # a block mapping begins a line below its key, and the key is what a person looks for
        place = self.place if isinstance(node, Mapping) else node.place
        self.source.report(place, f"{self.label} must be {demand}, not {found}", hint)


def is_empty(node: Node) -> bool:
    """True for a key without a value, `null` and `~`."""
    return isinstance(node, Scalar) and node.type == "null"
