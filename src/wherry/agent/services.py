"""What the worker asks of SQS and S3. Sources: API references of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

from wherry.agent.client import CallFailed, Service, patiently
from wherry.agent.credentials import Credentials
from wherry.agent.signing import encoded

Message = Mapping[str, Any]

_CHUNK = 1 << 20
#: Seconds: a message whose work is done must be deleted, or the work is done again.
_FOR_DELETING = 300.0
_FOR_FETCHING = 60.0
_MISSING = 404
#: Seconds without a word after which a call is tried anew: one like any other, and one that waits for messages, on top.
_FOR_ONE, _LATE = 20.0, 10.0


class Sqs:
    """One queue."""

    def __init__(self, url: str, environment: Mapping[str, str], credentials: Credentials) -> None:
        parts = urlsplit(url)
        self._url = url
        self._origin = endpoint("SQS", environment) or f"{parts.scheme}://{parts.netloc}"
        self._service = Service("sqs", region_of(environment), credentials)

    def receive(self, most: int, *, visibility: float, wait: int, patience: float) -> list[Message]:
        """Up to `most` messages, as soon as there is one, or none after `wait` seconds; raises CallFailed."""
        answer = self._call(
            "ReceiveMessage",
            {
                "MaxNumberOfMessages": most,
                "VisibilityTimeout": round(visibility),
                "WaitTimeSeconds": wait,
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            },
            patience,
            wait + _LATE,
        )
        found: list[Message] = answer.get("Messages") or []
        return found

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages; raises CallFailed."""
        self._batch("DeleteMessage", messages, lambda _: {}, _FOR_DELETING)

    def hide(self, messages: Sequence[Message], seconds: Callable[[Message], float], *, patience: float) -> None:
        """Hide messages from others for so long from now on; 0 gives them back. Raises CallFailed."""
        self._batch(
            "ChangeMessageVisibility", messages, lambda each: {"VisibilityTimeout": round(seconds(each))}, patience
        )

    def _batch(
        self, action: str, messages: Sequence[Message], more: Callable[[Message], dict[str, Any]], patience: float
    ) -> None:
        """One call for all; what AWS refuses for a moment only is asked for again."""
        left = {str(number): message for number, message in enumerate(messages)}

        def once() -> None:
            entries = [{"Id": key, "ReceiptHandle": each["ReceiptHandle"], **more(each)} for key, each in left.items()]
            answer = self._call(f"{action}Batch", {"Entries": entries}, 0, min(patience, _FOR_ONE))
            for done in answer.get("Successful") or []:
                left.pop(done["Id"], None)
            for failed in answer.get("Failed") or []:
                status = 400 if failed.get("SenderFault") else 500
                raise CallFailed(str(failed.get("Message") or failed["Code"]), code=failed["Code"], status=status)

        patiently(once, patience)

    def _call(self, action: str, document: dict[str, Any], patience: float, timeout: float) -> dict[str, Any]:
        body = json.dumps({"QueueUrl": self._url, **document}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
        answer = self._service.ask(
            "POST", self._origin, "/", headers=headers, body=body, patience=patience, timeout=timeout
        )
        try:
            found = json.loads(answer or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CallFailed(f"somebody else answers in the place of SQS: {answer[:100]!r}")
        return found


class Gone(Exception):
    """There is no such object."""


class S3:
    """Objects of buckets in the worker's own region."""

    def __init__(self, environment: Mapping[str, str], credentials: Credentials, *, domain: str) -> None:
        self._region = region_of(environment)
        self._given = endpoint("S3", environment)
        self._domain = domain
        self._service = Service("s3", self._region, credentials)

    def read(self, bucket: str, key: str, *, patience: float = 5.0) -> bytes:
        """A small object's bytes; raises Gone and CallFailed."""
        origin, path = self._place(bucket, key)
        try:
            return self._service.ask("GET", origin, path, patience=patience)
        except CallFailed as error:
            raise_gone(error)

    def write(self, bucket: str, key: str, body: bytes, *, patience: float = 30.0) -> None:
        """Make an object; raises CallFailed."""
        origin, path = self._place(bucket, key)
        headers = {"Content-Type": "application/json"}
        self._service.ask("PUT", origin, path, headers=headers, body=body, patience=patience)

    def remove(self, bucket: str, key: str, *, patience: float = 10.0) -> None:
        """Delete an object that may not be there; raises CallFailed."""
        origin, path = self._place(bucket, key)
        self._service.ask("DELETE", origin, path, patience=patience)

    def fetch(
        self, bucket: str, key: str, into: str, *, stop: Callable[[], bool], patience: float = _FOR_FETCHING
    ) -> None:
        """Copy an object into a new file, whatever its size; what breaks off is gone on with where it did.

        `patience`: seconds without any progress. Raises Gone, CallFailed, OSError for the disk's own troubles, and
        Stopped.
        """
        origin, path = self._place(bucket, key)
        with open(into, "xb") as file:
            seen: dict[str, str] = {}

            def once() -> None:
                done = file.tell()
                headers = {"Range": f"bytes={done}-", "If-Match": seen["etag"]} if done else {}
                with self._service.answer("GET", origin, path, headers=headers) as answer:
                    if answer.headers.get("ETag"):
                        seen.setdefault("etag", answer.headers["ETag"])
                    wanted = done + int(answer.headers["Content-Length"])
                    while chunk := answer.read(_CHUNK):
                        _write(file, chunk)
                        if stop():
                            raise Stopped
                if file.tell() != wanted:
                    raise CallFailed(f"only {file.tell()} of {wanted} bytes came")

            while True:
                before = file.tell()
                try:
                    return patiently(once, patience)
                except CallFailed as error:
                    if not error.is_passing or file.tell() == before:
                        raise_gone(error)

    def _place(self, bucket: str, key: str) -> tuple[str, str]:
        """Origin and path of an object: the bucket's own host, unless its name or another endpoint forbids it."""
        path = encoded(key, safe="/")
        if self._given:
            return self._given, f"/{bucket}/{path}"
        if "." in bucket:
            return f"https://s3.{self._region}.{self._domain}", f"/{bucket}/{path}"
        return f"https://{bucket}.s3.{self._region}.{self._domain}", f"/{path}"


class Stopped(Exception):
    """Somebody does not want it any more."""


class DiskFailed(Exception):
    """The worker's own disk takes no more."""


def _write(file: Any, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise DiskFailed(f"the object does not fit on the disk: {error.strerror}") from None


def raise_gone(error: CallFailed) -> NoReturn:
    """Raise Gone for what is not there, the error itself otherwise."""
    if error.code in ("NoSuchKey", "NoSuchVersion") or (error.status == _MISSING and error.code != "NoSuchBucket"):
        raise Gone from None
    raise error


def endpoint(service: str, environment: Mapping[str, str]) -> str:
    """Where a service is, if not in its usual place (AWS SDKs Reference Guide, "Service-specific endpoints")."""
    if environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return ""
    found = environment.get(f"AWS_ENDPOINT_URL_{service}") or environment.get("AWS_ENDPOINT_URL") or ""
    return found.rstrip("/")


def region_of(environment: Mapping[str, str]) -> str:
    """The region that the worker is in."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"


def domain_of(url: str, region: str) -> str:
    """AWS's domain in this partition, by a queue's URL: `amazonaws.com`, in China `amazonaws.com.cn`."""
    host = urlsplit(url).netloc
    return host.partition(f"sqs.{region}.")[2] or "amazonaws.com"
