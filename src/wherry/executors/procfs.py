"""What `/proc` says of processes. The keeper uses it too, so that it imports the standard library alone."""

from __future__ import annotations

import contextlib
import os

PAGE = os.sysconf("SC_PAGE_SIZE")


def stat_fields(pid: int) -> list[bytes]:
    """`/proc/PID/stat` behind the name, which may hold spaces: state, ppid, pgrp, session, ...; raises OSError."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def start_time(pid: int) -> int:
    """When a process began, in ticks since the boot; 0 when it cannot be read."""
    try:
        return int(stat_fields(pid)[19])
    except (OSError, IndexError):
        return 0


def identify(pid: int) -> str:
    """`pid:start time`: a pid alone may come to mean another process later."""
    return f"{pid}:{start_time(pid)}"


def pids() -> list[int]:
    """All processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children_of(parent: int) -> list[int]:
    """The processes whose parent this is."""
    found = []
    for pid in pids():
        with contextlib.suppress(OSError, IndexError):
            if int(stat_fields(pid)[1]) == parent:
                found.append(pid)
    return found


def sessions() -> list[tuple[int, int, int]]:
    """(pid, session, resident pages) of each process."""
    found = []
    for pid in pids():
        with contextlib.suppress(OSError, IndexError):
            fields = stat_fields(pid)
            found.append((pid, int(fields[3]), int(fields[21])))
    return found


def marked(pid: int) -> str:
    """The key of the attempt that a process descends from, by its environment; empty when it does not say."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = dict(entry.partition(b"=")[::2] for entry in file.read().split(b"\0"))
    except OSError:
        return ""
    run, attempt = variables.get(b"WHERRY_RUN_ID"), variables.get(b"WHERRY_ATTEMPT")
    return f"{run.decode(errors='replace')}.{attempt.decode(errors='replace')}" if run and attempt else ""


def proportional_size(pid: int) -> int:
    """What a process takes of the memory, its part of what it shares included (PSS), in bytes."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def peak_size(pid: int) -> int:
    """The most memory that a process has taken since it became its program, in bytes; 0 when it cannot be read."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def oom_kills() -> int:
    """How many processes the system has killed because its memory ran out, since it was booted."""
    with contextlib.suppress(OSError), open("/proc/vmstat", "rb") as file:
        for line in file:
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0
