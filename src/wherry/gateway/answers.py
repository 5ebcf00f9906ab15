"""Errors of the services beside S3, in the protocol in which the request came: JSON, CBOR, query or XML."""

from __future__ import annotations

import json
from typing import Any

from wherry.gateway.errors import AwsError
from wherry.gateway.http import Request, Response
from wherry.gateway.xml import HEADER, elements
from wherry.local.objects import ObjectError

#: The services whose REST speaks XML; S3 answers for itself.
_XML_SERVICES = frozenset(("cloudfront", "route53"))
_JSON = "application/x-amz-json-1.1"


def json_answer(request: Request, value: dict[str, Any], request_id: str, status: int = 200) -> Response:
    """JSON, of the version in which the request came."""
    kind = request.headers.get("content-type", "")
    kind = kind if kind.startswith("application/x-amz-json-") else _JSON
    headers = [("Content-Type", kind), ("x-amzn-RequestId", request_id)]
    return Response(status=status, headers=headers, body=json.dumps(value).encode())


def error_answer(request: Request, service: str, error: AwsError | ObjectError, request_id: str) -> Response:
    """The error as the client can read it."""
    status = error.status if isinstance(error, AwsError) else 400
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        headers = [("smithy-protocol", "rpc-v2-cbor"), ("Content-Type", "application/cbor")]
        body = _cbor({"__type": error.code, "message": error.message})
        return Response(status=status, headers=[*headers, ("x-amzn-RequestId", request_id)], body=body)
    is_query = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if is_query or service in _XML_SERVICES:
        text = elements([("Type", "Sender"), ("Code", error.code), ("Message", error.message)])
        tail = elements([("RequestId", request_id)])
        document = f"{HEADER}<ErrorResponse><Error>{text}</Error>{tail}</ErrorResponse>"
        return Response(status=status, headers=[("Content-Type", "text/xml")], body=document.encode())
    said = {"__type": error.code, "message": error.message, "Message": error.message}
    response = json_answer(request, said, request_id, status)
    response.headers = [*response.headers, ("x-amzn-errortype", error.code)]
    return response


def _cbor(texts: dict[str, str]) -> bytes:
    """A map of texts (RFC 8949): the one thing of CBOR that is needed here."""
    body = bytes([0xA0 + len(texts)])
    for pair in texts.items():
        for text in pair:
            data = text.encode()
            body += b"\x79" + len(data).to_bytes(2, "big") + data
    return body
