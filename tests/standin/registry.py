"""ECR's registry under an address that the engine can reach: 127.0.0.1:PORT/ACCOUNT/NAME, with ECR's log-in.

MiniStack serves the registry protocol but hands out AWS's host names, which lead nowhere here, and lets everyone in.
A token is good for what whoever got it may do (ECR User Guide, "Private registry authentication").
On AWS the address is ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME; tasks may use that too (images.py).
"""

import base64
import json
import time

from ministack.core.responses import get_account_id, get_region, json_response, request_scope
from ministack.services import ecr

from tests.standin import caller
from tests.standin.settings import Settings

#: What IAM is asked for each request of the registry's protocol: method, what it is about -> action.
_ACTIONS = {
    ("HEAD", "manifests"): "ecr:BatchGetImage",
    ("GET", "manifests"): "ecr:BatchGetImage",
    ("PUT", "manifests"): "ecr:PutImage",
    ("HEAD", "blobs"): "ecr:BatchCheckLayerAvailability",
    ("GET", "blobs"): "ecr:GetDownloadUrlForLayer",
    ("POST", "blobs"): "ecr:InitiateLayerUpload",
    ("PATCH", "blobs"): "ecr:UploadLayerPart",
    ("PUT", "blobs"): "ecr:CompleteLayerUpload",
}


def password(account: str, key: str = "") -> str:
    return f"token-of-{account}-{key or account}"


def install() -> None:
    registry = Settings.read().registry
    theirs = ecr.handle_registry_request

    def token(_data):
        """GetAuthorizationToken: base64 of AWS:password, good for 12 hours (API)."""
        account = get_account_id()
        text = base64.b64encode(f"AWS:{password(account, caller.key())}".encode()).decode()
        data = {
            "authorizationToken": text,
            "expiresAt": int(time.time()) + 43_200,
            "proxyEndpoint": f"http://{registry}",
        }
        return json_response({"authorizationData": [data]})

    async def serve(method, path, headers, body, query_params):
        account, key = _logged_in(headers)
        if not account:
            answer = {"errors": [{"code": "UNAUTHORIZED", "message": "Not Authorized"}]}
            challenge = {"WWW-Authenticate": 'Basic realm="ecr",service="ecr.amazonaws.com"'}
            return 401, {**challenge, "Content-Type": "application/json"}, json.dumps(answer).encode()
        inner = path.replace(f"/v2/{account}/", "/v2/", 1)
        if path not in ("/v2", "/v2/") and inner == path:
            return 403, {"Content-Type": "application/json"}, b'{"errors":[{"code":"DENIED"}]}'
        with request_scope(account, _region(account, inner)):
            if not _may(key, method, inner):
                return 403, {"Content-Type": "application/json"}, b'{"errors":[{"code":"DENIED"}]}'
            status, answered, content = await theirs(method, inner, headers, body, query_params)
        answered = {
            key: value.replace("/v2/", f"/v2/{account}/", 1) if key.lower() == "location" else value
            for key, value in answered.items()
        }
        return status, answered, content

    ecr._get_authorization_token, ecr.handle_registry_request = token, serve
    ecr._repo_uri = lambda name: f"{registry}/{get_account_id()}/{name}"


def _logged_in(headers) -> tuple[str, str]:
    """The account whose registry it is, and the access key of who got the token; empty for anybody else."""
    kind, _, text = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return "", ""
    user, _, given = base64.b64decode(text).decode().partition(":")
    account, _, key = given.removeprefix("token-of-").partition("-")
    return (account, key) if user == "AWS" and given == password(account, key) else ("", "")


def _may(key: str, method: str, path: str) -> bool:
    parsed = ecr._parse_v2_path(path)
    action = parsed and _ACTIONS.get((method, "manifests" if "/manifests/" in path else "blobs"))
    resource = f"arn:aws:ecr:{get_region()}:{get_account_id()}:repository/{parsed[1] if parsed else ''}"
    return not action or caller.may(key, action, resource)


def _region(account: str, path: str) -> str:
    parsed = ecr._parse_v2_path(path)
    found = [r for (a, r, name), _ in ecr._repositories.all_items() if parsed and (a, name) == (account, parsed[1])]
    return found[0] if found else "us-east-1"
