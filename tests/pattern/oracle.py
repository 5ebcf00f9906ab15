"""Event patterns once more, slowly: every way to choose values for the fields is tried, straight from the JSON.

Written from the documentation alone, and sharing no code with `wherry.pattern`.
"""

import ipaddress
import itertools
import re
from typing import Any


def matches(pattern: Any, event: Any) -> Any:
    pairs = list(flattened(event, "", ()))
    return any(rule_matches(dict(rule), pairs) for rule in combinations(pattern, ""))


def combinations(node: Any, path: Any) -> Any:
    """Every way through the `$or`s: the fields in their order, so that `dict` lets the last one win."""
    choices = []
    for name, value in node.items():
        here = f"{path}.{name}" if path else name
        if name == "$or":
            choices.append([rule for branch in value for rule in combinations(branch, path)])
        elif isinstance(value, dict):
            choices.append(combinations(value, here))
        else:
            choices.append([[(here, value)]])
    return [list(itertools.chain(*way)) for way in itertools.product(*choices)]


def flattened(node: Any, path: Any, where: Any) -> Any:
    """(path, scalar, {array: index}); an array is known by its place in the document."""
    for place, (name, value) in enumerate(node.items()):
        here = f"{path}.{name}" if path else name
        yield from _value(value, here, dict(where), (*dict(where).items(), here, place))


def _value(value: Any, path: Any, where: Any, place: Any) -> Any:
    if isinstance(value, dict):
        yield from flattened(value, path, tuple(where.items()))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            inside = where if not isinstance(item, dict | list) else {**where, place: index}
            yield from _value(item, path, inside, (*place, index))
    else:
        yield path, value, where


def rule_matches(rule: Any, pairs: Any) -> Any:
    fields = sorted(rule.items())
    candidates = []
    for path, entries in fields:
        hits = [
            where for at, value, where in pairs if at == path and any(entry_hits(e, value, entries) for e in entries)
        ]
        candidates.append([*hits, *(["absent"] if {"exists": False} in entries else [])])
    return any(is_consistent(fields, way, pairs) for way in itertools.product(*candidates))


def is_consistent(fields: Any, way: Any, pairs: Any) -> Any:
    chosen: dict[Any, int] = {}
    for (path, _), where in zip(fields, way, strict=True):
        if where == "absent":
            if any(at == path and agree(chosen, there) for at, _, there in pairs):
                return False
        elif agree(chosen, where):
            chosen |= where
        else:
            return False
    return True


def agree(one: Any, other: Any) -> Any:
    return all(other.get(array, index) == index for array, index in one.items())


def is_number(value: Any) -> Any:
    return isinstance(value, int | float) and not isinstance(value, bool)


def address(text: Any) -> Any:
    """Canonical spellings only, and ones with leading zeros."""
    try:
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", text):
            return ipaddress.IPv4Address(".".join(str(int(part)) for part in text.split("."))).packed
        found = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    if "." in text or "%" in text:
        return None
    return found.ipv4_mapped.packed if found.ipv4_mapped else found.packed


def entry_hits(entry: Any, value: Any, entries: Any) -> Any:
    if isinstance(entry, dict):
        ((operator, operand),) = entry.items()
        return operator_hits(operator, operand, value, entries)
    if is_number(entry):
        return is_number(value) and float(entry) == float(value)
    if isinstance(entry, str) and address(entry) is not None:
        return in_network(value, address(entry), address(entry), entries)
    return type(entry) is type(value) and entry == value


def operator_hits(operator: Any, operand: Any, value: Any, entries: Any) -> Any:
    if operator == "exists":
        return operand
    if operator == "anything-but":
        if isinstance(operand, dict):
            ((operator, operand),) = operand.items()
        else:
            operator = "exactly"
        operands = operand if isinstance(operand, list) else [operand]
        return not any(operator_hits(operator, one, value, entries) for one in operands)
    if operator == "exactly" and is_number(operand):
        return is_number(value) and float(operand) == float(value)
    if operator == "numeric":
        sides = list(zip(operand[::2], operand[1::2], strict=True))
        return is_number(value) and all(
            {"=": value == n, "<": value < n, "<=": value <= n, ">": value > n, ">=": value >= n}[op] for op, n in sides
        )
    if operator == "cidr":
        network = ipaddress.ip_network(operand, strict=False)
        return in_network(value, network.network_address.packed, network.broadcast_address.packed, entries)
    if operator == "equals-ignore-case" and operand and behind_star(operand, entries):
        # event-ruler's own slip, which EventBridge shares: see `StrayedIgnoreCase`
        return isinstance(value, str) and len(value) >= len(operand) and value.lower().endswith(operand[1:].lower())
    return isinstance(value, str) and text_hits(operator, operand, value)


def behind_star(operand: Any, entries: Any) -> bool:
    star = False
    for entry in entries:
        if isinstance(entry, dict) and entry.get("equals-ignore-case") == operand:
            return star
        star = star or (isinstance(entry, dict) and str(entry.get("wildcard", "")).startswith("*"))
    return False


def text_hits(operator: Any, operand: Any, value: Any) -> Any:
    if isinstance(operand, dict):
        # good for the plain letters that the random cases have
        operand, value = operand["equals-ignore-case"].lower(), value.lower()
    if operator == "wildcard":
        units = re.findall(r"\\.|.", operand, re.DOTALL)
        return bool(re.fullmatch("".join(".*" if u == "*" else re.escape(u[-1]) for u in units), value, re.DOTALL))
    return {
        "exactly": value == operand,
        "prefix": value.startswith(operand),
        "suffix": value.endswith(operand),
        "equals-ignore-case": value.lower() == operand.lower(),
    }[operator]


def in_network(value: Any, low: Any, high: Any, entries: Any) -> Any:
    if isinstance(value, str):
        found = address(value)
        return found is not None and len(found) == len(low) and low <= found <= high
    if not is_number(value) or any(is_about_numbers(entry) for entry in entries):
        return False
    # A number passes for the hexadecimal digits of an address as soon as nothing after them can matter.
    low, high, text = low.hex().upper(), high.hex().upper(), str(value)
    for length in range(1, min(len(low), len(text)) + 1):
        digits = text[:length]
        if not re.fullmatch("[0-9A-F]+", digits):
            return False
        least, most = digits.ljust(len(low), "0"), digits.ljust(len(low), "F")
        if (low < least and most < high) or (length == len(low) and low <= digits <= high):
            return True
    return False


def is_about_numbers(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return is_number(entry)
    operand = entry.get("anything-but")
    return "numeric" in entry or is_number(operand) or (isinstance(operand, list) and is_number(operand[0]))
