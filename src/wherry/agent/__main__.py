"""What a task starts: `/opt/wherry/worker`; with `--check` it says whether it could work in this image."""

from __future__ import annotations

import os
import sys

from wherry.agent.settings import VARIABLE, read


def main() -> int:
    """Work until SIGTERM or the end of the shift; exit code 0 then, 2 for settings that are none."""
    if sys.argv[1:] == ["--check"]:
        return check()
    # what waits in these modules for their first use is no reason to fail later
    from wherry.agent.command import Bell, adopt_orphans
    from wherry.agent.telling import tell
    from wherry.agent.worker import Worker

    try:
        settings = read(os.environ[VARIABLE])
    except KeyError:
        tell(f"there is no {VARIABLE} in the environment: a task definition that wherry has made sets it")
        return 2
    except ValueError as error:
        tell(f"{VARIABLE} cannot be understood: {error}")
        return 2
    bell = Bell()
    adopt_orphans()
    Worker(settings, os.environ, bell).serve()
    return 0


def check() -> int:
    """Say what an image lacks, if anything, in one line; exit code 1 then."""
    import ssl

    from wherry.agent import worker

    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    has_roots = context.cert_store_stats()["x509_ca"] or (paths.capath and os.listdir(paths.capath))
    if not has_roots:
        os.write(1, b"no CA certificates (package `ca-certificates`)\n")
        return 1
    os.write(1, f"{worker.__name__} can work\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
