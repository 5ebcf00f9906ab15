"""What a client is told in AWS's own terms."""

from __future__ import annotations


class AwsError(Exception):
    """An error answer: AWS's code, a sentence, the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
