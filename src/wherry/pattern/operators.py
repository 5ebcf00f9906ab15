"""From an entry of a pattern's array, as JSON, to an Entry. The refusals are event-ruler's, word for word.

event-ruler reads a pattern from left to right and stops at the first thing it does not expect (`JsonRuleCompiler`); the
order of the checks here is its order, because it decides which message people see on AWS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from wherry.pattern import entries, texts
from wherry.pattern.entries import Entry
from wherry.pattern.literals import as_address, as_double, is_number, looks_like_address

_ONE_KEY: Final = "Only one key allowed in match expression"
_TOO_MANY: Final = "Too many elements in numeric expression"
_INT32: Final = 2**31


class Refusal(ValueError):
    """What event-ruler would say; the parser adds the place."""


def read_entry(value: Any) -> Entry:
    """One entry of an array; raises Refusal."""
    if isinstance(value, Mapping):
        return _read_expression(value)
    if isinstance(value, str):
        octets = as_address(value)
        return entries.Text(value) if octets is None else entries.Address(octets)
    if value is None or isinstance(value, bool):
        return entries.Constant(value)
    if is_number(value):
        return entries.Number(value)
    raise Refusal("Match value must be String, number, true, false, or null")


def _read_expression(expression: Mapping[str, Any]) -> Entry:
    if not expression:
        raise Refusal("Match expression name not found")
    name = next(iter(expression))
    read = _OPERATORS.get(name)
    if read is None:
        raise Refusal(f"Unrecognized match type {name}")
    entry = read(expression[name])
    if len(expression) > 1:
        raise Refusal(_TOO_MANY if name in ("numeric", "anything-but") else _ONE_KEY)
    return entry


def _exactly(value: Any) -> Entry:
    return entries.Text(_text(value, "exact match pattern must be a string"))


def _prefix(value: Any) -> Entry:
    if isinstance(value, Mapping):
        return entries.Prefix(_ignoring_case(value, "prefix"), ignore_case=True)
    return entries.Prefix(_text(value, "prefix match pattern must be a string"))


def _suffix(value: Any) -> Entry:
    if isinstance(value, Mapping):
        return entries.Suffix(_ignoring_case(value, "suffix"), ignore_case=True)
    return entries.Suffix(_text(value, "suffix match pattern must be a string"))


def _ignoring_case(expression: Mapping[str, Any], operator: str) -> str:
    if not expression:
        raise Refusal(f"{operator.capitalize()} expression name not found")
    name = next(iter(expression))
    if name != "equals-ignore-case":
        raise Refusal(f"Unsupported {operator} pattern: {name}")
    text = _text(expression[name], "equals-ignore-case match pattern must be a string")
    if len(expression) > 1:
        raise Refusal(_ONE_KEY)
    return text


def _equals_ignore_case(value: Any) -> Entry:
    return entries.IgnoreCase(_text(value, "equals-ignore-case match pattern must be a string"))


def _wildcard(value: Any) -> Entry:
    text = _text(value, "wildcard match pattern must be a string")
    try:
        return entries.Wildcard(texts.wildcard_pieces(text))
    except texts.WildcardError as error:
        raise Refusal(str(error)) from None


def _exists(value: Any) -> Entry:
    if not isinstance(value, bool):
        raise Refusal("exists match pattern must be either true or false.")
    return entries.Exists(value)


def _cidr(value: Any) -> Entry:
    # "prefix" is event-ruler's own slip.
    parts = _text(value, "prefix match pattern must be a string").split("/")
    while parts and not parts[-1]:  # as Java's String.split
        parts.pop()
    if len(parts) != 2:
        raise Refusal("Malformed CIDR, one '/' required")
    address, mask = parts
    bits = _mask_bits(mask)
    octets = as_address(address)
    if octets is None:
        raise Refusal(f"{'Invalid' if looks_like_address(address) else 'Nonstandard'} IP address: {address}")
    width = len(octets) * 8
    if bits >= width:
        raise Refusal(f"IPv{4 if width == 32 else 6} mask bits must be < {width}")
    host = (1 << (width - bits)) - 1
    number = int.from_bytes(octets, "big")
    return entries.Network((number & ~host).to_bytes(len(octets), "big"), (number | host).to_bytes(len(octets), "big"))


def _mask_bits(text: str) -> int:
    # At most ten digits fit Java's int; a longer text is not converted at all.
    if not re.fullmatch(r"[+-]?0*[0-9]{1,10}", text, re.ASCII) or not -_INT32 <= int(text) < _INT32:
        raise Refusal("Malformed CIDR, mask bits must be an integer")
    if int(text) < 0:
        raise Refusal("Malformed CIDR, mask bits must not be negative")
    return int(text)


def _numeric(value: Any) -> Entry:
    if not isinstance(value, list | tuple):
        raise Refusal("Value of numeric must be an array.")
    operator = _item(value, 0)
    if not isinstance(operator, str):
        raise Refusal(f"Invalid member in numeric match: {_token(operator)}")
    if operator not in ("=", "<", "<=", ">", ">="):
        raise Refusal(f"Unrecognized numeric range operator: {operator}")
    bound = _bound(_item(value, 1), "equals" if operator == "=" else operator)
    if operator in (">", ">=") and len(value) > 2:
        return _two_sided(value, bound)
    if len(value) > 2:
        raise Refusal(_TOO_MANY)
    if operator == "=":
        return entries.Range(bound, low_included=True, high=bound, high_included=True)
    included = operator.endswith("=")
    if operator.startswith("<"):
        return entries.Range(high=bound, high_included=included)
    return entries.Range(bound, low_included=included)


def _two_sided(value: Sequence[Any], low: float) -> Entry:
    operator = value[2]
    if not isinstance(operator, str):
        raise Refusal(f"Bad value in numeric range: {_token(operator)}")
    if operator not in ("<", "<="):
        raise Refusal(f"Bad numeric range operator: {operator}")
    high = _bound(_item(value, 3), operator)
    if len(value) > 4:
        raise Refusal("Too many terms in numeric range expression")
    if low >= high:
        raise Refusal("Bottom must be less than top")
    return entries.Range(low, low_included=value[0] == ">=", high=high, high_included=operator == "<=")


class _End:
    """What stands after the last item of an array."""


def _item(array: Sequence[Any], at: int) -> Any:
    return array[at] if at < len(array) else _End()


def _token(value: Any) -> str:
    """A value as event-ruler quotes it: the first token of its text."""
    match value:
        case _End():
            return "]"
        case list() | tuple():
            return "["
        case Mapping():
            return "{"
        case _:
            return json.dumps(value)


def _bound(value: Any, operator: str) -> float:
    if not is_number(value):
        raise Refusal(f"Value of {operator} must be numeric")
    return _double(value)


def _double(value: float) -> float:
    double = as_double(value)
    if double is None:
        raise Refusal("Value must be within the range of a double")  # our words: what AWS says is not known
    return double


def _anything_but(value: Any) -> Entry:
    if isinstance(value, Mapping):
        return _anything_but_expression(value)
    _check_listable(value)
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str) or is_number(item) for item in values):
        raise Refusal("Inside anything but list, start|null|boolean is not supported.")
    if len({isinstance(item, str) for item in values}) != 1:
        raise Refusal("Inside anything but list, either all values are number or string, mixed type is not supported")
    # An address is a text like any other here: event-ruler compares it by its spelling.
    return entries.AnythingBut(
        tuple(entries.Text(item) if isinstance(item, str) else entries.Number(_double(item)) for item in values)
    )


def _anything_but_expression(expression: Mapping[str, Any]) -> Entry:
    if not expression:
        raise Refusal("Anything-But expression name not found")
    name = next(iter(expression))
    read = {"prefix": _prefix, "suffix": _suffix, "equals-ignore-case": _equals_ignore_case, "wildcard": _wildcard}
    if name not in read:
        raise Refusal(f"Unsupported anything-but pattern: {name}")
    value = expression[name]
    _check_listable(value)
    values = value if isinstance(value, list | tuple) else [value]
    for item in values:
        if not isinstance(item, str):
            raise Refusal(_NOT_A_TEXT.get(name, "prefix/suffix match pattern must be a string"))
        if not item and name in ("prefix", "suffix"):
            raise Refusal("Null prefix/suffix not allowed")
    refused = tuple(read[name](item) for item in values)
    if len(expression) > 1:
        raise Refusal(_TOO_MANY)
    return entries.AnythingBut(refused)


def _check_listable(value: Any) -> None:
    if not isinstance(value, str | list | tuple) and not is_number(value):
        raise Refusal("Value of anything-but must be an array or single string/number value.")


_NOT_A_TEXT: Final = {
    "equals-ignore-case": "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    "wildcard": "wildcard match pattern must be a string",
}


def _text(value: Any, refusal: str) -> str:
    if not isinstance(value, str):
        raise Refusal(refusal)
    return value


_OPERATORS: Final[Mapping[str, Callable[[Any], Entry]]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": _exists,
    "anything-but": _anything_but,
}
