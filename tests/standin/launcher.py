"""The server: MiniStack with the corrections, on loopback and on the stand-in's own Docker network only."""

import asyncio
import importlib
import json
import sys

from tests.standin.settings import Settings

# each correction is a module's install(); what it corrects stands in its docstring
CORRECTIONS = (
    "permissions", "expressions", "machine", "tasks", "registry", "events", "deploys", "network", "adoption", "caller",
)  # fmt: skip


def main() -> None:
    settings = Settings.read()
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app

    from tests.standin import metadata

    for name in CORRECTIONS:
        importlib.import_module(f"tests.standin.{name}").install()
    metadata.serve(settings.bridge)
    config = Config()
    config.bind = [f"127.0.0.1:{settings.port}", f"{settings.gateway}:{settings.port}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    asyncio.run(serve(_with_levers(app.app), config))


def _with_levers(app):
    """`POST /_standin/LEVER` is for tests, and gives JSON; everything else is MiniStack's.

    `fire` lets them have a schedule's tick now, `asked` tells what IAM was asked about a principal.
    """

    async def answer(scope, receive, send):
        if scope["type"] != "http" or not scope["path"].startswith("/_standin/"):
            await app(scope, receive, send)
            return
        from tests.standin import caller, events

        levers = {"fire": events.fire, "asked": caller.asked}
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        lever = levers[scope["path"].rpartition("/")[2]]
        found = await asyncio.to_thread(lever, **json.loads(body))
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})

    return answer


if __name__ == "__main__":
    sys.exit(main())
