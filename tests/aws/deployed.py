"""A small environment put up by hand: what the compiler makes, as far as `wherry run`, `runs`, `logs` and the rest need it."""

import json

from wherry.aws.names import Names

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
IMAGE = "wherry-busybox:1"


class Deployed:
    """An app's environment in an account; `client` makes boto3 clients."""

    def __init__(self, client, account, region, app="sales", environment="prod"):
        self.client = client
        self.names = Names(app=app, environment=environment, account=account, region=region)
        self._logs = client("logs")
        self._role = self._make_role()
        self._network = self._make_network()
        client("ecs").create_cluster(clusterName=self.names.cluster, capacityProviders=["FARGATE"])
        self._make_stack()

    def _make_role(self):
        iam = self.client("iam")
        services = ["states.amazonaws.com", "ecs-tasks.amazonaws.com", "events.amazonaws.com"]
        trust = [{"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}]
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        role = iam.create_role(RoleName=f"{self.names.stem}-all", AssumeRolePolicyDocument=document)["Role"]
        iam.put_role_policy(RoleName=role["RoleName"], PolicyName="all", PolicyDocument=json.dumps(POLICY))
        return role["Arn"]

    def _make_network(self):
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(VpcId=vpc, GroupName="tasks", Description="tasks")["GroupId"]
        return {"Subnets": [subnet], "SecurityGroups": [group], "AssignPublicIp": "ENABLED"}

    def _make_stack(self):
        bucket = f"{self.names.stem}-uploads-{self.names.account}-{self.names.region}"
        resources = {
            "Uploads": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}},
            "DeadLetters": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": self.names.dead_letters}},
        }
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(StackName=self.names.stack, TemplateBody=json.dumps({"Resources": resources}))
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=self.names.stack, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )

    def job(self, name, command, *, image=IMAGE, attempts=1, wait=1, timeout=60, skip=False, helpers=()):
        """A job's log group, task definition and run machine."""
        group = self.names.log_group(name)
        self._logs.create_log_group(logGroupName=group)
        containers = [self._container("main", command, group, image)]
        for helper, told in dict(helpers).items():
            containers.append({**self._container(helper, told, group, IMAGE), "essential": False})
        self.client("ecs").register_task_definition(
            family=self.names.family(name),
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            executionRoleArn=self._role,
            taskRoleArn=self._role,
            containerDefinitions=containers,
        )
        self.client("stepfunctions").create_state_machine(
            name=self.names.machine(name),
            definition=json.dumps(self._machine(name, attempts, wait, timeout, skip=skip)),
            roleArn=self._role,
        )

    def _container(self, name, command, group, image):
        options = {"awslogs-group": group, "awslogs-region": self.names.region, "awslogs-stream-prefix": "run"}
        return {
            "name": name,
            "image": image,
            "essential": True,
            "command": command,
            "environment": [{"name": "LOG_LEVEL", "value": "INFO"}],
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }

    def _machine(self, name, attempts, wait, timeout, *, skip):
        overrides = "$exists($states.input.overrides) ? $states.input.overrides : {}"
        variables = """$append(
          [{"Name": "WHERRY_RUN_ID", "Value": $states.context.Execution.Name}, {"Name": "DAY", "Value": "1"}],
          $exists($given.env) ? [$each($given.env, function($v, $k) {{"Name": $k, "Value": $v}})] : [])"""
        main = (
            '{% [$merge([{"Name": "main", "Environment": ' + variables + "},"
            ' $exists($given.command) ? {"Command": [$append($given.command, $given.args)]} : {}])] %}'
        )
        parsed = "{% ($c := $states.errorOutput.Cause; $substring($c, 0, 1) = '{' ? $parse($c) : {}) %}"
        code = "$task.Containers[Name = 'main'][0].ExitCode"
        cause = '{% $string({"reason": "as the machine says", "attempts": $attempt, "exit-code": $code}) %}'
        fail = {name: {"Type": "Fail", "Error": name, "Cause": cause} for name in ("Failed", "TimedOut", "Stopped")}
        skipped = {"status": "skipped", "reason": "another run is active", "attempts": 0, "exit-code": None}
        states = {
            "Begin": {
                "Type": "Pass",
                "Assign": {"attempt": 1, "given": "{% " + overrides + " %}", "error": "", "code": None},
                "Next": "Skipped" if skip else "Run",
            },
            "Run": {
                "Type": "Task",
                "Resource": "arn:aws:states:::ecs:runTask.sync",
                "Arguments": {
                    "Cluster": self.names.cluster,
                    "TaskDefinition": self.names.family(name),
                    "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}],
                    "NetworkConfiguration": {"AwsvpcConfiguration": self._network},
                    "Overrides": {"ContainerOverrides": main},
                },
                "TimeoutSeconds": timeout,
                "Assign": {"task": "{% $states.result %}"},
                "Catch": [
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Assign": {"task": parsed, "error": "{% $states.errorOutput.Error %}"},
                        "Next": "Judge",
                    }
                ],
                "Next": "Judge",
            },
            "Judge": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": "{% " + code + " = 0 %}", "Next": "Succeeded"},
                    {"Condition": "{% $error = 'States.Timeout' %}", "Next": "TimedOut"},
                    {
                        "Condition": "{% $attempt < " + str(attempts) + " %}",
                        "Assign": {"attempt": "{% $attempt + 1 %}", "wait": wait},
                        "Next": "Backoff",
                    },
                ],
                "Assign": {"code": "{% $exists(" + code + ") ? " + code + " : null %}"},
                "Default": "Failed",
            },
            "Backoff": {"Type": "Wait", "Seconds": "{% $wait %}", "Next": "Run"},
            "Succeeded": {
                "Type": "Succeed",
                "Output": {"status": "succeeded", "reason": "", "attempts": "{% $attempt %}", "exit-code": 0},
            },
            **fail,
        }
        if skip:
            states = {"Begin": states["Begin"], "Skipped": {"Type": "Succeed", "Output": skipped}}
        return {"QueryLanguage": "JSONata", "StartAt": "Begin", "States": states}

    def listen(self, name, pattern, bus="default"):
        """A rule that has the dispatcher start a job."""
        dispatcher = self._make_dispatcher()
        given = json.dumps({"job": name, "machine": self.names.machine_arn(name), "trigger": "event", "event": 0})
        template = given.replace('"event": 0', '"event": <aws.events.event.json>')
        events = self.client("events")
        events.put_rule(Name=f"{self.names.stem}-{name}", EventPattern=json.dumps(pattern), EventBusName=bus)
        target = {"Id": "d", "Arn": dispatcher, "RoleArn": self._role, "InputTransformer": {"InputTemplate": template}}
        events.put_targets(Rule=f"{self.names.stem}-{name}", EventBusName=bus, Targets=[target])

    def _make_dispatcher(self):
        text = """{% ($given := $states.input;
          $once := $given.event.resources[$substringBefore($, "wherry:once/") = ""][0];
          $cause := "event:" & $substringAfter($once, "/"); {
          "StateMachineArn": $given.machine,
          "Name": $substring($hash($given.job & " " & $cause, "SHA-256"), 0, 26),
          "Input": $string({"job": $given.job, "trigger": "event", "cause": $cause, "event": $given.event})}) %}"""
        start = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:startExecution", "Arguments": text}
        machine = {"QueryLanguage": "JSONata", "StartAt": "Start", "States": {"Start": {**start, "End": True}}}
        made = self.client("stepfunctions").create_state_machine(
            name=self.names.dispatcher, definition=json.dumps(machine), roleArn=self._role
        )
        return made["stateMachineArn"]
