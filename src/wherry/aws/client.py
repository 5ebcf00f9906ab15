"""The one door to AWS: every call goes through `Aws.call` and fails as `AwsError`."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from wherry.aws.patience import Patience, is_fault, is_passing
from wherry.errors import UserError, WherryError
from wherry.jobfile.names import REGION_PATTERN

if TYPE_CHECKING:
    import botocore.client

#: Calls in all, the first one included; botocore waits between them, longer each time, with jitter.
_MAX_ATTEMPTS = 8
_FIRST_ATTEMPTS = 5
_CONNECT_SECONDS = 10
#: AWS answers within a second or two; who waits longer waits for an answer that is lost.
_READ_SECONDS = 20
#: Seconds between two attempts at most, as botocore has it.
_LONGEST_PAUSE = 20.0
#: Calls at once; a client of botocore has as many connections.
_AT_ONCE = 10
_CHUNK = 1 << 20

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class AwsError(WherryError):
    """AWS refused a call, or could not be reached."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        hint: str | None = None,
        call: str = "",
        passes: bool = False,
        is_unsure: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        #: AWS's own name of the error, e.g. `ExecutionDoesNotExist`; empty when there was no answer.
        self.code = code
        #: What was called, as `Aws.call` was given it: `ec2:describe_subnets`.
        self.call = call
        #: True for what may go better a moment later: throttling, a fault of AWS's, a lost answer.
        self.passes = passes
        #: True when AWS may have done it none the less: its answer was lost, or is a fault.
        self.is_unsure = is_unsure

    @property
    def is_denied(self) -> bool:
        """The caller may not do that."""
        return self.code.startswith(("AccessDenied", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized"))


class Aws:
    """An account and region, as the caller's own configuration has them: profiles, SSO, AWS_ENDPOINT_URL and all."""

    def __init__(
        self, *, region: str | None = None, profile: str | None = None, tell: Callable[[str], None] | None = None
    ) -> None:
        """Raises UserError when boto3 is missing, no region is known or the profile does not exist.

        `tell` is told when a call is tried again and again.
        """
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError:
            raise UserError("environments on AWS need boto3", hint="pip install boto3") from None
        self._errors = botocore.exceptions
        try:
            self._session = boto3.Session(profile_name=profile, region_name=region)
        except botocore.exceptions.ProfileNotFound as error:
            raise UserError(str(error), hint="`aws configure list-profiles` lists them") from None
        if not self._session.region_name:
            raise UserError(
                "no AWS region is known", hint="write `region:` under the environment, or give `--region eu-central-1`"
            )
        if not re.fullmatch(REGION_PATTERN, self._session.region_name):
            raise UserError(
                f"`{self._session.region_name}` is no AWS region", hint="they are called as `eu-central-1` is"
            )
        self._config = botocore.config.Config
        self._clients: dict[tuple[str, bool], botocore.client.BaseClient] = {}
        self._patience = Patience(tell)
        # clients may be used by many threads at once, but are made by one at a time
        self._making = threading.Lock()

    @property
    def region(self) -> str:
        """The region's code."""
        return str(self._session.region_name)

    @cached_property
    def caller(self) -> dict[str, Any]:
        """STS's GetCallerIdentity: Account, Arn, UserId."""
        return self.call("sts", "get_caller_identity")

    def knows_region(self) -> bool:
        """Whether there is such a region; asks nobody: botocore has a list."""
        partitions = self._session.get_available_partitions()
        return any(self.region in self._session.get_available_regions("ecs", name) for name in partitions)

    @property
    def account(self) -> str:
        """The account's 12 digits."""
        return str(self.caller["Account"])

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        return str(self.caller["Arn"]).split(":")[1]

    def object_url(self, bucket: str, key: str) -> str:
        """Where another service of AWS finds an object."""
        return f"{self._client('s3').meta.endpoint_url}/{bucket}/{key}"

    def call(self, service: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """One call, named as in boto3; raises AwsError."""
        ask = self._operation(self._client(service), service, operation)
        try:
            answer: dict[str, Any] = ask(**parameters)
        except (self._errors.ClientError, self._errors.BotoCoreError) as error:
            raise self._translated(service, operation, error) from None
        return answer

    def carefully(self, service: str, operation: str, is_done: Callable[[], bool], **parameters: Any) -> None:
        """One call whose repetition would do harm: before it is repeated, `is_done` says whether it was done after all.

        Raises AwsError.
        """
        for answer in self._attempts(service, operation, parameters, lambda failed: failed.passes):
            if answer is not None or is_done():
                return

    def once(self, service: str, operation: str, /, *, is_known_again: bool, **parameters: Any) -> dict[str, Any]:
        """One call whose repetition would do harm that nobody could see: repeated only where it was surely not done.

        `is_known_again`: this one AWS knows when it is repeated. Raises AwsError, which `is_unsure` when it may have
        been done.
        """

        def is_worth(failed: AwsError) -> bool:
            return failed.passes and (is_known_again or not failed.is_unsure)

        answers = self._attempts(service, operation, parameters, is_worth)
        return next(answer for answer in answers if answer is not None)

    def _attempts(
        self, service: str, operation: str, parameters: Mapping[str, Any], is_worth: Callable[[AwsError], bool]
    ) -> Iterator[dict[str, Any] | None]:
        """Attempts at a call that botocore does not repeat by itself, up to the first answer; None: one has failed.

        Raises AwsError for a failure that is not worth another attempt.
        """
        ask = self._operation(self._client(service, is_once=True), service, operation)
        began = time.monotonic()
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                answer: dict[str, Any] = ask(**parameters)
            except (self._errors.ClientError, self._errors.BotoCoreError) as error:
                failed = self._translated(service, operation, error)
            else:
                yield answer
                return
            if not is_worth(failed) or attempt == _MAX_ATTEMPTS:
                raise failed
            self._patience.say(began, attempt, f"has not answered well ({failed.message})")
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 2.0**attempt)))  # noqa: S311 - jitter is no secret
            yield None

    def pages(self, service: str, operation: str, key: str, /, **parameters: Any) -> Iterator[Any]:
        """The items of a listing, page by page as they are wanted; `key` names them in a page. Raises AwsError."""
        try:
            for page in self._client(service).get_paginator(operation).paginate(**parameters):
                yield from page.get(key, ())
        except (self._errors.ClientError, self._errors.BotoCoreError) as error:
            raise self._translated(service, operation, error) from None

    def together(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
        """What a function that calls AWS gives for each item, in their order; some calls are made at once."""
        todo = list(items)
        if len(todo) < 2:
            return [function(item) for item in todo]
        with ThreadPoolExecutor(min(_AT_ONCE, len(todo))) as pool:
            return list(pool.map(function, todo))

    def upload_parts(
        self, bucket: str, key: str, source: BinaryIO, *, part: int, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Upload an object in parts of so many bytes, several at once; raises AwsError."""
        import boto3.exceptions
        import boto3.s3.transfer

        config = boto3.s3.transfer.TransferConfig(multipart_chunksize=part, multipart_threshold=part)
        more = {"Metadata": dict(metadata or {})}
        try:
            self._client("s3").upload_fileobj(source, bucket, key, Config=config, ExtraArgs=more)
        except boto3.exceptions.S3UploadFailedError as error:
            raise self._translated("s3", "put_object", error.__cause__ or error.__context__ or error) from None
        except (self._errors.ClientError, self._errors.BotoCoreError) as error:
            raise self._translated("s3", "put_object", error) from None

    def download(self, bucket: str, key: str) -> Iterator[bytes]:
        """An object's bytes as they come; raises AwsError."""
        body = self.call("s3", "get_object", Bucket=bucket, Key=key)["Body"]
        try:
            yield from body.iter_chunks(_CHUNK)
        except self._errors.BotoCoreError as error:
            raise self._translated("s3", "get_object", error) from None
        finally:
            body.close()

    def _client(self, service: str, *, is_once: bool = False) -> Any:
        with self._making:
            if (service, is_once) not in self._clients:
                # the first question (who are we?) tells soon when nobody answers at all
                attempts = _FIRST_ATTEMPTS if service == "sts" else _MAX_ATTEMPTS
                config = self._config(
                    retries={"mode": "standard", "total_max_attempts": 1 if is_once else attempts},
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                )
                client = self._session.client(service, config=config)
                if not is_once:
                    self._patience.watch(client)
                self._clients[service, is_once] = client
            return self._clients[service, is_once]

    def _operation(self, client: Any, service: str, operation: str) -> Callable[..., dict[str, Any]]:
        """How a client is asked; AWS has newer operations than an older boto3 knows."""
        ask: Callable[..., dict[str, Any]] | None = getattr(client, operation, None)
        if ask is None:
            raise AwsError(
                f"this boto3 does not know {_called(service, operation)}",
                hint="pip install -U boto3",
                call=f"{service}:{operation}",
            )
        return ask

    def _translated(self, service: str, operation: str, error: BaseException) -> AwsError:
        called = _called(service, operation)
        response = getattr(error, "response", None)
        if response is None:
            hint = _hint_without_answer(type(error).__name__, str(error))
            # the first goes wrong after a call was sent, the other before
            is_lost, is_unsent = (
                isinstance(error, kind) for kind in (self._errors.HTTPClientError, self._errors.ConnectionError)
            )
            return AwsError(
                f"{called}: {error}",
                hint=hint,
                call=f"{service}:{operation}",
                passes=is_lost or is_unsent,
                is_unsure=is_lost,
            )
        code = str(response.get("Error", {}).get("Code", ""))
        message = str(response.get("Error", {}).get("Message", "")) or code
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return AwsError(
            f"{called}: {code}: {message}",
            code=code,
            hint=_hint(code),
            call=f"{service}:{operation}",
            passes=is_passing(status=status, code=code),
            is_unsure=is_fault(status=status, code=code),
        )


def _called(service: str, operation: str) -> str:
    """An operation by AWS's own name: `ec2:DescribeSubnets`."""
    return f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"


def _hint(code: str) -> str | None:
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
        return "your credentials have expired: `aws sso login`, or what you use to renew them"
    if code in ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId"):
        return "AWS does not know these credentials: `aws sts get-caller-identity` shows whose they are"
    if code.startswith(("AccessDenied", "UnauthorizedOperation")):
        return "the credentials in use may not do that: `wherry policy` prints all that it takes"
    return None


def _hint_without_answer(kind: str, message: str) -> str | None:
    if "Credential" in kind:
        return "`aws configure sso` or AWS_PROFILE give some; `aws sts get-caller-identity` shows whose they are"
    if "SSO" in kind or "Token" in kind:
        return "`aws sso login` renews them"
    if "Connect" in kind or "Timeout" in kind or "endpoint" in message.lower():
        return "is the network there, and is AWS_ENDPOINT_URL right where it is set?"
    return None
