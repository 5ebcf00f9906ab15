"""EventBridge, Secrets Manager, SSM and STS as boto3 speaks them; and what is not there."""

import json
import re
import urllib.error
import urllib.request
from datetime import UTC, datetime

import botocore.parsers
import botocore.session
import pytest
from botocore.exceptions import ClientError

from tests.gateway.test_s3_objects import refused
from wherry.gateway.answers import error_answer
from wherry.gateway.elsewhere import VARIABLES, not_implemented
from wherry.gateway.http import Body, Request


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
    assert "here, only `default`: `${bus}` in a job's `env`" in answer["Entries"][5]["ErrorMessage"]
    assert answer["Entries"][0]["EventId"] != answer["Entries"][6]["EventId"]


def test_put_events_has_limits(client):
    entry = {"Source": "shop", "DetailType": "x", "Detail": json.dumps({"x": "y" * 150_000})}
    assert client("events").put_events(Entries=[entry] * 5)["FailedEntryCount"] == 0
    assert refused(client("events").put_events, Entries=[entry] * 10) == "ValidationException"


def test_an_event_that_no_run_could_be_given_on_aws_is_refused_here(client, engine):
    detail = json.dumps({"x": "y" * 258_000})
    entry = {"Source": "orders", "DetailType": "placed", "Detail": detail}
    said = "job `placed` can be given 258,048 at most: Step Functions takes no more on AWS: put what is large into a bucket"
    with pytest.raises(ClientError, match=f"ValidationException.*{said}"):
        client("events").put_events(Entries=[entry])
    (engine.folder / "large.json").write_text(f'{{"source": "orders", "detail-type": "placed", "detail": {detail}}}')
    assert "the event has 258,2" in engine.wherry("emit", "large.json", code=2).stderr
    # nobody but the bus has to take it, or a queue
    assert client("events").put_events(Entries=[{**entry, "Source": "shop"}])["FailedEntryCount"] == 0


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
    secrets = "/aws/reference/secretsmanager"
    parameter = ssm.get_parameter(Name=f"{secrets}/prod/key", WithDecryption=True)["Parameter"]
    assert (parameter["Type"], parameter["Value"]) == ("SecureString", "plain")
    assert parameter["ARN"] == f"arn:aws:ssm:us-east-1:000000000000:parameter{secrets}/prod/key"
    names = [f"{secrets}/prod/key", f"{secrets}/nope", "prod/key"]
    several = ssm.get_parameters(Names=names, WithDecryption=True)
    assert [parameter["Name"] for parameter in several["Parameters"]] == names[:1]
    assert several["InvalidParameters"] == names[1:]
    # on AWS there is none by a secret's plain name
    for name, said in (("prod/key", f"only secrets: `{secrets}/prod/key`"), (names[1], "`wherry secrets set nope`")):
        with pytest.raises(ClientError, match=f"ParameterNotFound.*{said}"):
            ssm.get_parameter(Name=name, WithDecryption=True)


def test_who_am_i(client):
    identity = client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:user/wherry")


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("dynamodb", "list_tables", {}),
        ("sqs", "add_permission", {"QueueUrl": "x", "Label": "x", "AWSAccountIds": ["x"], "Actions": ["x"]}),
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


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": "\\ud800"}', "[" * 100_000, "", "7"])
def test_details_that_are_no_json_objects(client, text):
    entry = {"Source": "shop", "DetailType": "x", "Detail": text}
    answer = client("events").put_events(Entries=[entry])
    assert answer["Entries"][0]["ErrorCode"] == ("MalformedDetail" if text else "InvalidArgument")


@pytest.mark.parametrize(
    ("service", "operation", "variable"),
    [
        ("stepfunctions", "list_state_machines", "SFN"),
        ("cloudwatch", "list_metrics", "CLOUDWATCH"),
        ("logs", "describe_log_groups", "CLOUDWATCH_LOGS"),
        ("route53", "list_hosted_zones", "ROUTE_53"),
        ("cloudfront", "list_distributions", "CLOUDFRONT"),
        ("events", "list_rules", "EVENTBRIDGE"),
        ("dynamodb", "list_tables", "DYNAMODB"),
    ],
)
def test_the_variable_that_is_named_is_the_one_that_clients_read(client, service, operation, variable):
    with pytest.raises(ClientError) as caught:
        getattr(client(service), operation)()
    assert f" AWS_ENDPOINT_URL_{variable} " in caught.value.response["Error"]["Message"]


#: Services whose name in botocore is neither the one they are signed for nor that of their variable.
OTHER_NAMES = {
    "COGNITO_IDENTITY_PROVIDER": ["cognito-idp"],
    "DATABASE_MIGRATION_SERVICE": ["dms"],
    "ELASTIC_LOAD_BALANCING_V2": ["elbv2"],
    "IOT_DATA_PLANE": ["iot-data"],
    "KINESIS_ANALYTICS_V2": ["kinesisanalyticsv2"],
    "RESOURCE_GROUPS_TAGGING_API": ["resourcegroupstaggingapi"],
    "SERVICE_QUOTAS": ["service-quotas"],
    "SFN": ["stepfunctions"],
}


def test_the_variables_are_those_of_botocores_services():
    session = botocore.session.get_session()
    known = set(session.get_available_services())
    wrong = []
    for signing_name, variable in VARIABLES.items():
        lower = variable.lower()
        names = {signing_name, lower.replace("_", "-"), lower.replace("_", ""), *OTHER_NAMES.get(variable, ())} & known
        models = [session.get_service_model(name) for name in names]
        ids = {(model.signing_name, re.sub("[ -]", "_", model.service_id).upper()) for model in models}
        if (signing_name, variable) not in ids:
            wrong.append((signing_name, variable, ids))
    assert wrong == []


def test_the_newest_protocol_is_answered_in_its_own_words():
    """botocore still prefers another where a service has several, so its parser alone is asked."""
    headers = {"smithy-protocol": "rpc-v2-cbor"}
    body = Body(None, 0, chunked=False, expects=False)
    request = Request(method="POST", path="/service/X/operation/Y", query="", headers=headers, body=body)
    answer = error_answer(request, "monitoring", not_implemented("monitoring", "Y" * 40), "id")
    shape = botocore.session.get_session().get_service_model("cloudwatch").operation_model("ListMetrics").output_shape
    given = {"body": answer.body, "headers": dict(answer.headers), "status_code": answer.status}
    error = botocore.parsers.create_parser("smithy-rpc-v2-cbor").parse(given, shape)["Error"]
    assert error["Code"] == "NotImplemented"
    assert f"monitoring:{'Y' * 40}" in error["Message"]


def test_paths_of_wherrys_own(variables):
    with urllib.request.urlopen(f"{variables['AWS_ENDPOINT_URL']}/_wherry/health") as answer:
        assert json.load(answer)["status"] == "ok"
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"{variables['AWS_ENDPOINT_URL']}/_wherry/nothing")
    caught.value.close()
