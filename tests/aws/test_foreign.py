"""What merely has a name that ours would have is left as it is."""

import json

import pytest

from tests.aws.scripted import Scripted
from wherry.aws.stack import Stack
from wherry.errors import UserError

JOBFILE = """
app: web
jobs: {count: {image: "wherry-busybox:1"}}
environments: {prod: {region: eu-west-1}}
"""
TEMPLATE = json.dumps({"Resources": {"Orders": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "orders"}}}})
OURS = {"wherry:app": "web", "wherry:environment": "prod"}
AWS_WRITES = {"create_change_set", "execute_change_set", "delete_stack", "continue_update_rollback"}


def stack(tags, status="CREATE_COMPLETE", *, body=TEMPLATE):
    """The stack `web-prod` as AWS tells of it; whose it is say its tags, whatever its template is."""
    told = [{"Key": key, "Value": value} for key, value in tags.items()]
    described = {"StackId": "arn:web-prod", "StackStatus": status, "Tags": told}
    aws = Scripted(describe_stacks={"Stacks": [described]}, get_template={"TemplateBody": body})
    return aws, Stack(aws, "web-prod", tags=OURS)


@pytest.mark.parametrize(
    ("tags", "whose"),
    [
        ({}, "was not made by wherry"),
        ({"team": "shop"}, "was not made by wherry"),
        ({**OURS, "wherry:environment": "prod-eu"}, "belongs to app `web` in environment `prod-eu`"),
        ({"wherry:app": "web-prod", "wherry:environment": "eu"}, "belongs to app `web-prod` in environment `eu`"),
    ],
)
@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_FAILED"])
@pytest.mark.parametrize("verb", ["own", "settle", "delete"])
def test_a_stack_of_somebody_else_is_refused_in_any_state(tags, whose, status, verb):
    aws, theirs = stack(tags, status)
    with pytest.raises(UserError) as refused:
        getattr(theirs, verb)()
    assert refused.value.message == f"the name is taken: stack `web-prod` is there, and {whose}; it is left as it is"
    assert not AWS_WRITES & {operation for _, operation, _ in aws.calls}


@pytest.mark.parametrize("tags", [OURS, {**OURS, "cost-centre": "7"}])
@pytest.mark.parametrize("body", [TEMPLATE, "Resources: {}"])
def test_our_own_is_known_by_its_tags_also_when_it_was_ejected(tags, body):
    _, ours = stack(tags, body=body)
    assert ours.own().exists
    assert ours.settle().exists


def test_the_shell_of_a_change_set_that_was_never_executed_is_nobodys():
    _, shell = stack({}, "REVIEW_IN_PROGRESS")
    assert shell.settle().is_shell


@pytest.mark.parametrize("theirs", ["web-prod", "web-prod-base"])
def test_no_verb_touches_it(cloud, theirs):
    cloud.project.jobfile(JOBFILE)
    formation = cloud.client("cloudformation")
    formation.create_stack(StackName=theirs, TemplateBody=TEMPLATE)
    formation.get_waiter("stack_create_complete").wait(StackName=theirs, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    before = cloud.leftovers()
    for verb in (["plan"], ["deploy", "--yes"], ["destroy", "--yes"], ["destroy", "--yes", "--with-data", "web"]):
        told = cloud.wherry(*verb, code=2).stderr
        assert f"the name is taken: stack `{theirs}` is there, and was not made by wherry; it is left as it is" in told
        assert "another `app`, or another name of the environment" in told
    assert f"the name is taken: stack `{theirs}` is there" in cloud.wherry("verify", code=1).stdout
    assert cloud.leftovers() == before
    assert cloud.stacks() == {theirs: "CREATE_COMPLETE"}


@pytest.mark.parametrize("named", ["", "acme-prod-uploads"])
def test_a_bucket_of_somebody_else_is_not_taken_up(cloud, named):
    given = f", buckets: {{uploads: {named}}}" if named else ""
    text = JOBFILE.replace("eu-west-1}", f"eu-west-1{given}}}")
    cloud.project.jobfile(JOBFILE)
    cloud.wherry("deploy", "--yes")  # also when the rest is there already
    name = named or f"web-prod-uploads-{cloud.account.id}-eu-west-1"
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=name, Key="theirs", Body=b"1")
    cloud.project.jobfile(f"{text}buckets: {{uploads: {{}}}}")
    for verb in (["plan"], ["deploy", "--yes"]):
        told = cloud.wherry(*verb, code=2).stderr
        assert f"bucket `uploads`: `{name}` is there already, and was not made for web in prod" in told
        assert f"`uploads: {{existing: {name}}}` uses it" in told
    cloud.wherry("destroy", "--yes", "--with-data", "web")
    assert s3.get_object(Bucket=name, Key="theirs")["Body"].read() == b"1"
    assert "was not made for this app" in cloud.wherry("verify", code=1).stdout
