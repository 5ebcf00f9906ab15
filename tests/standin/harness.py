"""Starting and stopping a stand-in, and what tests ask of it."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import boto3
import botocore.config
import docker

from tests.standin.metadata_address import ADDRESS
from tests.standin.settings import Settings

_ROOT = Path(__file__).parents[2]
_REGION = "eu-west-1"
_LABEL = "wherry-standin"


class Account:
    """One AWS account, fresh: its administrator's credentials and clients."""

    def __init__(self, standin: "StandIn", number: str, region: str = _REGION) -> None:
        self.standin, self.id, self.region = standin, number, region

    @property
    def environment(self) -> dict[str, str]:
        """For child processes: the product, the AWS CLI."""
        return {
            "AWS_ENDPOINT_URL": self.standin.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.id,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, **keys):
        """A boto3 client; other credentials than the administrator's by keyword."""
        given = {"aws_access_key_id": self.id, "aws_secret_access_key": "test", **keys}
        return boto3.client(
            service,
            region_name=self.region,
            endpoint_url=self.standin.endpoint_url,
            config=botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            **given,
        )

    def fire(self, schedule: str, group: str = "default", at: str | None = None) -> None:
        """Have a schedule fire now (scheduled time `at`, ISO, default now): waiting a day is too slow."""
        self.standin.lever("fire", account=self.id, region=self.region, group=group, name=schedule, at=at)

    def age(self, hours: float) -> None:
        """All schedules and tasks were made so much earlier."""
        self.standin.lever("age", account=self.id, region=self.region, hours=hours)

    def quota(self, code: str, value: float) -> None:
        """Have Fargate's quota of that code be so many vCPUs; new accounts have 6."""
        self.standin.lever("quota", account=self.id, code=code, value=value)

    def asked(self, access_key: str) -> list[tuple[str, str, dict]]:
        """What IAM was asked about a principal, by its key: action, resource and condition keys."""
        return [tuple(each) for each in self.standin.lever("asked", access_key=access_key)]


class StandIn:
    """A running stand-in; `with StandIn() as standin`."""

    def __init__(self) -> None:
        self.name = f"standin-{os.getpid()}-{secrets.token_hex(2)}"
        self.folder = Path(tempfile.mkdtemp(prefix="wherry-standin-"))
        self.log = self.folder / "server.log"
        subprocess.run([_ROOT / "scripts" / "docker-engine"], check=True, stdout=subprocess.DEVNULL, timeout=500)
        self._engine = docker.from_env(timeout=30)
        self._ends = contextlib.ExitStack()
        self._ends.callback(self._engine.close)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._ends.close()

    @property
    def endpoint_url(self) -> str:
        return self.settings.here

    @property
    def registry(self) -> str:
        return self.settings.registry

    def account(self) -> Account:
        """A new account: one per 12-digit access key."""
        return Account(self, f"{secrets.randbelow(9 * 10**11) + 10**11}")

    def lever(self, lever: str, /, **arguments):
        request = urllib.request.Request(
            f"{self.endpoint_url}/_standin/{lever}", data=json.dumps(arguments).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def _start(self) -> None:
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        _sweep(self._engine)
        bridge = f"wh{secrets.token_hex(4)}"
        network = self._engine.networks.create(
            self.name, driver="bridge", labels={_LABEL: self.name}, options={"com.docker.network.bridge.name": bridge}
        )
        self._ends.callback(network.remove)
        self._ends.callback(self._remove_containers)
        network.reload()
        gateway = network.attrs["IPAM"]["Config"][0]["Gateway"]
        subprocess.run(["ip", "addr", "add", f"{ADDRESS}/32", "dev", bridge], check=True)
        self.settings = Settings(self.name, _free_port(), self.name, bridge, gateway)
        self._start_server()

    def _start_server(self) -> None:
        environment = {
            "AUTH": "true",
            "GATEWAY_PORT": str(self.settings.port),
            "MINISTACK_HOST": "localhost",
            "MINISTACK_REGION": _REGION,
            "IOT_MTLS_PORT": "0",
            "S3_PERSIST": "0",
            "PERSIST_STATE": "0",
            "LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
            "MINISTACK_DOCKER_TIMEOUT": "150",
        }
        server = self._process("server", [sys.executable, "-m", "tests.standin.launcher"], environment)
        deadline = time.monotonic() + 60
        while not self._answers():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the stand-in did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)

    def _process(self, name: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen:
        base = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        log = self._ends.enter_context((self.folder / f"{name}.log").open("wb"))
        started = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],  # they do not outlive us, however we end
            cwd=_ROOT,
            env={**base, **self.settings.environment(), **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._ends.callback(_end, started)
        return started

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_ministack/health", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _remove_containers(self) -> None:
        _remove_containers(self._engine, self.name)


def _remove_containers(engine, name: str) -> None:
    chosen = {"label": f"{_LABEL}={name}"}
    for container in engine.containers.list(all=True, filters=chosen):
        with contextlib.suppress(docker.errors.APIError):
            container.remove(v=True, force=True)
    for volume in engine.volumes.list(filters=chosen):
        with contextlib.suppress(docker.errors.APIError):
            volume.remove(force=True)


def _sweep(engine) -> None:
    """Remove what stand-ins left behind that were killed."""
    for network in engine.networks.list(filters={"label": _LABEL}):
        if not os.path.exists(f"/proc/{network.name.split('-')[1]}"):
            _remove_containers(engine, network.name)
            with contextlib.suppress(docker.errors.APIError):
                network.remove()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
