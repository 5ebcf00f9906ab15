"""Images of tasks: pulled from ECR in the execution role, or known to the engine."""

import re

import docker.errors
from botocore.exceptions import ClientError

from tests.standin import registry, roles
from tests.standin.settings import Settings

_ECR = re.compile(r"^(\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/")


class NotPulled(Exception):
    """A StoppedReason beginning with CannotPull."""


def pull(engine, image: str, region: str, keys) -> tuple[str, str]:
    """The name by which the engine has the image, and its digest.

    An image of the registry is pulled, in the execution role (ecr:GetAuthorizationToken, ecr:BatchGetImage); any other
    one stands in for a public image and must be known to the engine.
    """
    address = Settings.read().registry
    here = _ECR.sub(rf"{address}/\1/", image)
    if here.startswith(f"{address}/"):
        account, _, rest = here.removeprefix(f"{address}/").partition("/")
        _permitted(rest, region, keys)
        return _pulled(engine, here, image, account)
    try:
        found = engine.images.get(image)
    except docker.errors.APIError as error:
        name = image if "/" in image else f"docker.io/library/{image}"
        raise NotPulled(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {name}: "
            "pull access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed"
        ) from error
    return found.id, found.attrs.get("RepoDigests", [""])[0].partition("@")[2] if found.attrs.get("RepoDigests") else ""


def _permitted(rest: str, region: str, keys) -> None:
    if keys is None:
        raise NotPulled("CannotPullECRContainerError: the task definition has an ECR image but no execution role")
    name, _, digest = rest.partition("@")
    name, _, tag = name.partition(":")
    client = roles.client("ecr", region, keys)
    try:
        client.get_authorization_token()
        client.batch_get_image(
            repositoryName=name, imageIds=[{"imageDigest": digest} if digest else {"imageTag": tag or "latest"}]
        )
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        raise NotPulled(f"CannotPullECRContainerError: {code}: {message}") from error


def _pulled(engine, here: str, image: str, account: str) -> tuple[str, str]:
    try:
        tagged = here if "@" in here or ":" in here.rsplit("/", 1)[-1] else f"{here}:latest"
        found = engine.images.pull(tagged, auth_config={"username": "AWS", "password": registry.password(account)})
    except docker.errors.APIError as error:
        raise NotPulled(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: "
            f"{image}: not found"
        ) from error
    digests = [d.partition("@")[2] for d in found.attrs.get("RepoDigests", [])]
    return found.id, digests[0] if digests else ""
