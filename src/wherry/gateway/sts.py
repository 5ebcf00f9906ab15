"""STS: who am I (AWS STS API Reference, GetCallerIdentity)."""

from __future__ import annotations

from wherry.gateway.context import Call
from wherry.gateway.http import Response
from wherry.gateway.xml import HEADER, elements
from wherry.model import LOCAL_ACCOUNT

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def get_caller_identity(call: Call) -> Response:
    """GetCallerIdentity."""
    content = elements([("Arn", call.caller.arn), ("UserId", call.caller.user_id), ("Account", LOCAL_ACCOUNT)])
    body = (
        f'{HEADER}<GetCallerIdentityResponse xmlns="{_NAMESPACE}"><GetCallerIdentityResult>{content}'
        f"</GetCallerIdentityResult><ResponseMetadata>{elements([('RequestId', call.request_id)])}"
        "</ResponseMetadata></GetCallerIdentityResponse>"
    )
    return Response(headers=[("Content-Type", "text/xml")], body=body.encode())
