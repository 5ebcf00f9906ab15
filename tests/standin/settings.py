"""What the harness tells its server; read once in the server's process."""

import os
from dataclasses import dataclass

PREFIX = "STANDIN_"


@dataclass(frozen=True)
class Settings:
    """One stand-in has a port and a Docker network of its own."""

    name: str
    port: int
    network: str
    bridge: str
    gateway: str

    @property
    def here(self) -> str:
        """The endpoint for programs on this machine."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def inside(self) -> str:
        """The endpoint for containers: on AWS none is needed, so the stand-in puts it into their environment."""
        return f"http://{self.gateway}:{self.port}"

    @property
    def registry(self) -> str:
        """The host of image names; the engine takes 127.0.0.0/8 without TLS."""
        return f"127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        return {f"{PREFIX}{field.upper()}": str(value) for field, value in vars(self).items()}

    @classmethod
    def read(cls) -> "Settings":
        def text(field):
            return os.environ[f"{PREFIX}{field.upper()}"]

        return cls(
            name=text("name"),
            port=int(text("port")),
            network=text("network"),
            bridge=text("bridge"),
            gateway=text("gateway"),
        )
