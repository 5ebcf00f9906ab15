"""What is asked of the Docker engine for an attempt, and what its answers mean. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wherry.executors import Ended, Key, Launch, Part
from wherry.model import Ending, Outcome

#: Which container is whose: found again after a restart by these.
HOME, RUN, ATTEMPT, OWNER, HELPER = (f"wherry.{name}" for name in ("home", "run", "attempt", "owner", "helper"))

#: The identity of an attempt's process begins so.
PREFIX = "docker:"
#: How the file ends that says that an engine's attempts are containers.
MARK = ".docker"

#: Starts the command with one stream instead of two: by two pipes the engine does not know which was written to first.
#: What it cannot start it says in words that are recognized, and that no other program says.
_LAUNCHER = """\
command -v "$1" >/dev/null || { echo "wherry: there is no program \\`$1\\` in the image"; exit 127; }
exec "$@" 2>&1"""
_SAID = "wherry: there is no program "
#: What the engine's init says in an image without a shell.
_INIT_SAID = "[FATAL tini ("
_SHELL = ("/bin/sh", "-c")


def mark_of(folder: str, owner: str) -> str:
    """The file that says that an engine's attempts are containers, also one whose container nobody has noted yet."""
    return os.path.join(folder, owner + MARK)


def began(process: str, *, folder: str, owner: str) -> bool:
    """True when an attempt of an engine is a container."""
    return process.startswith(PREFIX) or (not process and os.path.exists(mark_of(folder, owner)))


def name_of(key: Key, helper: str = "") -> str:
    """A container's name: one attempt cannot come to have two."""
    return f"wherry-{key.run_id}-{key.attempt}{f'-{helper}' if helper else ''}"


def labels_of(key: Key, *, home: str, owner: str, helper: str = "") -> dict[str, str]:
    """What a container says of itself."""
    labels = {HOME: home, RUN: key.run_id, ATTEMPT: str(key.attempt), OWNER: owner}
    return labels | ({HELPER: helper} if helper else {})


def key_of(labels: Mapping[str, str]) -> Key:
    """Whose a container is."""
    return Key(labels[RUN], int(labels[ATTEMPT]))


def words_of(part: Part, image: Mapping[str, Any]) -> list[str]:
    """The whole command: as `docker run IMAGE COMMAND` has it; a shell's text is no argument of an image's program."""
    config = image.get("Config") or {}
    entrypoint: list[str] = config.get("Entrypoint") or []
    if part.is_whole and part.command:
        return list(part.command)
    return [*entrypoint, *(part.command or config.get("Cmd") or ())]


def creation(
    part: Part, launch: Launch, words: Sequence[str], image: str, labels: Mapping[str, str], *, has_shell: bool
) -> dict[str, Any]:
    """The body of `POST /containers/create`."""
    words = [*_SHELL, _LAUNCHER, "sh", *words] if has_shell else list(words)
    host: dict[str, Any] = {
        # Process 1 would ignore SIGTERM and leave zombies: an init is process 1, and the job is an ordinary process.
        "Init": True,
        # Ours alone to read, whatever the engine does by default, and never rotated: nothing may be lost.
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": "bridge",
        "Mounts": [
            {"Type": "bind", "Source": here, "Target": inside, "ReadOnly": True} for inside, here in part.files.items()
        ],
    }
    if part is launch:
        if launch.memory is not None:
            host |= {"Memory": launch.memory, "MemorySwap": launch.memory}
        if launch.cpus is not None:
            host["NanoCpus"] = round(launch.cpus * 1e9)
    return {
        "Image": image,
        # Both: an empty entrypoint alone would leave the image's own.
        "Entrypoint": words[:1],
        "Cmd": words[1:],
        # The init passes a signal to all of the command's processes, as it is with processes of this machine.
        "Env": [f"{name}={value}" for name, value in ({"TINI_KILL_PROCESS_GROUP": "1"} | dict(part.env)).items()],
        "Labels": dict(labels),
        "HostConfig": host,
    }


def ended(key: Key, inspected: Mapping[str, Any], beginning: bytes) -> Ended:
    """An attempt's end, from what the engine knows of its container, and the beginning of its log."""
    state, memory = inspected["State"], inspected["HostConfig"]["Memory"]
    code: int = state["ExitCode"]
    at = _moment(state["FinishedAt"])
    if state["OOMKilled"] and code:
        size = f" ({memory >> 20} MB)" if memory else ""
        reason = f"it needed more than its `memory`{size}"
        return Ended(key, Outcome(ending=Ending.OUT_OF_MEMORY, exit_code=code, reason=reason), at)
    said = beginning.decode(errors="replace").strip()
    if code in (126, 127) and said.startswith((_SAID, _INIT_SAID)) and "\n" not in said:
        reason = said.removeprefix("wherry: ") if said.startswith(_SAID) else said.partition("] ")[2]
        return Ended(key, Outcome(ending=Ending.COULD_NOT_START, reason=reason), at)
    return Ended(key, Outcome(ending=Ending.EXITED, exit_code=code), at)


def _moment(text: str) -> float | None:
    """Seconds since 1970; None for the year 1, which is how the engine says never."""
    return None if text.startswith("0001") else datetime.fromisoformat(text).timestamp()
