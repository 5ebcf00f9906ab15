"""EventBridge, Secrets Manager, SSM and STS as boto3 speaks them; and what is not there."""

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from tests.gateway.test_s3_objects import refused


def test_put_events_takes_and_refuses_each_entry_by_itself(client):
    good = {"Source": "shop", "DetailType": "order placed", "Detail": '{"order": 7}', "Time": datetime.now(UTC)}
    answer = client("events").put_events(
        Entries=[
            good,
            {**good, "Detail": "no json"},
            {**good, "Detail": "[1]"},
            {"Source": "shop", "DetailType": "x"},
            {**good, "Source": "aws.ec2"},
            {**good, "EventBusName": "other"},
            {**good, "EventBusName": "default", "Resources": ["arn:aws:s3:::x"]},
        ]
    )
    assert answer["FailedEntryCount"] == 5
    codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
    assert codes == [
        None,
        "MalformedDetail",
        "MalformedDetail",
        "InvalidArgument",
        "NotAuthorizedForSourceException",
        "ResourceNotFoundException",
        None,
    ]
    assert answer["Entries"][0]["EventId"] != answer["Entries"][6]["EventId"]


def test_put_events_has_limits(client):
    entry = {"Source": "shop", "DetailType": "x", "Detail": json.dumps({"x": "y" * 150_000})}
    assert client("events").put_events(Entries=[entry] * 5)["FailedEntryCount"] == 0
    assert refused(client("events").put_events, Entries=[entry] * 10) == "ValidationException"


def test_secrets(client):
    secrets = client("secretsmanager")
    got = secrets.get_secret_value(SecretId="api-token")
    assert (got["Name"], got["SecretString"], got["VersionStages"]) == ("api-token", "s3cr3t", ["AWSCURRENT"])
    assert secrets.get_secret_value(SecretId=got["ARN"])["SecretString"] == "s3cr3t"
    assert secrets.describe_secret(SecretId="prod/key")["Name"] == "prod/key"
    assert refused(secrets.get_secret_value, SecretId="nope") == "ResourceNotFoundException"
    assert (
        refused(secrets.get_secret_value, SecretId="api-token", VersionStage="AWSPREVIOUS")
        == "ResourceNotFoundException"
    )


def test_a_secret_that_is_no_text(client, engine):
    (engine.folder / "binary").write_bytes(b"\xff\x00")
    engine.wherry("secrets", "set", "binary", "--from-file", "binary")
    assert client("secretsmanager").get_secret_value(SecretId="binary")["SecretBinary"] == b"\xff\x00"


def test_parameters(client):
    ssm = client("ssm")
    parameter = ssm.get_parameter(Name="prod/key", WithDecryption=True)["Parameter"]
    assert (parameter["Type"], parameter["Value"]) == ("SecureString", "plain")
    reference = ssm.get_parameter(Name="/aws/reference/secretsmanager/api-token", WithDecryption=True)
    assert reference["Parameter"]["Value"] == "s3cr3t"
    several = ssm.get_parameters(Names=["prod/key", "nope"], WithDecryption=True)
    assert [parameter["Name"] for parameter in several["Parameters"]] == ["prod/key"]
    assert several["InvalidParameters"] == ["nope"]
    assert refused(ssm.get_parameter, Name="nope", WithDecryption=True) == "ParameterNotFound"


def test_who_am_i(client):
    identity = client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:user/wherry")


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("dynamodb", "list_tables", {}),
        ("sqs", "list_queues", {}),
        ("lambda", "list_functions", {}),
        ("ec2", "describe_instances", {}),
        ("sts", "assume_role", {"RoleArn": "arn:aws:iam::000000000000:role/x", "RoleSessionName": "mine"}),
        ("events", "list_rules", {}),
    ],
)
def test_what_is_not_there_says_how_to_get_it(client, service, operation, arguments):
    with pytest.raises(ClientError) as caught:
        getattr(client(service), operation)(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "NotImplemented", error
    assert "AWS_ENDPOINT_URL_" in error["Message"]
