"""What a client is told in AWS's own terms."""

from __future__ import annotations

from collections.abc import Sequence


class AwsError(Exception):
    """An error answer: AWS's code, a sentence, the HTTP status, and headers that belong to it."""

    def __init__(self, code: str, message: str, status: int = 400, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers
