"""The README of an ejected environment: what to type, with the AWS CLI and Docker alone. Pure.

Its commands are for one shell and run from top to bottom, which a test does. Both versions of the AWS CLI know them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from wherry.agent.settings import ENTRY_POINT, IMAGE_FILE
from wherry.aws import capacity, feeding, found, queues, tasks, waking
from wherry.aws.ejected import Ejected, names_of_environment
from wherry.aws.hosts import GROUP
from wherry.aws.names import Names
from wherry.executors.agent import PYTHON
from wherry.model import Environment, InvokeTrigger, Job, JobFile, Queue, UploadTrigger

#: The folder with the worker.
WORKER = "worker"


def handbook(jobfile: JobFile, environment: Environment, made: Ejected, sources: Mapping[str, str]) -> str:
    """The text; `sources` are the folders that images are built of, by job, where they are not somebody else's."""
    names = names_of_environment(jobfile, environment)
    parts = [
        _head(names, jobfile, environment),
        _secrets(jobfile, environment),
        _base(names),
        *(_image(names, environment, parameter, jobfile.jobs[job], sources) for job, parameter in made.images.items()),
        _buckets(jobfile),
        _stack(names, made),
        _notices(names, jobfile),
        *_use(names, jobfile),
        _queues(names, jobfile),
        _destroy(names, jobfile, environment),
    ]
    return "\n".join(part for part in parts if part)


def example_input(job: Job) -> str:
    """What a run started by hand is given: the shape that the run machine reads."""
    detail = {"bucket": {"name": "BUCKET"}, "object": {"key": "KEY"}} if _is_uploaded(job) else {}
    event = {"version": "0", "id": "by-hand", "detail-type": "Manual Run", "source": "wherry", "resources": []}
    time = {"account": "", "region": "", "time": "2026-01-01T00:00:00Z"}
    document = {"job": job.name, "trigger": "manual", "cause": "manual", "event": {**event, **time, "detail": detail}}
    return json.dumps(document, indent=2) + "\n"


def _is_uploaded(job: Job) -> bool:
    return any(isinstance(trigger, UploadTrigger) for trigger in job.triggers)


def _head(names: Names, jobfile: JobFile, environment: Environment) -> str:
    region = environment.region or "${AWS_REGION:?say where}"
    rows = "\n".join(
        f"| {job.name} | `{names.machine(job.name)}` | `{names.log_group(job.name)}` | {_function(names, job)} |"
        for job in jobfile.jobs.values()
    )
    return f"""\
# {names.app} in {names.environment}, as plain CloudFormation

Nothing here needs wherry: the AWS CLI, Docker and a POSIX shell do. The commands are for one shell, in this folder,
from top to bottom. The stacks have the names that `wherry deploy` gives them; where they are there already, they are
taken over.

| job | state machine | logs | function |
|---|---|---|---|
{rows}

```sh
export AWS_REGION={region} AWS_DEFAULT_REGION={region}
account=$(aws sts get-caller-identity --query Account --output text)
partition=$(aws sts get-caller-identity --query Arn --output text | cut -d: -f2)
machines=arn:$partition:states:$AWS_REGION:$account:stateMachine
```
"""


def _function(names: Names, job: Job) -> str:
    is_invoked = any(isinstance(trigger, InvokeTrigger) for trigger in job.triggers)
    return f"`{names.function(job.name)}`" if is_invoked else ""


def _secrets(jobfile: JobFile, environment: Environment) -> str:
    wanted = found.secret_names(jobfile, environment)
    if not wanted:
        return ""
    lines = "\n".join(
        f"aws secretsmanager create-secret --name {name} --secret-string file://{name.replace('/', '-')}.secret"
        for name in wanted
    )
    return f"""\
## Secrets

Put each value into a file (`NAME.secret`) first, and delete it afterwards. A new value comes with `put-secret-value`.

```sh
{lines}
```
"""


def _tags(names: Names) -> str:
    return f"--tags wherry:app={names.app} wherry:environment={names.environment} --no-fail-on-empty-changeset"


def _base(names: Names) -> str:
    return f"""\
## What must be there first

The repositories for images, and the work bucket. The role is in every account that has used ECS before.

```sh
aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com 2>/dev/null || true
aws cloudformation deploy --stack-name {names.base_stack} --template-file base.yaml \\
  {_tags(names)}
work={names.work_bucket}
```
"""


def _image(names: Names, environment: Environment, parameter: str, job: Job, sources: Mapping[str, str]) -> str:
    if environment.registry:
        repository = f"repository={names.repository_in(environment.registry, job.name)}"
    else:
        repository = (
            f"repository=$(aws ecr describe-repositories --repository-names {names.repository(job.name)} \\\n"
            "  --query 'repositories[0].repositoryUri' --output text)\n"
            'aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}"'
        )
    build = f"docker build --platform {environment.platform}"
    folder = sources.get(job.name)
    made_of = f"`{folder}` is what it is made of. " if folder else ""
    tag = "without-worker" if tasks.has_worker(job) else "latest"
    built = f'{build} --tag "$repository:{tag}" '
    built += folder or f"- <<END\nFROM {job.image}\nEND"
    added = _worker(environment.platform) if tasks.has_worker(job) else ""
    return f"""\
## The image of {job.name}

{made_of}Build, push, and deploy the stack again to bring a new one.

```sh
{repository}
{built}
{added}docker push "$repository:latest"
{parameter}=$(docker inspect --format '{{{{range .RepoDigests}}}}{{{{println .}}}}{{{{end}}}}' "$repository:latest" \\
  | grep "^$repository@")
```
"""


def _worker(platform: str) -> str:
    """Over the image the layer with the worker, as `executors/layer.py` makes it."""
    own = '{"Entrypoint": {{json .Config.Entrypoint}}, "Cmd": {{json .Config.Cmd}}}'
    run = f"docker run --rm --platform {platform} --entrypoint"
    return f"""\
# its messages are taken by the worker in `{WORKER}`, which needs a Python {".".join(map(str, PYTHON))} or later there
base=$repository:without-worker
python=$({run} python3 "$base" -IS -c 'import sys; print(sys.executable)')
{{ echo "#!$python -IS"; cat {WORKER}/worker.zip; }} > {WORKER}/worker
chmod 755 {WORKER}/worker
docker inspect --format '{own}' "$base" > {WORKER}/image.json
docker build --platform {platform} --build-arg "BASE=$base" --tag "$repository:latest" {WORKER}
{run} {ENTRY_POINT[0]} "$repository:latest" --check
"""


def dockerfile() -> str:
    """Of the layer with the worker."""
    folder, _, name = IMAGE_FILE.rpartition("/")
    return f"ARG BASE\nFROM $BASE\nCOPY worker {name} {folder}/\n"


def _buckets(jobfile: JobFile) -> str:
    """Buckets of somebody else tell EventBridge of uploads only when they are told to."""
    watched = feeding.watched(jobfile)
    theirs = sorted(str(jobfile.buckets[name].existing) for name in watched if jobfile.buckets[name].existing)
    if not theirs:
        return ""
    code = (
        "import json,sys; print(json.dumps({**json.loads(sys.stdin.read() or '{}'), 'EventBridgeConfiguration': {}}))"
    )
    lines = "\n".join(
        f"aws s3api put-bucket-notification-configuration --bucket {bucket} --skip-destination-validation \\\n"
        "  --notification-configuration \\\n"
        f'  "$(aws s3api get-bucket-notification-configuration --bucket {bucket} | python3 -c "{code}")"'
        for bucket in theirs
    )
    return f"""\
## Buckets that are there already

They must tell EventBridge of uploads; what they tell others stays as it is.

```sh
{lines}
```
"""


def _stack(names: Names, made: Ejected) -> str:
    given = [f'{parameter}="${parameter}"' for parameter in (*made.network, *made.images.values())]
    overrides = f" \\\n  --parameter-overrides {' '.join(given)}" if given else ""
    look = []
    if made.network:
        look.append(
            "Vpc=$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)"
        )
    if "Subnets" in made.network:
        look.append(
            "Subnets=$(aws ec2 describe-subnets \\\n"
            '  --filters "Name=vpc-id,Values=$Vpc" Name=default-for-az,Values=true \\\n'
            "  --query 'Subnets[].SubnetId' --output text | tr -s '[:space:]' , | sed 's/,$//')"
        )
    where = (
        "\nThe network is the default VPC's; any other subnets with a way to the registry will do.\n" if look else ""
    )
    commands = "".join(f"{line}\n" for line in look)
    return f"""\
## Everything that runs
{where}
```sh
{commands}aws cloudformation deploy --stack-name {names.stack} --template-file stack.yaml \\
  --s3-bucket "$work" --s3-prefix templates --capabilities CAPABILITY_IAM \\
  {_tags(names)}{overrides}
```
"""


#: Puts ours in the place of ours; the beginning of our names and the new ones are arguments.
_TELL = (
    "import json, sys; known = json.loads(sys.stdin.read() or '{}'); "
    "kept = [one for one in known.get('QueueConfigurations', []) if not one.get('Id', '').startswith(sys.argv[1])]; "
    "print(json.dumps({**known, 'QueueConfigurations': kept + json.loads(sys.argv[2])}))"
)


def _notices(names: Names, jobfile: JobFile) -> str:
    """Buckets of somebody else that send notifications to queues do so once the queues are there."""
    told = feeding.notices(jobfile, names)
    if not told:
        return ""
    lines = "".join(f'tell {bucket} "$(cat <<END\n{json.dumps(entries)}\nEND\n)"\n' for bucket, entries in told.items())
    return f"""\
## What buckets tell queues

These buckets send notifications of uploads to queues; what they tell others stays as it is.

```sh
tell() {{
  aws s3api put-bucket-notification-configuration --bucket "$1" --skip-destination-validation \\
    --notification-configuration "$(aws s3api get-bucket-notification-configuration --bucket "$1" \\
      | python3 -c "{_TELL}" {names.notice("")} "$2")"
}}
{lines}```
"""


def _queues(names: Names, jobfile: JobFile) -> str:
    """What is in the queues, and how many take it."""
    if not jobfile.queues:
        return ""
    rows = "\n".join(
        f"| {queue.name} | `{names.queue(queue.name)}` | `{names.queue(queue.dead_letters)}` |"
        f" {_workers(names, jobfile, queue)} |"
        for queue in jobfile.queues.values()
    )
    first = names.queue(next(iter(jobfile.queues)))
    return f"""\
## Queues

| queue | in SQS | its dead letters | service of its workers |
|---|---|---|---|
{rows}

```sh
queue=$(aws sqs get-queue-url --queue-name {first} --query QueueUrl --output text)
aws sqs get-queue-attributes --queue-url "$queue" --attribute-names All
```
"""


def _workers(names: Names, jobfile: JobFile, queue: Queue) -> str:
    taker = jobfile.taker(queue.name)
    return f"`{names.service(taker[0].name, queue.name)}`" if taker else ""


def _let_workers_go(names: Names, jobfile: JobFile) -> str:
    """Services would put a task in the place of each one that is stopped; nothing is told to queues that go."""
    lines = "".join(f"tell {bucket} '[]'\n" for bucket in feeding.notices(jobfile, names))
    takers = [(taker[0], queue) for queue in jobfile.queues if (taker := jobfile.taker(queue))]
    for job, queue in takers:
        service = f"--cluster {names.cluster} --service {names.service(job.name, queue)}"
        if waking.wakes(jobfile, jobfile.queues[queue]):
            lines += f"aws events disable-rule --name {names.rule(waking.look_id(queues.queue_id(queue)))}\n"
        lines += "aws application-autoscaling register-scalable-target --service-namespace ecs \\\n"
        lines += "  --scalable-dimension ecs:service:DesiredCount --min-capacity 0 --max-capacity 0 \\\n"
        lines += f"  --resource-id service/{names.cluster}/{names.service(job.name, queue)} > /dev/null\n"
        lines += f"aws ecs update-service {service} --desired-count 0 > /dev/null\n"
    return lines


def _stop_workers(names: Names, jobfile: JobFile) -> str:
    if not any(jobfile.taker(queue) for queue in jobfile.queues):
        return ""
    return f"for task in $tasks; do aws ecs stop-task --cluster {names.cluster} --task $task > /dev/null; done\n"


def _use(names: Names, jobfile: JobFile) -> Iterator[str]:
    job = next(iter(jobfile.jobs), None)
    if job is None:
        return
    logs, machine = names.log_group(job), names.machine(job)
    yield f"""\
## Start a run

`runs/JOB.json` is its input; the job sees what stands under `event`.

```sh
run=$(aws stepfunctions start-execution --state-machine-arn "$machines:{machine}" \\
  --input file://runs/{job}.json --query executionArn --output text)
```

## Look at runs and logs

```sh
aws stepfunctions describe-execution --execution-arn "$run" --query '[status, error, cause]' --output text
aws stepfunctions list-executions --state-machine-arn "$machines:{machine}" \\
  --query 'executions[].[startDate, status, name]' --output text
aws logs filter-log-events --log-group-name {logs} --query 'events[].message' --output text
```

## Stop a run

```sh
aws stepfunctions stop-execution --execution-arn "$run" --error Stopped --cause "stopped on request"
```

## Runs that failed, and running one again

Failed runs, and events that could not be delivered, are in the queue of dead letters for two weeks. Running one again
gives its input to its machine once more.

```sh
queue=$(aws sqs get-queue-url --queue-name {names.dead_letters} --query QueueUrl --output text)
aws sqs receive-message --queue-url "$queue" --max-number-of-messages 10
aws stepfunctions describe-execution --execution-arn "$run" --query input --output text > again.json
machine=$(aws stepfunctions describe-execution --execution-arn "$run" --query stateMachineArn --output text)
run=$(aws stepfunctions start-execution --state-machine-arn "$machine" --input file://again.json \\
  --query executionArn --output text)
```
"""


def _destroy(names: Names, jobfile: JobFile, environment: Environment) -> str:
    machines = " ".join(names.machine(job) for job in jobfile.jobs)
    own = [names.bucket(each, environment) for each in jobfile.buckets.values() if each.existing is None]
    stays = [f'aws s3 rb --force "s3://{bucket}"' for bucket in own]
    secrets = found.secret_names(jobfile, environment)
    stays += [f"aws secretsmanager delete-secret --secret-id {name}" for name in secrets]
    listed = "\n".join(f"    {line}" for line in stays)
    rest = f"\nWhat holds data stays. To remove that, too:\n\n{listed}\n" if stays else ""
    return f"""\
## Take it away

```sh
{_let_workers_go(names, jobfile)}tasks=$(aws ecs list-tasks --cluster {names.cluster} \\
  --query 'taskArns[]' --output text)
for machine in {machines}; do
  for one in $(aws stepfunctions list-executions --state-machine-arn "$machines:$machine" --status-filter RUNNING \\
      --query 'executions[].executionArn' --output text); do
    aws stepfunctions stop-execution --execution-arn "$one"
  done
done
{_stop_workers(names, jobfile)}[ -z "$tasks" ] || aws ecs wait tasks-stopped --cluster {names.cluster} --tasks $tasks
{_let_go(names) if capacity.on_instances(environment) else ""}aws cloudformation delete-stack --stack-name {names.stack}
aws cloudformation wait stack-delete-complete --stack-name {names.stack}
aws s3 rm --recursive "s3://$work"
aws cloudformation delete-stack --stack-name {names.base_stack}
aws cloudformation wait stack-delete-complete --stack-name {names.base_stack}
```
{rest}"""


def _let_go(names: Names) -> str:
    """Instances are protected as long as the group is there, and a group that has some cannot be deleted."""
    return f"""\
group=$(aws cloudformation describe-stack-resource --stack-name {names.stack} --logical-resource-id {GROUP} \\
  --query StackResourceDetail.PhysicalResourceId --output text)
aws autoscaling update-auto-scaling-group --auto-scaling-group-name "$group" --min-size 0 --max-size 0 \\
  --desired-capacity 0 --no-new-instances-protected-from-scale-in
instances() {{
  aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$group" \\
    --query 'AutoScalingGroups[].Instances[].InstanceId' --output text
}}
for instance in $(instances); do
  aws autoscaling set-instance-protection --auto-scaling-group-name "$group" --instance-ids "$instance" \\
    --no-protected-from-scale-in
done
while [ -n "$(instances)" ]; do sleep 10; done
"""
