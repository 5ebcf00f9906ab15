"""Message attributes: which of them a receiver asked for, and the digest that SDKs compare.

Source: Amazon SQS Developer Guide, "Calculating the MD5 message digest for message attributes".
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

Attributes = Mapping[str, Mapping[str, str]]


def md5_of(text: str) -> str:
    """The digest of a body."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def digest(attributes: Attributes) -> str:
    """The digest of attributes: of just those that are sent, or returned."""
    md5 = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        value = attributes[name]
        binary = value.get("BinaryValue") if value["DataType"].startswith("Binary") else None
        content = value["StringValue"].encode() if binary is None else base64.b64decode(binary)
        for part in (_counted(name.encode()), _counted(value["DataType"].encode()), b"\2" if binary else b"\1"):
            md5.update(part)
        md5.update(_counted(content))
    return md5.hexdigest()


def asked_for(attributes: Attributes, names: Iterable[str]) -> Attributes:
    """The attributes that `names` mean: `All`, `.*`, `prefix.*`, or a name."""
    if not attributes:
        return {}
    wanted = tuple(names)
    if "All" in wanted or ".*" in wanted:
        return attributes
    prefixes = tuple(name[:-2] for name in wanted if name.endswith(".*"))
    return {
        name: value for name, value in attributes.items() if name in wanted or (prefixes and name.startswith(prefixes))
    }


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
