"""What starts runs: the dispatcher, the triggers, and their roles. Pure. Functions start runs by themselves."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.aws import policy, triggers
from wherry.aws.dispatcher import dispatcher
from wherry.aws.names import Names
from wherry.aws.policy import arn, sub
from wherry.aws.storage import Resource, resource
from wherry.model import Environment, InvokeTrigger, JobFile, QueueTrigger, ScheduleTrigger

#: A role has 10,240 characters of policies (IAM quotas), and the name of a machine takes up to 140 of them.
_MOST_NAMED = 60


def starting(jobfile: JobFile, environment: Environment, names: Names, ids: Mapping[str, str]) -> dict[str, Resource]:
    """The dispatcher and the triggers; nothing when every job is started by hand, by its function or for messages."""
    dispatched = {
        name: [trigger for trigger in job.triggers if not isinstance(trigger, InvokeTrigger | QueueTrigger)]
        for name, job in jobfile.jobs.items()
    }
    triggered = [jobfile.jobs[name] for name, found in dispatched.items() if found]
    if not triggered:
        return {}
    machines = [arn("states", f"stateMachine:{names.machine(job.name)}") for job in triggered]
    if len(machines) > _MOST_NAMED:
        machines = [triggers.machines_arn(names, "*")]
    found = {
        "DispatcherRole": policy.role(
            "what the dispatcher may do",
            "states.amazonaws.com",
            arn("states", f"stateMachine:{names.dispatcher}"),
            [policy.allow(["states:StartExecution"], machines)],
        ),
        "Dispatcher": resource(
            "starts runs, at most one for each cause",
            "AWS::StepFunctions::StateMachine",
            {
                "StateMachineName": names.dispatcher,
                "StateMachineType": "STANDARD",
                "RoleArn": {"Fn::GetAtt": ["DispatcherRole", "Arn"]},
                "Definition": dispatcher(),
            },
        ),
    }
    start = policy.allow(["states:StartExecution"], {"Ref": "Dispatcher"})
    kinds = [trigger for job in triggered for trigger in dispatched[job.name]]
    if any(not isinstance(trigger, ScheduleTrigger) for trigger in kinds):
        found["RulesRole"] = policy.role(
            "what the rules of this stack may do", "events.amazonaws.com", arn("events", "rule/*"), [start]
        )
    if any(isinstance(trigger, ScheduleTrigger) for trigger in kinds):
        found["SchedulesRole"] = policy.role(
            "what the schedules of this stack may do",
            "scheduler.amazonaws.com",
            triggers.schedule_group_arn(names.schedules),
            [start, policy.allow(["sqs:SendMessage"], {"Fn::GetAtt": ["DeadLetters", "Arn"]})],
        )
        found["Schedules"] = resource("the schedules", "AWS::Scheduler::ScheduleGroup", {"Name": names.schedules})
    buckets = {each.name: sub(names.bucket_sub(each, environment)) for each in jobfile.buckets.values()}
    for job in triggered:
        for trigger in dispatched[job.name]:
            found |= triggers.trigger_resource(job, trigger, environment, names, buckets, ids)
    return found
