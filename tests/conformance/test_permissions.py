"""What a run may do is the same set everywhere: each operation of the gateway is tried in the run's own name."""

import contextlib
import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import wait_for

#: A run that tells its credentials and what its surroundings are called, and goes on until it has been asked.
TELL = """\
if [ -n "$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" ]; then
  wget -qO- "169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
else
  echo '{"AccessKeyId": "'"$AWS_ACCESS_KEY_ID"'", "SecretAccessKey": "'"$AWS_SECRET_ACCESS_KEY"'"}'
fi
echo
echo "$NAMES"
"""
NAMES = {
    "incoming": "${bucket.incoming}",
    "results": "${bucket.results}",
    "landing": "${bucket.landing}",
    "outbox": "${queue.outbox.url}",
    "inbox": "${queue.inbox.url}",
}
REST = """\
buckets: {incoming: {}, results: {}, landing: {}}
queues: {outbox: {}, inbox: {from: {bucket: landing, prefix: to/, suffix: .csv}}}
"""
DECLARED = """\
reads: [incoming], writes: [results], sends: [outbox], emits: true, secrets: {TOKEN: api-token},
    on: [{queue: inbox, mode: self-polling}]"""
REFERENCE = "/aws/reference/secretsmanager/api-token"
PART = {"Key": "x", "UploadId": "none"}
ENTRY = {"Source": "test", "DetailType": "nobody's", "Detail": "{}"}
HANDLE = {"ReceiptHandle": "none"}

#: What the declaring job may: service, operation, bucket or queue, further arguments.
ALLOWED = [
    ("s3", "get_object", "incoming", {"Key": "x"}),
    ("s3", "head_object", "incoming", {"Key": "x"}),
    ("s3", "get_object_attributes", "incoming", {"Key": "x", "ObjectAttributes": ["ETag"]}),
    ("s3", "get_object_tagging", "incoming", {"Key": "x"}),
    ("s3", "list_objects", "incoming", {}),
    ("s3", "list_objects_v2", "incoming", {}),
    ("s3", "head_bucket", "incoming", {}),
    ("s3", "get_bucket_location", "incoming", {}),
    ("s3", "put_object", "results", {"Key": "x"}),
    ("s3", "copy_object", "results", {"Key": "y", "CopySource": "{incoming}/x"}),
    ("s3", "create_multipart_upload", "results", {"Key": "x"}),
    ("s3", "upload_part", "results", {**PART, "PartNumber": 1}),
    ("s3", "list_parts", "results", PART),
    (
        "s3",
        "complete_multipart_upload",
        "results",
        {**PART, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "e"}]}},
    ),
    ("s3", "abort_multipart_upload", "results", PART),
    ("s3", "list_multipart_uploads", "results", {}),
    ("s3", "delete_object", "results", {"Key": "y"}),
    ("s3", "delete_objects", "results", {"Delete": {"Objects": [{"Key": "y"}]}}),
    ("s3", "get_bucket_location", "results", {}),
    ("s3", "get_object", "landing", {"Key": "to/x.csv"}),
    ("s3", "get_object_tagging", "landing", {"Key": "to/x.csv"}),
    ("s3", "list_objects_v2", "landing", {}),
    ("s3", "get_bucket_location", "landing", {}),
    ("sqs", "get_queue_url", "outbox", {}),
    ("sqs", "get_queue_attributes", "outbox", {"AttributeNames": ["All"]}),
    ("sqs", "send_message", "outbox", {"MessageBody": "x"}),
    ("sqs", "send_message_batch", "outbox", {"Entries": [{"Id": "1", "MessageBody": "x"}]}),
    ("sqs", "get_queue_url", "inbox", {}),
    ("sqs", "get_queue_attributes", "inbox", {"AttributeNames": ["All"]}),
    ("sqs", "receive_message", "inbox", {}),
    ("sqs", "delete_message", "inbox", HANDLE),
    ("sqs", "delete_message_batch", "inbox", {"Entries": [{"Id": "1", **HANDLE}]}),
    ("sqs", "change_message_visibility", "inbox", {**HANDLE, "VisibilityTimeout": 1}),
    ("secretsmanager", "get_secret_value", None, {"SecretId": "api-token"}),
    ("secretsmanager", "describe_secret", None, {"SecretId": "api-token"}),
    ("ssm", "get_parameter", None, {"Name": REFERENCE, "WithDecryption": True}),
    ("ssm", "get_parameters", None, {"Names": [REFERENCE], "WithDecryption": True}),
    ("events", "put_events", None, {"Entries": [ENTRY]}),
]
#: What it may not.
DENIED = [
    ("s3", "list_buckets", None, {}),
    ("s3", "create_bucket", "incoming", {}),
    ("s3", "get_bucket_versioning", "incoming", {}),
    ("s3", "put_object", "incoming", {"Key": "y"}),
    ("s3", "delete_object", "incoming", {"Key": "y"}),
    ("s3", "list_multipart_uploads", "incoming", {}),
    ("s3", "get_object", "results", {"Key": "x"}),
    ("s3", "get_object_attributes", "results", {"Key": "x", "ObjectAttributes": ["ETag"]}),
    ("s3", "get_object_tagging", "results", {"Key": "x"}),
    ("s3", "copy_object", "results", {"Key": "y", "CopySource": "{results}/x"}),
    ("s3", "list_objects_v2", "results", {}),
    ("s3", "head_bucket", "results", {}),
    ("s3", "get_object", "landing", {"Key": "to/x.txt"}),
    ("s3", "put_object", "landing", {"Key": "to/x.csv"}),
    ("sqs", "receive_message", "outbox", {}),
    ("sqs", "delete_message", "outbox", HANDLE),
    ("sqs", "send_message", "inbox", {"MessageBody": "x"}),
    ("sqs", "list_queues", None, {}),
    ("sqs", "create_queue", "outbox", {}),
    ("sqs", "delete_queue", "outbox", {}),
    ("sqs", "set_queue_attributes", "outbox", {"Attributes": {"DelaySeconds": "1"}}),
    ("sqs", "purge_queue", "inbox", {}),
    ("sqs", "list_queue_tags", "outbox", {}),
    ("sqs", "list_dead_letter_source_queues", "outbox", {}),
    ("sqs", "start_message_move_task", "outbox", {"SourceArn": "{arn}-dead-letters"}),
    ("secretsmanager", "get_secret_value", None, {"SecretId": "other-token"}),
    ("secretsmanager", "describe_secret", None, {"SecretId": "other-token"}),
    ("ssm", "get_parameter", None, {"Name": "api-token", "WithDecryption": True}),
    ("ssm", "get_parameters", None, {"Names": [REFERENCE.replace("api", "other")], "WithDecryption": True}),
    ("lambda", "invoke", None, {"FunctionName": "{function}"}),
]
#: What a backend asks otherwise than AWS: the stand-in asks for `ssm:GetParameters` on `*`, AWS on each parameter (Service
#: Authorization Reference, "AWS Systems Manager").
ASKED_OTHERWISE = {"aws": ["get_parameters"]}


class Asked:
    """One run, asked from outside with its own credentials."""

    def __init__(self, backend, job):
        self.backend = backend
        self._process = backend.begin(job)
        run = backend.running(job)

        def told():
            lines = backend.log(run).split("\n")
            return [json.loads(line) for line in lines if line.startswith("{")] if len(lines) > 2 else None

        keys, self.names = wait_for(told, "what the run tells")
        self.names |= {"function": backend.function("called")}
        self.keys = {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys.get("Token"),
        }
        self.clients = {}

    def close(self):
        """It may end."""
        self.backend.mark("asked")
        self._process.communicate()
        for client in self.clients.values():
            client.close()

    def _client(self, service):
        if service not in self.clients:
            theirs = self.backend.client(service).meta
            self.clients[service] = boto3.client(
                service,
                endpoint_url=theirs.endpoint_url,
                region_name=theirs.region_name,
                config=Config(retries={"max_attempts": 1}),
                **self.keys,
            )
        return self.clients[service]

    def may(self, service, operation, where, given):
        """Whether it is permitted, whatever else may be wrong with it."""
        client = self._client(service)
        names = dict(self.names)
        given = dict(given)
        if where and service == "s3":
            given["Bucket"] = names[where]
        elif where:
            account, name = names[where].split("/")[-2:]
            names["arn"] = f"arn:aws:sqs:{client.meta.region_name}:{account}:{name}"
            if operation in ("get_queue_url", "create_queue"):
                given["QueueName"] = name
            elif operation != "start_message_move_task":
                given["QueueUrl"] = names[where]
        for key, value in given.items():
            if isinstance(value, str) and "{" in value:
                given[key] = value.format(**names)
        try:
            getattr(client, operation)(**given)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            return not ("AccessDenied" in code or code == "403")
        return True


@pytest.mark.needs_engine
def test_a_run_may_do_the_same_everywhere(backend):
    """Each operation of the gateway: allowed to a run that declares what it takes, refused to all others."""
    tells = f"command: {json.dumps(TELL + backend.until('asked'))}, env: {{NAMES: {json.dumps(json.dumps(NAMES))}}}"
    backend.deploy(
        f'declares: {{{tells}, {DECLARED}}}\nbare: {{{tells}}}\ncalled: {{command: "true", on: [{{invoke: {{}}}}]}}',
        REST,
        secrets={"api-token": "s3cr3t", "other-token": "x"},
    )
    with contextlib.closing(Asked(backend, "declares")) as declares, contextlib.closing(Asked(backend, "bare")) as bare:
        refused = [call for call in ALLOWED if not declares.may(*call)]
        assert [call[1] for call in refused] == ASKED_OTHERWISE.get(backend.name, []), refused
        assert [call for call in DENIED if declares.may(*call)] == []
        assert [call for call in ALLOWED + DENIED if bare.may(*call)] == []
