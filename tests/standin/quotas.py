"""Service Quotas, which MiniStack lacks: GetServiceQuota and GetAWSDefaultServiceQuota, of Fargate.

New accounts have 6 vCPUs of each kind; the lever `quota` gives an account others. Source: Service Quotas API Reference.
"""

import json
import re

from ministack.core.responses import get_account_id, get_region, request_scope

from tests.standin import caller

_TARGET = "ServiceQuotasV20190624."
_DEFAULTS = {"L-3032A538": 6.0, "L-36FBB829": 6.0}
_KEY = re.compile(r"Credential=([^/]+)/\d+/([a-z0-9-]+)/")
#: (account, quota's code) -> value.
_values: dict[tuple[str, str], float] = {}


def quota(*, account: str, code: str, value: float) -> bool:
    """For tests: have an account's quota be that."""
    _values[account, code] = value
    return True


def is_asked(headers: dict[str, str]) -> bool:
    return headers.get("x-amz-target", "").startswith(_TARGET)


def answer(headers: dict[str, str], body: bytes) -> tuple[int, dict]:
    """Status and JSON."""
    from ministack.core import iam_evaluator

    key, region = _KEY.search(headers["authorization"]).groups()
    account = key if key.isdigit() else iam_evaluator.find_iam_access_key_account(key)
    asked = json.loads(body)
    operation = headers["x-amz-target"].removeprefix(_TARGET)
    code = asked["QuotaCode"]
    with request_scope(account, region):
        if operation == "GetServiceQuota":
            action = ("servicequotas:GetServiceQuota", f"arn:aws:servicequotas:{region}:{account}:fargate/{code}")
        else:
            action = (f"servicequotas:{operation}", "*")
        if not caller.may(key, *action):
            return 400, {"__type": "AccessDeniedException", "Message": f"not authorized to perform: {action[0]}"}
        if asked["ServiceCode"] != "fargate" or code not in _DEFAULTS:
            return 400, {"__type": "NoSuchResourceException", "Message": "The request failed because of no such quota"}
        default = operation == "GetAWSDefaultServiceQuota"
        value = _DEFAULTS[code] if default else _values.get((get_account_id(), code), _DEFAULTS[code])
        arn = f"arn:aws:servicequotas:{get_region()}:{account}:fargate/{code}"
        return 200, {"Quota": {"ServiceCode": "fargate", "QuotaArn": arn, "QuotaCode": code, "Value": value}}
