"""ECR and the images of tasks."""

import base64

import docker
import pytest
from botocore.exceptions import ClientError

from tests.standin import aws

MAY = ["logs:CreateLogStream", "logs:PutLogEvents"]
PULL = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@pytest.fixture
def engine():
    engine = docker.from_env()
    yield engine
    engine.close()


def push(account, engine, name="app"):
    """Push the busybox image; gives the repository's address and the image's digest."""
    ecr = account.client("ecr")
    uri = ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    (data,) = ecr.get_authorization_token()["authorizationData"]
    user, password = base64.b64decode(data["authorizationToken"]).decode().split(":", 1)
    assert data["proxyEndpoint"].split("//")[1] == uri.split("/")[0]
    engine.images.get("wherry-busybox:1").tag(uri, "v1")
    told = list(
        engine.images.push(uri, "v1", auth_config={"username": user, "password": password}, stream=True, decode=True)
    )
    engine.images.remove(f"{uri}:v1")
    assert not [one for one in told if "error" in one], told
    (digest,) = [one["aux"]["Digest"] for one in told if "aux" in one]
    return uri, digest


def test_an_image_is_pushed_and_pulled_by_digest(account, engine):
    uri, digest = push(account, engine)
    ecr = account.client("ecr")
    (details,) = ecr.describe_images(repositoryName="app")["imageDetails"]
    assert (details["imageDigest"], details["imageTags"]) == (digest, ["v1"])
    (image,) = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": digest}])["images"]
    ecr.put_image(repositoryName="app", imageManifest=image["imageManifest"], imageTag="again")
    for number, address in enumerate((uri, f"{account.id}.dkr.ecr.{account.region}.amazonaws.com/app")):
        wanted = {"image": f"{address}@{digest}", "command": ["/bin/sh", "-c", "echo pulled"]}
        definition = aws.task_definition(account, wanted, family=f"f{number}")
        aws.allow(account, f"executionf{number}", {"Action": MAY + PULL})
        task = aws.stopped(account, aws.run(account, definition))
        assert (task["containers"][0].get("exitCode"), task["containers"][0].get("imageDigest")) == (0, digest), task


def test_an_image_that_the_execution_role_may_not_pull(account, engine):
    uri, digest = push(account, engine)
    task = aws.stopped(account, aws.run(account, aws.task_definition(account, {"image": f"{uri}@{digest}"})))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "ecr:GetAuthorizationToken" in task["stoppedReason"]


def test_an_image_that_was_never_pushed(account):
    uri = account.client("ecr").create_repository(repositoryName="app")["repository"]["repositoryUri"]
    definition = aws.task_definition(account, {"image": f"{uri}:none"})
    aws.allow(account, "executionjob", {"Action": MAY + PULL})
    task = aws.stopped(account, aws.run(account, definition))
    assert task["stoppedReason"].startswith("CannotPullContainerError")
    assert "not found" in task["stoppedReason"]


def test_no_log_in_no_push(account, engine):
    uri = account.client("ecr").create_repository(repositoryName="app")["repository"]["repositoryUri"]
    engine.images.get("wherry-busybox:1").tag(uri, "v1")
    told = list(
        engine.images.push(uri, "v1", auth_config={"username": "AWS", "password": "x"}, stream=True, decode=True)
    )
    engine.images.remove(f"{uri}:v1")
    assert [one for one in told if "error" in one]


def test_a_repository_with_images_is_not_deleted_by_accident(account, engine):
    push(account, engine)
    with pytest.raises(ClientError, match="RepositoryNotEmptyException"):
        account.client("ecr").delete_repository(repositoryName="app")
    account.client("ecr").delete_repository(repositoryName="app", force=True)
