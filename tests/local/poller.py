"""A worker that polls a queue by itself, as a program of its own, without boto3 because it has to start at once.

What a message's body says is how many seconds its work takes. It writes `begin` and `end` lines, and has no handler for
SIGTERM: whoever ends it in the midst of its work is found out by a `begin` without its `end`.
"""

import hashlib
import hmac
import http.client
import json
import os
import sys
import time
from urllib.parse import urlsplit

KEY, SECRET, REGION = (os.environ[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION"))
URL = os.environ["QUEUE_URL"]
RUN = os.environ["WHERRY_RUN_ID"]


def call(connection, action, **parameters):
    """One call of SQS's JSON protocol, signed as AWS has it (SigV4)."""
    body = json.dumps({"QueueUrl": URL, **parameters}).encode()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{now[:8]}/{REGION}/sqs/aws4_request"
    headers = {"host": urlsplit(URL).netloc, "x-amz-date": now, "x-amz-target": f"AmazonSQS.{action}"}
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    signed = ";".join(sorted(headers))
    request = f"POST\n/\n\n{lines}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={signed}, Signature={key.hex()}"
    )
    headers["content-type"] = "application/x-amz-json-1.0"
    answer, text = tried(connection, body, headers)
    if answer.status != 200:
        sys.exit(f"{action}: {answer.status} {text.decode()}")
    return json.loads(text)


def tried(connection, body, headers):
    """The answer; while nobody is there to answer it is asked for again, as SDKs do."""
    until = time.monotonic() + 20
    while True:
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > until:
                raise
            connection.close()
            time.sleep(0.1)


def note(*words):
    """A line of the common journal; lines of several workers do not mix."""
    with open("journal", "a", encoding="utf-8") as file:
        file.write(" ".join([*words, RUN, f"{time.time():.6f}"]) + "\n")


def main():
    """Receive, work, delete; for ever."""
    note("start", "-")
    connection = http.client.HTTPConnection(urlsplit(URL).netloc)
    while True:
        answer = call(connection, "ReceiveMessage", WaitTimeSeconds=20, MaxNumberOfMessages=1)
        for message in answer.get("Messages", []):
            note("begin", message["MessageId"])
            time.sleep(float(message["Body"]))
            note("end", message["MessageId"])
            call(connection, "DeleteMessage", ReceiptHandle=message["ReceiptHandle"])


main()
