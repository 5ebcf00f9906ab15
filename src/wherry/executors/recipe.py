"""The Dockerfile of a folder: its own, or a sensible one for a Python project."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any, NamedTuple

from wherry.errors import UserError

#: Changes without the program: left out unless the Dockerfile names it, or a .dockerignore wants it (`!.git`).
_NEEDLESS = (".git", "wherry.yaml", "**/__pycache__")
#: What an image that we write the Dockerfile of can do without, unless a .dockerignore says it better.
_IGNORED = (
    *(".env", ".env.*", "**/.venv", "venv", "**/node_modules", "**/*.pyc"),
    *("**/.mypy_cache", "**/.pytest_cache", "**/.ruff_cache", "Dockerfile", ".dockerignore"),
)


class Recipe(NamedTuple):
    """How an image is made of a folder."""

    dockerfile: str
    #: What is left out, as the lines of a .dockerignore.
    ignore: tuple[str, ...]
    #: The Dockerfile is ours, not one of the folder.
    is_generated: bool


def recipe(folder: str) -> Recipe:
    """The recipe of a folder; raises UserError where there is nothing to go by."""
    own = _read(f"{folder}/Dockerfile")
    ignore = _read(f"{folder}/.dockerignore")
    if own is not None:
        needless = tuple(each for each in _NEEDLESS if each.rpartition("/")[2] not in own)
        return Recipe(own, (*needless, *(ignore or "").splitlines()), is_generated=False)
    lines = _IGNORED if ignore is None else tuple(ignore.splitlines())
    return Recipe(_dockerfile(folder), (*_NEEDLESS, *lines), is_generated=True)


def _dockerfile(folder: str) -> str:
    """Dependencies first, so that a change of the program alone does not install them again; then an ordinary user."""
    requirements = os.path.exists(f"{folder}/requirements.txt")
    project = _read(f"{folder}/pyproject.toml")
    if not requirements and project is None:
        raise UserError(
            f"no image can be made of `{folder}`: it has neither a Dockerfile nor a requirements.txt or pyproject.toml",
            hint="add one of them (an empty requirements.txt will do for plain Python), or name an `image`",
        )
    settings = _settings(project, folder)
    lines = [
        f"FROM python:{_version(folder, settings)}-slim",
        "ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore",
        "RUN useradd --create-home job && mkdir /app && chown job: /app",
        "WORKDIR /app",
    ]
    wanted = settings.get("project", {}).get("dependencies", [])
    if requirements:
        lines += ["COPY requirements.txt ./", "RUN pip install --no-cache-dir -r requirements.txt"]
    elif wanted:
        lines.append(f"RUN {json.dumps(['pip', 'install', '--no-cache-dir', *wanted])}")
    lines.append("COPY --chown=job . .")
    if "build-system" in settings:
        lines.append(f"RUN pip install --no-cache-dir {'--no-deps ' if requirements or wanted else ''}.")
    return "\n".join([*lines, "USER job", ""])


def _version(folder: str, settings: dict[str, Any]) -> str:
    """`.python-version`, else the oldest that the project supports, else the one that runs here."""
    asked = re.match(r"\s*(3\.\d+)", _read(f"{folder}/.python-version") or "")
    asked = asked or re.search(r"(?:>=|==|~=)\s*(3\.\d+)", settings.get("project", {}).get("requires-python", ""))
    return asked[1] if asked else f"{sys.version_info.major}.{sys.version_info.minor}"


def _settings(project: str | None, folder: str) -> dict[str, Any]:
    import tomllib  # for the few who have such a file

    try:
        return tomllib.loads(project or "")
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"`{folder}/pyproject.toml` is not TOML: {str(error).lower()}") from None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
