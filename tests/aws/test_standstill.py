"""What is under way while an environment changes or goes."""

import json

from tests.conftest import wait_for

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
