"""The little XML that S3 and STS speak."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET  # the input is small and of an authenticated client

from wherry.gateway.errors import AwsError
from wherry.gateway.http import Response

HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def escape(text: str) -> str:
    """Text as element content; what XML 1.0 cannot hold becomes a question mark (`encoding-type=url` keeps it)."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return _FORBIDDEN.sub("?", text).replace("\r", "&#13;")


def element(name: str, value: object) -> str:
    """`<name>value</name>`; booleans as XML writes them."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    return f"<{name}>{escape(str(value))}</{name}>"


def elements(pairs: Iterable[tuple[str, object]]) -> str:
    """Elements one after another; those whose value is None are left out."""
    return "".join(element(name, value) for name, value in pairs if value is not None)


def document(root: str, content: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """An S3 document as an answer."""
    body = f'{HEADER}<{root} xmlns="{NAMESPACE}">{content}</{root}>'.encode()
    return Response(headers=[("Content-Type", "application/xml"), *headers], body=body)


def parse(body: bytes | None) -> ET.Element:
    """A request's document, its names without their namespace; raises AwsError MalformedXML."""
    if not body or b"\0" in body or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise AwsError("MalformedXML", "the XML you provided was not well-formed or is too large", 400)
    try:
        root = ET.fromstring(body)  # noqa: S314 - no document type, no entities: see above
    except ET.ParseError as error:
        raise AwsError("MalformedXML", f"the XML you provided was not well-formed: {error}", 400) from None
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
    return root
