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
_ENVIRONMENT = "wherry:environment"
#: A removed secret can be brought back so long: Secrets Manager's shortest time.
RECOVERY_DAYS = 7
_EXISTS = "ResourceExistsException"
_MISSING = "ResourceNotFoundException"


class Secrets:
    """The secrets of an app."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def set(self, name: str, value: bytes, *, is_sure: bool = False) -> None:
        """Set or replace a secret; one that was removed lately comes back with the new value.

        Raises UserError for one that was set for somebody else, unless `is_sure`.
        """
        filled = _filled(value)
        known = self._describe(name)
        if known is None:
            own = {TAG: self._site.jobfile.app, _ENVIRONMENT: self._site.environment.name}
            tags = [{"Key": key, "Value": text} for key, text in own.items()]
            try:
                self._call("create_secret", Name=name, Tags=tags, **filled)
            except AwsError as error:
                if error.code != _EXISTS:  # made a moment ago, by somebody else or by a call whose answer was lost
                    raise
            else:
                return
        elif not is_sure:
            self._refuse_others(known)
        if known and known.get("DeletedDate"):
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

    def remove(self, name: str, *, is_sure: bool = False) -> None:
        """Remove a secret; for a week it can be brought back.

        Raises NotFound, and UserError for one that was set for somebody else, unless `is_sure`.
        """
        known = self._describe(name)
        if known is None or known.get("DeletedDate"):
            raise NotFound(f"there is no secret `{name}`", hint="`wherry secrets ls` lists them")
        if not is_sure:
            self._refuse_others(known)
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

    def _refuse_others(self, known: Mapping[str, Any]) -> None:
        """Raise UserError for a secret that another app or environment has, or that wherry did not set."""
        tags = {tag["Key"]: tag["Value"] for tag in known.get("Tags", ())}
        app, here = self._site.jobfile.app, self._site.environment
        if TAG not in tags:
            whose = "was not set by wherry"
        elif tags[TAG] != app:
            whose = f"was set for app `{tags[TAG]}`"
        elif tags.get(_ENVIRONMENT, here.name) != here.name:
            whose = f"was set for environment `{tags[_ENVIRONMENT]}`"
        else:
            return
        sharing = [f"`{each.name}`" for each in self._site.jobfile.environments.values() if each.region == here.region]
        among = f", of {' and '.join(sharing)}, too" if len(sharing) > 1 else ""
        raise UserError(
            f"secret `{known['Name']}` is there, and {whose}; it is left as it is",
            hint=f"a secret is one for all of an account and region{among}: another name, or `--yes` if it is meant",
        )

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
