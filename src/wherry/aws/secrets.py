"""Secrets in Secrets Manager, under the names that the job file gives them: one for all environments of a region."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from wherry.aws.client import AwsError
from wherry.aws.site import Site
from wherry.errors import NotFound, UserError
from wherry.target import SecretEntry

TAG = "wherry:app"
#: A removed secret can be brought back so long: Secrets Manager's shortest time.
RECOVERY_DAYS = 7
_EXISTS = "ResourceExistsException"
_MISSING = "ResourceNotFoundException"


class Secrets:
    """The secrets of an app."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def set(self, name: str, value: bytes) -> None:
        """Set or replace a secret; one that was removed lately comes back with the new value."""
        filled = _filled(value)
        known = self._describe(name)
        if known is None:
            tags = [{"Key": TAG, "Value": self._site.jobfile.app}]
            try:
                self._call("create_secret", Name=name, Tags=tags, **filled)
            except AwsError as error:
                if error.code != _EXISTS:  # made a moment ago, by somebody else or by a call whose answer was lost
                    raise
            else:
                return
        elif known.get("DeletedDate"):
            self._call("restore_secret", SecretId=name)
        self._call("put_secret_value", SecretId=name, **filled)

    def get(self, name: str) -> bytes:
        """The value; raises NotFound for what is not there, or was removed."""
        try:
            answer = self._call("get_secret_value", SecretId=name)
        except AwsError as error:
            if error.code in (_MISSING, "InvalidRequestException"):
                raise NotFound(f"there is no secret `{name}` on AWS") from None
            raise
        binary: bytes | None = answer.get("SecretBinary")
        return str(answer["SecretString"]).encode() if binary is None else binary

    def remove(self, name: str) -> None:
        """Remove a secret; for a week it can be brought back. Raises NotFound."""
        known = self._describe(name)
        if known is None or known.get("DeletedDate"):
            raise NotFound(f"there is no secret `{name}`", hint="`wherry secrets ls` lists them")
        self._call("delete_secret", SecretId=name, RecoveryWindowInDays=RECOVERY_DAYS)

    def listing(self) -> list[SecretEntry]:
        """The secrets that the job file names, and those that wherry has made for the app; by name."""
        jobs = self._site.jobfile.jobs.values()
        named = sorted({name for job in jobs for name in job.secrets.values()})
        found = {one["Name"]: one for one in self._site.aws.together(self._describe, named) if one}
        filters = [{"Key": "tag-key", "Values": [TAG]}, {"Key": "tag-value", "Values": [self._site.jobfile.app]}]
        for one in self._site.aws.pages("secretsmanager", "list_secrets", "SecretList", Filters=filters):
            if {"Key": TAG, "Value": self._site.jobfile.app} in one.get("Tags", ()):
                found.setdefault(one["Name"], one)
        return [
            SecretEntry(name=name, changed_at=(one.get("LastChangedDate") or one["CreatedDate"]).astimezone(UTC))
            for name, one in sorted(found.items())
            if not one.get("DeletedDate")
        ]

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        try:
            return self._call("describe_secret", SecretId=name)
        except AwsError as error:
            if error.code == _MISSING:
                return None
            raise

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            return self._site.aws.call("secretsmanager", operation, **parameters)
        except AwsError as error:
            if error.code in ("ValidationException", "InvalidParameterException"):
                raise UserError(error.message) from None
            raise


def _filled(value: bytes) -> dict[str, Any]:
    """A value as text where it is one: ECS puts nothing else into an environment variable."""
    try:
        return {"SecretString": value.decode()}
    except UnicodeDecodeError:
        return {"SecretBinary": value}
