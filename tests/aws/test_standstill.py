"""What is under way while an environment changes or goes."""

import json
from types import SimpleNamespace

import pytest

from tests.aws.scripted import Scripted
from tests.conftest import wait_for
from wherry.aws import standstill
from wherry.aws.names import Names

JOBFILE = """
app: still
jobs:
  fails: {image: "wherry-busybox:1", command: exit 3, retry: {attempts: 2, backoff: 1h, cap: 1h, jitter: 0}}
environments:
  prod: {region: eu-west-1}
"""


def test_a_waiting_run_keeps_its_definition_and_does_not_hold_up_a_destruction(cloud):
    before = cloud.leftovers()
    cloud.project.jobfile(JOBFILE)
    cloud.wherry("deploy", "--yes")
    states = cloud.client("stepfunctions")
    machine = f"arn:aws:states:eu-west-1:{cloud.account.id}:stateMachine:still-prod_fails"
    told = json.dumps({"trigger": "manual", "event": {"id": "e"}})
    run = states.start_execution(stateMachineArn=machine, name="the-run", input=told)["executionArn"]

    def waits():
        history = states.get_execution_history(executionArn=run, reverseOrder=True)["events"]
        return history[0]["type"] == "WaitStateEntered"

    wait_for(waits, "the pause between two attempts")
    cloud.project.jobfile(JOBFILE.replace("exit 3", "exit 4"))
    cloud.wherry("deploy", "--yes")
    active = cloud.client("ecs").list_task_definitions(familyPrefix="still-prod_fails")["taskDefinitionArns"]
    assert len(active) == 2
    told = cloud.wherry("destroy", "--yes").stderr
    assert "run the-run is stopped" in told
    assert cloud.leftovers() == before


@pytest.mark.parametrize(("environment", "is_ours"), [("prod", True), ("test", False)])
def test_of_a_family_with_a_name_of_ones_own_only_what_the_stack_has_made_is_cleared(environment, is_ours):
    tags = [{"key": "wherry:app", "value": "still"}, {"key": "wherry:environment", "value": environment}]
    aws = Scripted(
        list_task_definition_families=["still-prod_fails"],
        list_task_definitions=lambda familyPrefix, **_: [f"{familyPrefix}:1"],
        describe_task_definition={"tags": tags},
        deregister_task_definition={},
    )
    site = SimpleNamespace(
        aws=aws,
        names=Names(app="still", environment="prod"),
        tags={"wherry:app": "still", "wherry:environment": "prod"},
    )
    families = ("still-prod_fails", "legacy")
    tasks = {name: {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": name}} for name in families}
    standstill.clear_definitions(site, {"Resources": tasks})
    cleared = [asked["taskDefinition"] for asked in aws.asked("deregister_task_definition")]
    assert cleared == ["still-prod_fails:1", *(["legacy:1"] if is_ours else [])]
