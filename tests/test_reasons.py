"""Every reason that AWS gives for a task that does not start has a meaning and a remedy."""

import pytest

from wherry.reasons import REASONS, meaning

SECRETS = (
    "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: "
)
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:api-token-AbCdEf"
PULL = "pull image manifest has been retried 5 time(s): failed to resolve ref "

TEXTS = [
    # secrets
    (
        SECRETS + f"retrieved secret from Secrets Manager did not contain json key password, {ARN}",
        "no key `password`",
        "valueFrom",
    ),
    (
        SECRETS + f"ResourceNotFoundException: Secrets Manager can't find the specified secret {ARN}",
        "secret `api-token` is not there",
        "`wherry secrets set api-token`",
    ),
    (
        f"ResourceInitializationError: {SECRETS}failed to fetch secret {ARN} from secrets manager: InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion.",
        "secret `api-token` was removed",
        "brings it back",
    ),
    (
        SECRETS
        + f"failed to fetch secret {ARN} from secrets manager: AccessDeniedException: User: arn:aws:sts::1:assumed-role/x is not authorized to perform: secretsmanager:GetSecretValue",
        "may not read the secret `api-token`",
        "wherry deploy",
    ),
    (
        SECRETS + "AccessDeniedException: Access to KMS is not allowed ... is not authorized to perform: kms:Decrypt",
        "KMS key",
        "kms:Decrypt",
    ),
    (
        "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1 time(s): AccessDeniedException: ... ssm:GetParameters on resource: arn:aws:ssm:eu-west-1:1:parameter/db/password",
        "may not read the secret `db/password`",
        "wherry deploy",
    ),
    (
        SECRETS
        + "service call has been retried 5 time(s): failed to fetch secret x from secrets manager: RequestCanceled: request context canceled caused by: context deadline exceeded",
        "no way from the task's subnets",
        "NAT gateway",
    ),
    (
        "unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task network configuration.",
        "no way from the task's subnets",
        "VPC endpoints",
    ),
    # logs
    (
        "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1",
        "log group of the job is not there",
        "wherry deploy",
    ),
    (
        "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: AccessDeniedException: not authorized to perform: logs:CreateLogStream",
        "may not write the log",
        "permission",
    ),
    (
        "failed to validate logger args: : signal: killed",
        "no way from the task's subnets to CloudWatch Logs",
        "subnets",
    ),
    # images
    (
        "CannotPullContainerError: "
        + PULL
        + "docker.io/library/no_such_image:latest: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope",
        "no such image",
        "`image` of job `nightly`",
    ),
    (
        PULL + "1.dkr.ecr.eu-west-1.amazonaws.com/x:v9: 1.dkr.ecr.eu-west-1.amazonaws.com/x:v9: not found",
        "no such image",
        "push the tag",
    ),
    (
        "CannotPullContainerError: Error response from daemon: manifest for x:v9 not found: manifest unknown",
        "no such image",
        "image",
    ),
    (
        "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
        "another kind of processor",
        "linux/amd64",
    ),
    (
        PULL
        + "docker.io/library/python:3: failed to do request: Head https://registry-1.docker.io/v2/: dial tcp 34.1.2.3:443: i/o timeout",
        "no way from the task's subnets to the registry",
        "NAT gateway",
    ),
    (
        "CannotPullContainerError: The task cannot pull 1.dkr.ecr.eu-west-1.amazonaws.com/x from the registry. There is a connection issue between the task and the registry. Check your task network configuration.",
        "no way from the task's subnets to the registry",
        "ecr.dkr",
    ),
    (
        "Error response from daemon: Get https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/: net/http: request canceled while waiting for connection",
        "no way from the task's subnets to the registry",
        "443",
    ),
    (
        "inspect image has been retried 5 time(s): httpReaderSeeker: failed open: unexpected status code 403: toomanyrequests: You have reached your pull rate limit",
        "counts downloads",
        "ECR",
    ),
    (
        "ref pull has been retried 1 time(s): failed to copy: httpReaderSeeker: failed open: failed to do request: Get https://prod-eu-west-1-starport-layer-bucket.s3.amazonaws.com",
        "kept in S3|keeps them in S3",
        "S3 (gateway)",
    ),
    (
        "ref pull has been retried 1 time(s): failed to extract layer: write /usr/lib/x: no space left on device",
        "does not fit on the task's disk",
        "ephemeralStorage",
    ),
    (
        "CannotPullECRContainerError: AccessDeniedException: User is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:x",
        "does not let the task's execution role pull",
        "wherry deploy",
    ),
    (
        "Error response from daemon: no basic auth credentials for 1.dkr.ecr.eu-west-1.amazonaws.com",
        "does not let the task's execution role pull",
        "ECR",
    ),
    ("pull command failed: something that nobody has seen", "the image could not be pulled", "image"),
    # network, disk, files
    ("Timeout waiting for network interface provisioning to complete.", "no network interface", "subnets"),
    ("RESOURCE:ENI", "no network interface", "subnets"),
    ("Timeout waiting for EphemeralStorage provisioning to complete.", "its disk in time", "passes"),
    ("failed to invoke EFS utils commands to set up EFS volumes: stderr: Failed to resolve", "EFS", "2049"),
    (
        "failed to download env files: file download command: non empty error stream: AccessDenied",
        "environment variables",
        "s3:GetObject",
    ),
    # starting
    (
        'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "pyton": executable file not found in $PATH: unknown',
        "no program `pyton`",
        "`command` of job `nightly`",
    ),
    (
        'OCI runtime create failed: runc create failed: exec: "./run.sh": permission denied: unknown',
        "not executable",
        "chmod +x",
    ),
    ("runc create failed: exec: ./run.sh: no such file or directory", "does not have the program", "install"),
    ("exec /usr/bin/python: exec format error", "another kind of processor", "linux/amd64"),
    ("dependency db did not exit successfully", "helper", "--helper"),
    # capacity
    (
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        "no free machine",
        "availability zones",
    ),
    ("You've reached the limit on the number of vCPUs you can run concurrently", "so many vCPUs", "Service Quotas"),
    ("Your Spot Task was interrupted.", "took the Spot capacity back", "capacity: fargate"),
    ("AWS took the Spot capacity back", "took the Spot capacity back", "capacity: fargate"),
    ("RESOURCE:MEMORY arn:aws:ecs:x", "enough MEMORY left", "`memory`"),
    ("AGENT arn:aws:ecs:x", "agent does not answer", "passes"),
    ("ATTRIBUTE arn:aws:ecs:x", "of the kind", "subnets"),
    ("Host EC2 (instance i-0123) terminated.", "went away", "passes"),
    ("AWS retired the machine that it ran on", "went away", "passes"),
    ("ThrottlingException: Rate exceeded", "too many tasks", "concurrency"),
    # roles, definitions, the account
    (
        "InvalidParameterException: Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
        "never before",
        "create-service-linked-role",
    ),
    (
        "ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided for this task.",
        "cannot take on a role",
        "wherry deploy",
    ),
    ("No Fargate configuration exists for given values.", "no size", "`cpu` and `memory`"),
    ("TaskDefinition is inactive", "task definition is gone", "wherry deploy"),
    ("Cluster not found.", "cluster is gone", "wherry deploy"),
    (
        "InvalidParameterException: Error retrieving subnet information for [subnet-1]: The subnet ID 'subnet-1' does not exist (ErrorCode: InvalidSubnetID.NotFound)",
        "is gone",
        "`subnets`",
    ),
    ("Container Overrides length must be at most 8192", "too long", "object"),
    (
        "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ecs:RunTask on resource: y",
        "may not start the task",
        "wherry deploy",
    ),
    # the rest
    (
        "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
        "trouble with the container",
        "passes",
    ),
    ("CannotInspectContainerError: Could not transition to stopped", "trouble with the container", "passes"),
]


@pytest.mark.parametrize(("said", "what", "remedy"), TEXTS)
def test_each_text_has_its_meaning(said, what, remedy):
    found = meaning(said, "nightly")
    assert found is not None
    assert any(part in found.what for part in what.split("|")), found.what
    assert remedy in found.remedy
    assert "{" not in found.what + found.remedy


def test_no_reason_is_in_vain():
    """Each of the table is found by some text: none stands behind another one that takes it all."""
    known = {meaning(said, "nightly").what.split("`")[0] for said, *_ in TEXTS}
    unused = [
        reason.what
        for reason in REASONS
        if not any(
            known_what[:25] in reason.what.replace("{secret}", " ").replace("{resource}", "MEMORY")
            for known_what in known
        )
    ]
    assert unused == []


def test_what_nobody_knows_has_no_meaning():
    assert meaning("StandIn.Bug: something", "nightly") is None
