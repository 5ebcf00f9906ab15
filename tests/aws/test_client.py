"""The door to AWS, where boto3 itself stands in the way; nobody is asked anything."""

import pytest

from wherry.aws.client import Aws, AwsError


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "1")
    return Aws(region="eu-west-1")


@pytest.mark.parametrize(
    "ask",
    [
        lambda aws: aws.call("cloudformation", "describe_clouds"),
        lambda aws: aws.once("cloudformation", "describe_clouds", is_known_again=True),
        lambda aws: aws.carefully("cloudformation", "describe_clouds", lambda: True),
    ],
)
def test_an_operation_that_boto3_does_not_know_yet_is_an_error_like_any_other(aws, ask):
    with pytest.raises(AwsError) as failed:
        ask(aws)
    assert failed.value.message == "this boto3 does not know cloudformation:DescribeClouds"
    assert failed.value.hint == "pip install -U boto3"
    assert (failed.value.call, failed.value.passes) == ("cloudformation:describe_clouds", False)
