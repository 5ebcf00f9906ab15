"""Names that must be declared elsewhere in the file."""

from __future__ import annotations

from wherry.jobfile.nodes import Mapping, shorten
from wherry.jobfile.report import Spot


def declared(noun: str, root: Spot) -> list[str]:
    """The names under `buckets`, `queues` or `jobs`, also of those whose values are wrong."""
    node = root.document.values.get(f"{noun}s")
    return [key.text for key, _ in node.entries] if isinstance(node, Mapping) else []


def check_reference(noun: str, name: str, spot: Spot) -> None:
    """Note that a bucket, queue or job is not declared."""
    names = declared(noun, spot)
    if name not in names:
        spot.problem(
            spot.value_place, f"there is no {noun} `{shorten(name)}` under `{noun}s`", missing_hint(noun, name, names)
        )


def missing_hint(noun: str, name: str, names: list[str]) -> str:
    """What to do about a name that is not declared."""
    import difflib  # costs 10 ms, and only mistakes need it

    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    if noun == "job":
        return "known: " + ", ".join(f"`{known}`" for known in names)
    return (
        f"declare it: `{noun}s: {{{shorten(name)}: {{}}}}`"
        if not names
        else f"add `{shorten(name)}: {{}}` under `{noun}s`"
    )
