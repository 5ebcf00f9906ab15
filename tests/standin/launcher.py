"""The server: MiniStack with the corrections, on loopback and on the stand-in's own Docker network only."""

import asyncio
import importlib
import json
import sys

from tests.standin.settings import Settings

# each correction is a module's install(); what it corrects stands in its docstring
CORRECTIONS = (
    "permissions", "expressions", "machine", "tasks", "registry", "events", "deploys", "instances", "network", "adoption", "sharing",
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
    """`POST /_standin/fire` lets a test have a schedule's tick now; everything else is MiniStack's."""

    async def answer(scope, receive, send):
        if scope["type"] != "http" or not scope["path"].startswith("/_standin/"):
            await app(scope, receive, send)
            return
        from tests.standin import events

        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        found = await asyncio.to_thread(events.fire, **json.loads(body))
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    return answer


if __name__ == "__main__":
    sys.exit(main())
