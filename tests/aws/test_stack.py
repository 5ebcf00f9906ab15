"""A stack through its hard days: refused, failed, left over, changed by others."""

import pytest

from wherry.aws.client import Aws
from wherry.aws.stack import Stack, StackFailed


@pytest.fixture
def stack(account, monkeypatch):
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    return Stack(Aws(region=account.region), "things", tags={"wherry:app": "things"})


def template(**resources):
    about = {"Metadata": {"Wherry": {"about": "the queue"}}}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 1}, **about}
    return {"Resources": {"Queue": queue, **resources}}


def machine(definition="{}"):
    role = "arn:aws:iam::123456789012:role/none"
    properties = {"DefinitionString": definition, "RoleArn": role}
    return {
        "Type": "AWS::StepFunctions::StateMachine",
        "Metadata": {"Wherry": {"about": "job x: how its runs go"}},
        "Properties": properties,
    }


def brought(stack, wanted, watch=lambda event: None):
    state = stack.settle(watch)
    proposal = stack.propose(wanted, is_new=not state.exists)
    return proposal and stack.apply(proposal, watch)


def test_events_come_once_and_in_order(stack):
    seen = []
    brought(stack, template(), seen.append)
    assert [(event.logical_id, event.status) for event in seen][-3:] == [
        ("Queue", "CREATE_IN_PROGRESS"),
        ("Queue", "CREATE_COMPLETE"),
        ("things", "CREATE_COMPLETE"),
    ]
    again = []
    brought(stack, template(Other={"Type": "AWS::SQS::Queue"}), again.append)
    ids = [event.id for event in seen + again]
    assert len(ids) == len(set(ids))
    assert again[-1].is_stack
    assert brought(stack, template(Other={"Type": "AWS::SQS::Queue"})) is None


def test_a_failed_creation_names_its_cause_and_the_next_one_begins_anew(stack):
    with pytest.raises(StackFailed) as failure:
        brought(stack, template(Machine=machine("nonsense")))
    told = failure.value.message
    assert told.startswith("job x: how its runs go (Machine): Invalid State Machine Definition")
    assert told.endswith("nothing was deployed, and what had been made was removed again")
    assert stack.look().status == "ROLLBACK_COMPLETE"
    assert brought(stack, template()).status == "CREATE_COMPLETE"


def test_a_failed_update_leaves_what_was_before(stack):
    brought(stack, template())
    seen = []
    with pytest.raises(StackFailed, match="nothing was deployed: everything is as it was before$"):
        brought(stack, template(Machine=machine("nonsense")), seen.append)
    assert any("ROLLBACK_IN_PROGRESS" in event.status for event in seen)
    state = stack.look()
    assert state.status == "UPDATE_ROLLBACK_COMPLETE"
    assert state.is_settled
    assert stack.template() == template()
    changed = template(Other={"Type": "AWS::SQS::Queue"})
    assert brought(stack, changed).status == "UPDATE_COMPLETE"


def test_a_template_that_is_refused_leaves_no_shell(stack, account):
    account.client("s3").create_bucket(
        Bucket="taken-by-others", CreateBucketConfiguration={"LocationConstraint": account.region}
    )
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "taken-by-others"}}
    with pytest.raises(StackFailed) as failure:
        brought(stack, template(Bucket=bucket))
    assert failure.value.message.startswith("CloudFormation refuses the template of `things`: ")
    assert not stack.look().id


def test_somebody_else_was_faster(stack):
    brought(stack, template())
    first = stack.propose(template(A={"Type": "AWS::SQS::Queue"}), is_new=False)
    second = stack.propose(template(B={"Type": "AWS::SQS::Queue"}), is_new=False)
    stack.apply(second)
    with pytest.raises(StackFailed, match="changed by somebody else meanwhile"):
        stack.apply(first)


def test_a_protected_stack_is_not_deleted(stack, account):
    brought(stack, template())
    account.client("cloudformation").update_termination_protection(StackName="things", EnableTerminationProtection=True)
    with pytest.raises(StackFailed, match="protected against deletion"):
        stack.delete()
    assert stack.look().exists


def test_deleting_twice_is_deleting_once(stack):
    brought(stack, template())
    stack.delete()
    stack.delete()
    assert not stack.look().exists
