"""Secrets Manager and SSM Parameter Store: both read the folder's secrets, this one by a reference alone, as on AWS.

Source: AWS Secrets Manager API Reference, GetSecretValue and DescribeSecret; AWS Systems Manager API Reference,
GetParameter and GetParameters.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.model import LOCAL_ACCOUNT

#: How Parameter Store reaches Secrets Manager (Systems Manager User Guide, "Referencing AWS Secrets Manager secrets").
_REFERENCE = "/aws/reference/secretsmanager/"
_MOST_NAMES = 10


def get_secret_value(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """GetSecretValue: text as SecretString, anything else as SecretBinary."""
    name = _secret_name(parameters)
    stage = parameters.get("VersionStage", "AWSCURRENT")
    value = _value(call, name)
    if value is None or stage != "AWSCURRENT":
        raise _no_secret(name)
    info = call.services.secrets.info(name)
    result: dict[str, Any] = {
        "ARN": _arn(call, name),
        "Name": name,
        "VersionId": _version(value),
        "VersionStages": ["AWSCURRENT"],
        "CreatedDate": info.changed_at.timestamp() if info else 0,
    }
    try:
        return result | {"SecretString": value.decode()}
    except UnicodeDecodeError:
        return result | {"SecretBinary": base64.b64encode(value).decode()}


def describe_secret(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """DescribeSecret."""
    name = _secret_name(parameters)
    value = _value(call, name)
    info = call.services.secrets.info(name)
    if value is None or info is None:
        raise _no_secret(name)
    changed = info.changed_at.timestamp()
    return {
        "ARN": _arn(call, name),
        "Name": name,
        "CreatedDate": changed,
        "LastChangedDate": changed,
        "VersionIdsToStages": {_version(value): ["AWSCURRENT"]},
    }


def get_parameter(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """GetParameter."""
    name = parameters.get("Name")
    if not isinstance(name, str) or not name:
        raise AwsError("ValidationException", "Name is required")
    found = _parameter(call, name, decrypt=parameters.get("WithDecryption") is True)
    if found is None:
        raise AwsError("ParameterNotFound", _missing(name))
    return {"Parameter": found}


def get_parameters(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """GetParameters: up to ten; those that do not exist are named."""
    names = parameters.get("Names")
    if not isinstance(names, list) or not 1 <= len(names) <= _MOST_NAMES or not all(isinstance(n, str) for n in names):
        raise AwsError("ValidationException", "Names must have from 1 to 10 members")
    decrypt = parameters.get("WithDecryption") is True
    found = {name: _parameter(call, name, decrypt=decrypt) for name in names}
    return {
        "Parameters": [parameter for parameter in found.values() if parameter],
        "InvalidParameters": [name for name, parameter in found.items() if parameter is None],
    }


def _parameter(call: Call, name: str, *, decrypt: bool) -> dict[str, Any] | None:
    asked = name.rpartition(":parameter")[2] if name.startswith("arn:") else name
    if not asked.startswith(_REFERENCE):
        said = f"read the parameter `{name}`"
        call.services.guard.is_owner(call.caller, said, f"name a secret of its job as `{_REFERENCE}NAME`")
        return None
    secret = asked.removeprefix(_REFERENCE)
    value = _value(call, secret)
    if value is None:
        return None
    if not decrypt:
        raise AwsError("ValidationException", f"`{name}` is a SecureString: ask for it with WithDecryption")
    info = call.services.secrets.info(secret)
    return {
        "Name": name,
        "Type": "SecureString",
        "Value": value.decode(errors="replace"),
        "Version": 1,
        "DataType": "text",
        "LastModifiedDate": info.changed_at.timestamp() if info else 0,
        "ARN": f"arn:aws:ssm:{call.services.region}:{LOCAL_ACCOUNT}:parameter{asked}",
    }


def _missing(name: str) -> str:
    """Why a parameter is not there, and what would be."""
    secret = name.removeprefix(_REFERENCE)
    if secret == name:
        return f"there is no parameter `{name}`, only secrets: `{_REFERENCE}{name.lstrip('/')}`"
    return f"there is no secret `{secret}`: set it with `wherry secrets set {secret}`"


def _value(call: Call, name: str) -> bytes | None:
    call.services.guard.may_get_secret(call.caller, name)
    return call.services.secrets.get(name)


def _secret_name(parameters: dict[str, Any]) -> str:
    """The name behind a SecretId, which may be an ARN with six random letters behind it."""
    secret_id = parameters.get("SecretId")
    if not isinstance(secret_id, str) or not secret_id:
        raise AwsError("ValidationException", "SecretId is required")
    if not secret_id.startswith("arn:"):
        return secret_id
    name = secret_id.partition(":secret:")[2]
    return name[:-7] if len(name) > 7 and name[-7] == "-" else name


def _no_secret(name: str) -> AwsError:
    return AwsError(
        "ResourceNotFoundException",
        f"Secrets Manager can't find the specified secret `{name}`: set it with `wherry secrets set {name}`",
    )


def _arn(call: Call, name: str) -> str:
    # AWS adds six letters of chance; here they come of the name, so that the ARN stays what it is.
    letters = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:6].lower()
    return f"arn:aws:secretsmanager:{call.services.region}:{LOCAL_ACCOUNT}:secret:{name}-{letters}"


def _version(value: bytes) -> str:
    digest = hashlib.sha256(value).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
