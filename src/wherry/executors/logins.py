"""Who we are to registries: credentials that are given, else those that the person's `docker login` has kept."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wherry.executors.process import call
from wherry.executors.references import registry_of

#: The user's name with which a credential helper says that what it has is a token (docker-credential-helpers).
_TOKEN = "<token>"  # noqa: S105 - no password


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who we are to a registry."""

    username: str
    password: str


#: Without a login, whatever logins there are: as everybody.
NOBODY = Credentials(username="", password="")


@contextlib.contextmanager
def logged_in(repository: str, credentials: Credentials | None) -> Iterator[list[str]]:
    """Options of `docker` that make it use these credentials, which then stand in no command line."""
    if credentials is None:
        yield []
        return
    with tempfile.TemporaryDirectory() as folder:
        pair = base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
        with open(f"{folder}/config.json", "w", encoding="utf-8", opener=_private) as file:
            json.dump({"auths": {registry_of(repository): {"auth": pair}}}, file)
        yield ["--config", folder]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def header(credentials: Credentials | None) -> str:
    """Credentials as the Docker engine takes them, or nobody's (Docker Engine API, "Authentication")."""
    known = {}
    if credentials is not None and credentials.username == _TOKEN:
        known = {"identitytoken": credentials.password}
    elif credentials is not None and credentials.username:
        known = {"username": credentials.username, "password": credentials.password}
    return base64.urlsafe_b64encode(json.dumps(known).encode()).decode()


def stored(reference: str) -> Credentials | None:
    """What `docker login` has kept for the registry of an image: in its file, or in a credential helper."""
    registry = registry_of(reference)
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        with open(f"{folder}/config.json", encoding="utf-8") as file:
            config: dict[str, Any] = json.load(file)
        helper = config.get("credHelpers", {}).get(registry) or config.get("credsStore")
        return _asked(helper, registry) if helper else _kept(config["auths"][registry])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _kept(entry: dict[str, str]) -> Credentials:
    if entry.get("identitytoken"):
        return Credentials(username=_TOKEN, password=entry["identitytoken"])
    username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return Credentials(username=username, password=password)


def _asked(helper: str, registry: str) -> Credentials | None:
    """What the program `docker-credential-HELPER` has; its protocol is in docker/docker-credential-helpers."""
    with tempfile.TemporaryFile() as asked:
        asked.write(registry.encode())
        asked.seek(0)
        code, said = call([f"docker-credential-{helper}", "get"], stdin=asked)
    if code:
        return None
    found = json.loads(said[said.find(b"{") : said.rfind(b"}") + 1])  # a warning may stand around it
    return Credentials(username=found["Username"], password=found["Secret"])
