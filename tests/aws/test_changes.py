"""What changes mean, who may do what, why it failed: pure."""

import pytest

from tests.aws.scripted import Scripted
from wherry.aws.changes import between, change_of
from wherry.aws.client import AwsError
from wherry.aws.failures import StackEvent, first_failure, plain_reason, remedy
from wherry.aws.permissions import Grant, grants, lines
from wherry.aws.stack import Stack, StackFailed
from wherry.aws.states import Need, State, is_final
from wherry.aws.words import about, kind_of

QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 1}, "Metadata": {"Wherry": {"about": "the queue"}}}
BUCKET = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}


@pytest.mark.parametrize(
    ("status", "need"),
    [
        ("", Need.CREATE),
        ("REVIEW_IN_PROGRESS", Need.CREATE),
        ("DELETE_COMPLETE", Need.CREATE),
        ("CREATE_COMPLETE", Need.UPDATE),
        ("UPDATE_COMPLETE", Need.UPDATE),
        ("UPDATE_ROLLBACK_COMPLETE", Need.UPDATE),
        ("IMPORT_COMPLETE", Need.UPDATE),
        ("IMPORT_ROLLBACK_COMPLETE", Need.UPDATE),
        ("UPDATE_FAILED", Need.UPDATE),
        ("CREATE_IN_PROGRESS", Need.WAIT),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Need.WAIT),
        ("DELETE_IN_PROGRESS", Need.WAIT),
        ("ROLLBACK_COMPLETE", Need.REMOVE),
        ("ROLLBACK_FAILED", Need.REMOVE),
        ("CREATE_FAILED", Need.REMOVE),
        ("DELETE_FAILED", Need.REMOVE),
        ("UPDATE_ROLLBACK_FAILED", Need.CONTINUE),
    ],
)
def test_what_a_status_asks_for(status, need):
    assert State(id="x" if status else "", status=status).need is need
    assert is_final(status) == (need is not Need.WAIT)


def test_changes_between_templates():
    old = {"Resources": {"A": QUEUE, "B": BUCKET, "C": QUEUE}}
    new = {"Resources": {"A": {**QUEUE, "Properties": {"DelaySeconds": 2}}, "C": QUEUE, "D": QUEUE}}
    found = between(old, new)
    assert [(change.action, change.logical_id) for change in found] == [("change", "A"), ("remove", "B"), ("add", "D")]
    assert found[0].properties == ("DelaySeconds",)
    assert found[1].is_kept
    assert found[1].loses == ""


@pytest.mark.parametrize(
    ("more", "loses"),
    [
        ({"Action": "Remove"}, "messages"),
        ({"Action": "Remove", "PolicyAction": "Retain"}, ""),
        ({"Action": "Modify", "Replacement": "True"}, "messages"),
        ({"Action": "Modify", "Replacement": "True", "PolicyAction": "ReplaceAndRetain"}, ""),
        ({"Action": "Modify", "Replacement": "Conditional"}, "messages"),
        ({"Action": "Modify", "Replacement": "False"}, ""),
        ({"Action": "Add"}, ""),
    ],
)
def test_what_is_lost_is_marked(more, loses):
    change = change_of({"LogicalResourceId": "A", "ResourceType": "AWS::SQS::Queue", **more})
    assert change.loses == loses


def test_resources_in_words():
    template = {"Resources": {"A": QUEUE, "B": BUCKET}}
    assert about("A", {}, template) == "the queue"
    assert about("B", template) == "bucket B"
    assert about("C", template) == "C"
    assert kind_of("AWS::EC2::InternetGateway") == "internet gateway"


def test_permissions_are_read_from_roles():
    role = {
        "Type": "AWS::IAM::Role",
        "Metadata": {"Wherry": {"about": "job x: what it may do"}},
        "Properties": {
            "ManagedPolicyArns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
            "Policies": [
                {
                    "PolicyDocument": {
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Action": ["s3:GetObject", "s3:PutObject"],
                                "Resource": {"Fn::Sub": "arn:${AWS::Partition}:s3:::b/*"},
                            },
                            {
                                "Effect": "Allow",
                                "Action": "iam:PassRole",
                                "Resource": {"Fn::GetAtt": ["R", "Arn"]},
                                "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
                            },
                            {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
                        ]
                    }
                }
            ],
        },
    }
    found = grants({"Resources": {"R": role}})
    who = "job x: what it may do"
    assert Grant(who, "s3:PutObject", "arn:${AWS::Partition}:s3:::b/*") in found
    assert Grant(who, "not s3:DeleteObject", "*") in found
    assert lines(found, {"AWS::Partition": "aws", "R.Arn": "[its role]"}) == [
        (who, "not s3:DeleteObject", "*"),
        (who, "iam:PassRole", "[its role], if iam:PassedToService is ecs-tasks.amazonaws.com"),
        (who, "all of", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
        (who, "s3:GetObject, PutObject", "arn:aws:s3:::b/*"),
    ]


def event(logical_id, status, reason="", *, is_stack=False):
    return StackEvent(id=logical_id, logical_id=logical_id, kind="", status=status, reason=reason, is_stack=is_stack)


def test_the_first_cause_counts():
    events = [
        event("A", "CREATE_IN_PROGRESS"),
        event("B", "CREATE_FAILED", "Resource creation cancelled"),
        event("C", "CREATE_FAILED", "x already exists"),
        event("D", "CREATE_FAILED", "later"),
        event("s", "ROLLBACK_FAILED", "all of them", is_stack=True),
    ]
    assert first_failure(events).logical_id == "C"
    assert first_failure(events[:2]) is None
    assert first_failure(events[4:]).logical_id == "s"


def test_reasons_are_told_plainly():
    told = 'Resource handler returned message: "User: arn:x is not authorized to perform: iam:CreateRole (Service: Iam, Status Code: 403, Request ID: 1)" (RequestToken: 5, HandlerErrorCode: AccessDenied)'
    assert plain_reason(told) == "User: arn:x is not authorized to perform: iam:CreateRole"
    assert remedy(told) == "whoever deploys needs that action: `wherry policy` prints all that it takes"
    assert remedy("nobody knows") is None


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("You must wait 60 seconds after deleting a queue before you can create another with the same name.", "SQS"),
        ("A conflicting conditional operation is currently in progress against this resource. Please try again.", "S3"),
        ("app-prod_job already exists", "the name is taken"),
        ("Unable to Start a service that is still Draining. (Service: AmazonECS)", "the tasks of workers"),
        ("Creation of service was not idempotent.", "the tasks of workers"),
        ("State Machine is being deleted: 'arn:aws:states:eu-west-1:1:stateMachine:m'", "what had this name before"),
    ],
)
def test_what_to_do_about_a_name_that_was_used_before(reason, advice):
    assert str(remedy(reason)).startswith(advice)


def test_a_refused_change_set_names_the_cause():
    """What CloudFormation validates before a change set is there it tells in DescribeEvents alone."""
    reason = "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]. Use the DescribeEvents API."
    aws = Scripted(
        create_change_set={"Id": "set", "StackId": "stack"},
        describe_change_set={"Status": "FAILED", "StatusReason": reason},
        describe_events={
            "OperationEvents": [
                {
                    "EventId": "1",
                    "EventType": "VALIDATION_ERROR",
                    "LogicalResourceId": "A",
                    "ValidationStatusReason": "Resource of type 'AWS::SQS::Queue' with identifier 'q' already exists.",
                }
            ]
        },
        delete_change_set={},
        describe_stacks=AwsError("Stack with id s does not exist", code="ValidationError"),
    )
    with pytest.raises(StackFailed, match="the queue .A.: Resource of type 'AWS::SQS::Queue' with identifier 'q'"):
        Stack(aws, "s").propose({"Resources": {"A": QUEUE}}, is_new=True)
    assert [operation for _, operation, _ in aws.calls][-3:-1] == ["describe_events", "delete_change_set"]
