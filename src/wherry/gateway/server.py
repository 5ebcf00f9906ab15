"""The gateway: one port on loopback for every service that answers here.

A request's signature says which service it means and who sends it. S3 speaks REST, STS the query protocol, the others
JSON with the operation in `X-Amz-Target`.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from wherry import __version__
from wherry.gateway import events, parameters, s3, sigv2, sigv4, sts
from wherry.gateway.context import Call, Services
from wherry.gateway.errors import AwsError
from wherry.gateway.http import Request, Response, Server
from wherry.gateway.xml import HEADER, elements
from wherry.local.objects import ObjectError

#: The largest body of a request that is not S3's, in bytes.
LARGEST_BODY = 4 << 20

#: KEY/DAY/REGION/SERVICE/aws4_request
_SCOPE = re.compile(r"Credential=[^/\s]+/\d{8}/[^/\s]+/([^/\s]+)/aws4_request")

JsonOperation = Callable[[Call, dict[str, Any]], dict[str, Any]]
#: X-Amz-Target -> operation.
OPERATIONS: dict[str, JsonOperation] = {
    "AWSEvents.PutEvents": events.put_events,
    "secretsmanager.GetSecretValue": parameters.get_secret_value,
    "secretsmanager.DescribeSecret": parameters.describe_secret,
    "AmazonSSM.GetParameter": parameters.get_parameter,
    "AmazonSSM.GetParameters": parameters.get_parameters,
}


class Gateway:
    """Serves until stopped; `endpoint` is its URL."""

    def __init__(self, services: Services, port: int = 0) -> None:
        self._services = services
        self._server = Server(self._handle, port)
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self.port = self._server.port

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> None:
        """Close every connection."""
        self._server.stop()

    def _handle(self, request: Request) -> Response:
        if request.path == "/_wherry/health":
            return _json({"status": "ok", "version": __version__}, "")
        request_id = secrets.token_hex(8).upper()
        is_s3 = _service_of(request) == "s3"
        try:
            call = self._verified(request, request_id, is_s3=is_s3)
            if is_s3:
                return s3.handle(call)
            return self._operate(call)
        except (AwsError, ObjectError) as error:
            if is_s3:
                return s3.error_response(request.method, error, request.path, request_id)
            return _error(request, error, request_id)
        except Exception as error:  # noqa: BLE001 - the edge: a client is told, and the engine lives on
            bug = AwsError("InternalError", f"this is a bug in wherry: {error!r}", 500)
            return s3.error_response(request.method, bug, request.path, request_id)

    def _verified(self, request: Request, request_id: str, *, is_s3: bool) -> Call:
        guard = self._services.guard
        body = b"" if is_s3 else _small_body(request)
        now = self._services.clock()
        if "AWSAccessKeyId=" in request.query:
            signature = sigv2.verify_query(request, guard.secret_of, now)
        else:
            signature = sigv4.verify(request, guard.secret_of, now, lambda: body)
        return Call(
            request=request,
            signature=signature,
            caller=guard.caller(signature.access_key_id),
            services=self._services,
            request_id=request_id,
            query=_query(request.query),
            body=body,
        )

    def _operate(self, call: Call) -> Response:
        target = call.request.headers.get("x-amz-target")
        if target is None:
            action = dict(parse_qsl(call.body.decode(errors="replace"))).get("Action", "")
            if call.signature.service == "sts" and action == "GetCallerIdentity":
                return sts.get_caller_identity(call)
            raise _not_implemented(call.signature.service, action)
        operation = OPERATIONS.get(target)
        if operation is None:
            raise _not_implemented(call.signature.service, target.rpartition(".")[2])
        try:
            given = json.loads(call.body or b"{}")
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise AwsError("SerializationException", "the body is not a JSON object")
        return _json(operation(call, given), call.request_id)


def _not_implemented(service: str, action: str) -> AwsError:
    variable = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
    return AwsError(
        "NotImplemented",
        f"wherry does not have {service}:{action or 'this operation'}. To use a full emulator, or AWS itself, for this "
        f"service alone, set {variable} in the job's `env`",
        501,
    )


def _query(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {unquote(name): unquote(value.replace("+", " ")) for name, _, value in pairs}


def _service_of(request: Request) -> str:
    """The service that a request says it is signed for; S3 when it does not say."""
    match = _SCOPE.search(request.headers.get("authorization", "")) or _SCOPE.search(unquote(request.query))
    return match[1] if match else "s3"


def _small_body(request: Request) -> bytes:
    body = request.body.read_all(LARGEST_BODY)
    if body is None:
        raise AwsError("RequestEntityTooLarge", "the body has more than 4 MiB", 413)
    return body


def _json(value: dict[str, Any], request_id: str) -> Response:
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", request_id)]
    return Response(headers=headers, body=json.dumps(value).encode())


def _error(request: Request, error: AwsError | ObjectError, request_id: str) -> Response:
    status = error.status if isinstance(error, AwsError) else 400
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        response = _json({"__type": error.code, "message": error.message, "Message": error.message}, request_id)
        response.status = status
        response.headers = [*response.headers, ("x-amzn-errortype", error.code)]
        return response
    text = elements([("Type", "Sender"), ("Code", error.code), ("Message", error.message)])
    body = f"{HEADER}<ErrorResponse><Error>{text}</Error>{elements([('RequestId', request_id)])}</ErrorResponse>"
    return Response(status=status, headers=[("Content-Type", "text/xml")], body=body.encode())
