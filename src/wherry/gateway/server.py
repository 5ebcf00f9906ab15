"""The gateway: one port on loopback for every service that answers here.

A request's signature says which service it means and who sends it. S3 and Lambda speak REST, STS the query protocol,
the others JSON with the operation in `X-Amz-Target`.
"""

from __future__ import annotations

import errno
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

from wherry import __version__
from wherry.errors import WherryError
from wherry.gateway import events, functions, parameters, s3, sigv2, sigv4, sqs, sts
from wherry.gateway.answers import error_answer, json_answer
from wherry.gateway.context import Call, Services
from wherry.gateway.elsewhere import not_implemented
from wherry.gateway.errors import AwsError
from wherry.gateway.http import BadRequest, Disconnected, Request, Response
from wherry.gateway.listener import Handler, Server
from wherry.gateway.text import decoded
from wherry.local.objects import ObjectError

#: The largest body of a request that is not S3's, in bytes.
LARGEST_BODY = 4 << 20
#: Where wherry's own routes begin; no bucket's name can.
OWN = "/_wherry/"

#: KEY/DAY/REGION/SERVICE/aws4_request
_SCOPE = re.compile(r"Credential=[^/\s]+/\d{8}/[^/\s]+/([^/\s]+)/aws4_request")
_OPERATION = re.compile(r"/service/[^/]+/operation/(\w+)")

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
    """Serves until stopped; `endpoint` is its URL.

    It answers on loopback, and on further `addresses` of this machine, at the same port.
    `routes` are further paths under `/_wherry/`, each with its handler; they see requests that nobody has verified.
    """

    def __init__(
        self,
        services: Services,
        port: int = 0,
        routes: Mapping[str, Handler] | None = None,
        addresses: Sequence[str] = (),
    ) -> None:
        self._services = services
        self._routes: dict[str, Handler] = {f"{OWN}health": _health, **(routes or {})}
        self._server = Server(self._handle, port, addresses)
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self.port = self._server.port

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> None:
        """Close every connection."""
        self._server.stop()

    def _handle(self, request: Request) -> Response:
        if request.path.startswith(OWN):
            return self._routes.get(request.path, _nothing)(request)
        request_id = secrets.token_hex(8).upper()
        service = _service_of(request)
        try:
            call = self._verified(request, request_id, is_s3=service == "s3")
            return s3.handle(call) if service == "s3" else self._operate(call)
        except (BadRequest, Disconnected):
            raise
        except Exception as caught:  # noqa: BLE001 - the edge: a client is told, and the engine lives on
            error = _as_answer(caught)
        if service == "s3":
            return s3.error_response(request.method, error, request.path, request_id)
        return error_answer(request, service, error, request_id)

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
        request, service = call.request, call.signature.service
        if service == "lambda":
            return functions.handle(call)
        if service == "sqs":
            return sqs.handle(call)
        target = request.headers.get("x-amz-target")
        if target is None:
            action = dict(parse_qsl(call.body.decode(errors="replace"))).get("Action")
            if service == "sts" and action == "GetCallerIdentity":
                return sts.get_caller_identity(call)
            named = _OPERATION.fullmatch(request.path)
            raise not_implemented(service, action or (named[1] if named else f"{request.method} {request.path}"))
        operation = OPERATIONS.get(target)
        if operation is None:
            raise not_implemented(service, target.rpartition(".")[2])
        try:
            given = json.loads(call.body or b"{}")
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise AwsError("SerializationException", "the body is not a JSON object")
        return json_answer(request, operation(call, given), call.request_id)


def _health(request: Request) -> Response:
    return json_answer(request, {"status": "ok", "version": __version__}, "")


def _nothing(request: Request) -> Response:
    return json_answer(request, {"error": f"there is no {request.path}"}, "", 404)


def _as_answer(error: Exception) -> AwsError | ObjectError:
    """What a client is told of an error; what is nobody's intention is called a bug."""
    if isinstance(error, AwsError | ObjectError):
        return error
    if isinstance(error, WherryError):
        return AwsError("InternalError", error.message, 500)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE):
        return AwsError("InternalError", f"the engine cannot write or read: {error.strerror}", 500)
    return AwsError("InternalError", f"this is a bug in wherry: {error!r}", 500)


def _query(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {decoded(name): decoded(value.replace("+", " ")) for name, _, value in pairs}


def _service_of(request: Request) -> str:
    """The service that a request says it is signed for; S3 when it does not say."""
    match = _SCOPE.search(request.headers.get("authorization", "")) or _SCOPE.search(unquote(request.query))
    return match[1] if match else "s3"


def _small_body(request: Request) -> bytes:
    body = request.body.read_all(LARGEST_BODY)
    if body is None:
        raise AwsError("RequestEntityTooLarge", "the body has more than 4 MiB", 413)
    return body
