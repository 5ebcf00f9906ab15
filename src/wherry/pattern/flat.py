"""An event as event-ruler sees it: dotted paths, scalars, and for each scalar the array elements it stands in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wherry.pattern.entries import Scalar

#: (array, index) for each array element around a value, outermost first; arrays are numbered within one event.
Membership = tuple[tuple[int, int], ...]
#: Path -> the scalars found there.
Occurrences = dict[str, list[tuple[Scalar, Membership]]]


def prefixes(paths: Iterable[str]) -> frozenset[str]:
    """The paths and everything on the way to them: `a.b.c` is reached through `a` and `a.b`."""
    found = set()
    for path in paths:
        steps = path.split(".")
        found |= {".".join(steps[:length]) for length in range(1, len(steps) + 1)}
    return frozenset(found)


def occurrences(event: Mapping[str, Any], wanted: frozenset[str]) -> Occurrences:
    """The scalars at the wanted paths (as `prefixes` gives them), in the order of the document.

    Arrays do not count in a path. A scalar that is itself an element of an array is not bound to its position: only
    objects and arrays within arrays are (event-ruler's `Event`). A key with dots is the same as nested objects.
    """
    found: Occurrences = {}
    arrays = 0
    # A list of things to do rather than recursion: an event may be nested as deeply as its JSON could be read.
    waiting: list[tuple[Any, str, Membership]] = [(value, name, ()) for name, value in event.items() if name in wanted]
    waiting.reverse()
    while waiting:
        node, path, where = waiting.pop()
        if isinstance(node, Mapping):
            inner = [(value, f"{path}.{name}", where) for name, value in node.items()]
            waiting += [item for item in reversed(inner) if item[1] in wanted]
        elif isinstance(node, list | tuple):
            waiting += [
                (item, path, (*where, (arrays, index)) if isinstance(item, Mapping | list | tuple) else where)
                for index, item in reversed(list(enumerate(node)))
            ]
            arrays += 1
        else:
            found.setdefault(path, []).append((node, where))
    return found


def merged(one: Membership, other: Membership) -> Membership | None:
    """Both memberships together, None when they name different elements of the same array."""
    if not one or not other:
        return one or other
    together = dict(one)
    for array, index in other:
        if together.setdefault(array, index) != index:
            return None
    return tuple(sorted(together.items()))
