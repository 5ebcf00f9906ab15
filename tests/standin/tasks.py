"""ECS tasks as Fargate and EC2 run them: one worker a task starts its containers, watches them and ends them.

MiniStack starts containers side by side, each in a network of its own, keeps no order, no secrets' permissions, no stop
signals. Sources: ecs.md (states, reasons, exit codes), LocalStack's recorded task descriptions.
"""

import json
import time
from datetime import datetime

import docker.errors
from botocore.exceptions import ClientError
from ministack.core.concurrency import resource_lock
from ministack.core.responses import (
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    now_iso,
    request_scope,
)
from ministack.services import ecs

from tests.standin import awslogs, images, metadata, roles, services
from tests.standin.settings import Settings

PAUSE_IMAGE = "wherry-busybox:1"
_TICK = 0.05


class NotStarted(Exception):
    """The task's StoppedReason, with StopCode TaskFailedToStart."""


class Task:
    """The life of one task."""

    def __init__(self, record: dict, definition: dict, overrides: list[dict]) -> None:
        self.record, self.definition = record, definition
        self.overrides = {override["name"]: override for override in overrides}
        self.arn = record["taskArn"]
        self.id = self.arn.rsplit("/", 1)[-1]
        self.region, self.account = get_region(), get_account_id()
        self.settings = Settings.read()
        self.docker = ecs._get_docker()
        self.wanted = {d["name"]: d for d in definition["containerDefinitions"]}
        self.shown = {c["name"]: c for c in record["containers"]}
        self.started: dict[str, docker.models.containers.Container] = {}
        self.logs: list[awslogs.Stream] = []
        self.tokens: list[str] = []
        self.network = ""
        self.pause = None
        self.volumes: dict[str, str] = {}

    # the whole life

    def live(self) -> None:
        try:
            self._prepare()
            self._watch()
        except NotStarted as error:
            self._end("TaskFailedToStart", str(error))
        except Exception as error:
            self._end("TaskFailedToStart", f"StandIn.Bug: {error!r}")
            raise
        finally:
            self._clean()

    def _prepare(self) -> None:
        ecs._mark_task_pending(self.arn, self.record)
        ecs._mark_task_activating(self.arn, self.record)
        role = self._role("executionRoleArn")
        self.execution_keys = self._session(role) if role else None
        for name, wanted in self.wanted.items():
            self._pull(wanted, self.shown[name])
        secrets = {name: self._secrets(wanted) for name, wanted in self.wanted.items()}
        for name, wanted in self.wanted.items():
            stream = awslogs.Stream.of(wanted, self.id, self._keys_for_logs, self.region)
            if stream:
                self._open(stream)
            wanted["_stream"], wanted["_secrets"] = stream, secrets[name]
        for volume in self.definition.get("volumes", []):
            self.volumes[volume["name"]] = self.docker.volumes.create(labels=self._labels()).name
        # only in `awsvpc` mode do containers have a network in common (Developer Guide, "Task networking")
        if len(self.wanted) > 1 and self.definition.get("networkMode") == "awsvpc":
            self.pause = self.docker.containers.run(
                PAUSE_IMAGE, ["sleep", "2147483647"], detach=True, network=self.settings.network, labels=self._labels()
            )

    def _keys_for_logs(self):
        if self.execution_keys is None:
            raise NotStarted("ResourceInitializationError: the task definition has awslogs but no execution role")
        return self.execution_keys

    def _open(self, stream) -> None:
        try:
            stream.open()
        except ClientError as error:
            raise NotStarted(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: {_words(error)} : exit status 1"
            ) from error

    def _watch(self) -> None:
        running = False
        while True:
            self._look()
            if self.record.get("_stop"):
                reason, code = self.record["_stop"]
                self._halt()
                self._end(code, reason)
                return
            exited = [name for name in self.started if self.shown[name]["lastStatus"] == "STOPPED"]
            if any(self.wanted[name].get("essential", True) for name in exited):
                self._halt()
                self._end("EssentialContainerExited", "Essential container in task exited")
                return
            self._start_ready(exited)
            if not running and len(self.started) == len(self.wanted):
                running = ecs._mark_task_running(self.arn, self.record)
                services.began(self.record, self.account, self.region)
            time.sleep(_TICK)

    def _start_ready(self, exited: list[str]) -> None:
        for name, wanted in self.wanted.items():
            if name in self.started:
                continue
            conditions = [(d["containerName"], d["condition"]) for d in wanted.get("dependsOn", [])]
            broken = [n for n, c in conditions if c == "SUCCESS" and n in exited and self.shown[n]["exitCode"] != 0]
            if broken:
                raise NotStarted(f"TaskDependencyError: dependency {broken[0]} did not exit successfully")
            if all(self._satisfied(other, condition, exited) for other, condition in conditions):
                self._start(name, wanted)

    def _satisfied(self, name: str, condition: str, exited: list[str]) -> bool:
        if condition == "START":
            return name in self.started
        if condition == "HEALTHY":
            return name in self.started and self.shown[name].get("healthStatus") == "HEALTHY"
        return name in exited

    # one container

    def _start(self, name: str, wanted: dict) -> None:
        override = self.overrides.get(name, {})
        shared = {"network_mode": f"container:{self.pause.id}"} if self.pause else {"network": self.settings.network}
        limit = override.get("memory") or wanted.get("memory") or self.definition.get("memory")
        mounts = [
            f"{self.volumes[m['sourceVolume']]}:{m['containerPath']}:{'ro' if m.get('readOnly') else 'rw'}"
            for m in wanted.get("mountPoints", [])
        ]
        try:
            container = self.docker.containers.create(
                wanted["_image"],
                command=override.get("command", wanted.get("command")) or None,
                entrypoint=wanted.get("entryPoint") or None,
                environment=self._environment(wanted, override),
                working_dir=wanted.get("workingDirectory"),
                user=wanted.get("user"),
                read_only=wanted.get("readonlyRootFilesystem", False),
                init=wanted.get("linuxParameters", {}).get("initProcessEnabled", False),
                mem_limit=f"{limit}m" if limit else None,
                memswap_limit=f"{limit}m" if limit else None,
                healthcheck=_healthcheck(wanted.get("healthCheck")),
                volumes=mounts,
                labels=self._labels(name),
                name=f"{self.settings.name}-{self.id[:12]}-{name}",
                **shared,
            )
            self.started[name] = container
            container.start()
        except docker.errors.APIError as error:
            self.shown[name]["reason"] = f"CannotStartContainerError: {error.explanation}"
            self.shown[name]["lastStatus"] = "STOPPED"
            raise NotStarted(f"CannotStartContainerError: {error.explanation}") from error
        shown = self.shown[name]
        shown |= {"lastStatus": "RUNNING", "runtimeId": container.id[:12]}
        ecs.ecs_metadata.set_docker_id(self.tokens[-1], container.id)
        if wanted["_stream"]:
            wanted["_stream"].follow(container)
            self.logs.append(wanted["_stream"])

    def _environment(self, wanted: dict, override: dict) -> dict[str, str]:
        environment = {pair["name"]: pair["value"] for pair in wanted.get("environment", [])}
        environment |= wanted["_secrets"]
        environment |= {pair["name"]: pair["value"] for pair in override.get("environment", [])}
        theirs: dict[str, str] = {}
        launch = self.record.get("launchType", "FARGATE")
        self.tokens.append(
            ecs._register_metadata(
                self.arn, self.record["clusterArn"], self.definition, wanted, launch, theirs, False, None
            )
        )
        if wanted["_stream"]:
            # ecs.md, "In-container endpoints": LogOptions of the container
            told = {"awslogs-group": wanted["_stream"].group, "awslogs-stream": wanted["_stream"].name}
            ecs.ecs_metadata._TOKEN_TO_CONTAINER[self.tokens[-1]]["LogOptions"] = told
        environment |= {
            "AWS_ENDPOINT_URL": self.settings.inside,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EXECUTION_ENV": f"AWS_ECS_{launch}",
            "ECS_CONTAINER_METADATA_URI_V4": f"http://{metadata.ADDRESS}/v4/{self.tokens[-1]}",
            "ECS_AGENT_URI": f"http://{metadata.ADDRESS}/api/{self.tokens[-1]}",
        }
        role = self._role("taskRoleArn")
        if role:
            source = f"arn:aws:ecs:{self.region}:{self.account}:task/{self.id}"
            environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = metadata.offer(self.id, role, source)
        return environment

    def _pull(self, wanted: dict, shown: dict) -> None:
        try:
            wanted["_image"], digest = images.pull(self.docker, wanted["image"], self.region, self.execution_keys)
        except images.NotPulled as error:
            self.record["pullStoppedAt"] = now_iso()
            raise NotStarted(str(error)) from error
        if digest:
            shown["imageDigest"] = digest

    def _secrets(self, wanted: dict) -> dict[str, str]:
        """Secrets Manager ARNs (`arn[:key:stage:version]`) and SSM parameters, read in the execution role."""
        found = {}
        for secret in wanted.get("secrets", []):
            try:
                found[secret["name"]] = self._secret(secret["valueFrom"])
            except (ClientError, KeyError, ValueError) as error:
                kind = "asm" if "secretsmanager" in secret["valueFrom"] else "ssm"
                raise NotStarted(
                    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
                    f"retrieval failed: unable to retrieve secret from {kind}: service call has been retried 1 "
                    f"time(s): failed to fetch secret {secret['valueFrom']} from "
                    f"{'secrets manager' if kind == 'asm' else 'ssm'}: {_words(error)}"
                ) from error
        return found

    def _secret(self, reference: str) -> str:
        if self.execution_keys is None:
            raise ValueError("no execution role")
        if ":secretsmanager:" not in reference:
            name = reference.split(":parameter", 1)[-1]
            client = roles.client("ssm", self.region, self.execution_keys)
            return client.get_parameters(Names=[name], WithDecryption=True)["Parameters"][0]["Value"]
        arn, *rest = reference.split(":")[:7], *reference.split(":")[7:]
        client = roles.client("secretsmanager", self.region, self.execution_keys)
        text = client.get_secret_value(SecretId=":".join(arn))["SecretString"]
        return str(json.loads(text)[rest[0]]) if rest and rest[0] else text

    def _role(self, which: str) -> str:
        return self.record["overrides"].get(which) or self.definition.get(which) or ""

    def _session(self, role: str) -> dict[str, str]:
        source = f"arn:aws:ecs:{self.region}:{self.account}:task/{self.id}"
        try:
            return roles.credentials(role, "ecs-tasks.amazonaws.com", self.id, source)
        except roles.NotAssumed as error:
            raise NotStarted(f"ECS was unable to assume the role '{role}' that was provided for this task.") from error

    # ends

    def _look(self) -> None:
        """Take over what Docker says of each container."""
        for name, container in self.started.items():
            shown = self.shown[name]
            if shown["lastStatus"] == "STOPPED":
                continue
            container.reload()
            state = container.attrs["State"]
            health = state.get("Health", {}).get("Status", "")
            if health:
                shown["healthStatus"] = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}.get(health, "UNKNOWN")
            if state["Status"] in ("exited", "dead"):
                shown |= {"lastStatus": "STOPPED", "exitCode": state["ExitCode"]}
                if state["OOMKilled"] and state["ExitCode"] == 137:
                    shown["reason"] = "OutOfMemoryError: Container killed due to memory usage"

    def _halt(self) -> None:
        """SIGTERM, and SIGKILL after stopTimeout (30 s), in the reverse of the order of starting."""
        with resource_lock("ecs-task", self.arn):
            self.record["desiredStatus"] = "STOPPED"
            self.record["stoppingAt"] = self.record.get("stoppingAt") or now_iso()
        for name in reversed(self.started):
            if self.shown[name]["lastStatus"] != "STOPPED":
                self.started[name].stop(timeout=int(self.wanted[name].get("stopTimeout", 30)))
        self._look()

    def _end(self, code: str, reason: str) -> None:
        if code == "TaskFailedToStart":
            for container in self.started.values():
                container.kill() if container.status == "running" else None
        for stream in self.logs:
            stream.finish()
        with resource_lock("ecs-task", self.arn):
            record, now = self.record, now_iso()
            record |= {"desiredStatus": "STOPPED", "stopCode": code, "stoppedReason": reason}
            record |= {"stoppingAt": record.get("stoppingAt") or now, "executionStoppedAt": now, "stoppedAt": now}
            record["version"] += 3
            for container in record["containers"]:
                container["lastStatus"] = "STOPPED"
            record["lastStatus"] = "STOPPED"
        ecs._recount_cluster(ecs._cluster_name_from_arn(record["clusterArn"]))
        services.ended(record)

    def _clean(self) -> None:
        metadata.withdraw(self.id)
        for token in self.tokens:
            ecs.ecs_metadata.unregister_token(token)
        for container in [*self.started.values(), self.pause]:
            if container is not None:
                _quietly(container.remove, v=True, force=True)
        for volume in self.volumes.values():
            _quietly(self.docker.volumes.get(volume).remove, force=True)

    def _labels(self, name: str = "") -> dict[str, str]:
        labels = {"wherry-standin": self.settings.name, "com.amazonaws.ecs.task-arn": self.arn}
        return {**labels, "com.amazonaws.ecs.container-name": name} if name else labels


def _healthcheck(wanted: dict | None) -> dict | None:
    if not wanted:
        return None
    times = {"interval": 30, "timeout": 5, "startPeriod": 0}
    names = {"interval": "interval", "timeout": "timeout", "startPeriod": "start_period"}
    check = {names[k]: int(wanted.get(k, default) * 1e9) for k, default in times.items()}
    return {"test": wanted["command"], "retries": wanted.get("retries", 3), **check}


def _words(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return str(error)


def _quietly(act, **how) -> None:
    try:
        act(**how)
    except docker.errors.APIError as error:
        print(f"left behind: {error}", flush=True)


# MiniStack's doors

_their_run = ecs._run_task


def install() -> None:
    ecs._run_task_worker, ecs._stop_task, ecs._run_task = _work, _stop, _run
    ecs._ACTION_MAP |= {"StopTask": _stop, "RunTask": _run}
    ecs._ts_to_epoch = _epoch
    ecs._maybe_mark_stopped = lambda task, docker_client=None: None
    ecs._get_docker().ping()


def _epoch(value):
    """DescribeTasks counts milliseconds: `"startedAt": 1557134014.595` (CLI reference, describe-tasks), not seconds."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return value


def _work(task, definition, overrides, _docker, account, region) -> None:
    with request_scope(account, region):
        Task(task, definition, overrides).live()


def _stop(data):
    """StopTask answers at once; the containers get SIGTERM, then SIGKILL after stopTimeout (API)."""
    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    task = ecs._resolve_task(data.get("task", ""), cluster)
    if task is None:
        return _refused("The referenced task was not found.")
    with resource_lock("ecs-task", task["taskArn"]):
        of_service = services.reason_of(task, data.get("reason", ""))
        if of_service and services.is_protected(task):
            return json_response({"task": ecs._sanitize(task)})
        if task["lastStatus"] != "STOPPED" and not task.get("_stop"):
            task["_stop"] = of_service or (data.get("reason", "Task stopped by user"), "UserInitiated")
            task |= {"desiredStatus": "STOPPED", "stoppingAt": now_iso()}
    return json_response({"task": ecs._sanitize(task)})


def _run(data):
    """RunTask: the cluster is there; overrides hold 8192 characters at most, JSON syntax counted (ecs.md)."""
    if ecs._resolve_cluster_name(data.get("cluster", "default")) not in ecs._clusters:
        return error_response_json("ClusterNotFoundException", "Cluster not found.", 400)
    overrides = data.get("overrides", {})
    if len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False)) > 8192:
        return _refused("Container Overrides length must be at most 8192")
    definition = ecs._task_defs.get(ecs._resolve_td_key(data.get("taskDefinition", "")))
    if definition is None:
        return _their_run(data)
    known = {d["name"] for d in definition["containerDefinitions"]}
    for override in overrides.get("containerOverrides", []):
        if override.get("name") not in known:
            return _refused(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )
    refused = _placed(data, definition)
    if refused:
        return _refused(refused)
    data.setdefault("group", f"family:{definition['family']}")
    return _their_run(data)


def _placed(data, definition) -> str:
    """What RunTask refuses of network and provider (ECS Developer Guide, "API failures"; the words are partly ours)."""
    cluster = ecs._clusters[ecs._resolve_cluster_name(data.get("cluster", "default"))]
    for provider in (each["capacityProvider"] for each in data.get("capacityProviderStrategy") or ()):
        if provider not in cluster["capacityProviders"]:
            return f"The specified capacity provider '{provider}' was not found."
    launch = ecs._task_capacity(data.get("launchType"), data.get("capacityProviderStrategy"))[0]
    if launch not in (definition.get("requiresCompatibilities") or [launch]):
        return f"Task definition does not support launch_type {launch}."
    network = data.get("networkConfiguration")
    if definition.get("networkMode") == "awsvpc":
        if network is None:
            return "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        if launch == "EC2" and network["awsvpcConfiguration"].get("assignPublicIp") == "ENABLED":
            return "Assign public IP is not supported for this launch type."
    elif network is not None:
        return "Network Configuration is not valid for the given networkMode of this task definition."
    return ""


def _refused(message: str):
    return error_response_json("InvalidParameterException", message, 400)
