"""What jobs are given, and what they may do with it."""

import json

import pytest

#: One request to S3, signed by hand: no image of the tests has an AWS SDK, and every environment speaks the same.
S3 = r"""
import datetime, hashlib, hmac, json, os, sys, urllib.error, urllib.parse, urllib.request
env = os.environ
if "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in env:
    url = "http://169.254.170.2" + env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    given = json.load(urllib.request.urlopen(url))
    key, secret, token = given["AccessKeyId"], given["SecretAccessKey"], given["Token"]
else:
    key, secret, token = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN", "")
region = env.get("AWS_REGION") or env["AWS_DEFAULT_REGION"]
def ask(method, bucket, name, body=b""):
    base = urllib.parse.urlsplit(env["AWS_ENDPOINT_URL"])
    path = urllib.parse.quote("/" + bucket + "/" + name)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": base.netloc, "x-amz-content-sha256": digest, "x-amz-date": now}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = [method, path, "", *(n + ":" + headers[n] for n in sorted(headers)), "", names, digest]
    scope = now[:8] + "/" + region + "/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    sign = lambda k, t: hmac.new(k, t.encode(), "sha256").digest()
    k = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        k = sign(k, part)
    headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        key, scope, names, sign(k, text).hex())
    request = urllib.request.Request(
        base.scheme + "://" + base.netloc + path, data=body or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
"""


def script(text):
    """A command that runs a Python script which can `ask` S3."""
    return json.dumps(["python3", "-c", S3.replace("${", "$${") + text])


HOSTILE = [
    """it's "quoted" & <odd> {% $event %} {{x}} <aws.events.event.json> 100%.csv""",
    "$(touch nope) `id` ${HOME} $HOME; exit 3 #.csv",
    "Füße 東京 \N{SNOWMAN}\nsecond line\\n and a \ttab.csv",
    " -rf * ?[a] ",
]


@pytest.mark.needs_engine
def test_hostile_values_arrive_as_they_are(backend):
    """Quotes, newlines, `$(...)` and what is not ASCII reach environment and arguments unchanged, and nothing runs them."""
    backend.deploy(
        'job:\n  command: [sh, -c, \'printf "%s\\\\n%s" "$KEY" "$1"\', sh, \'arg ${event.detail.key}\']\n'
        "  env: {KEY: $.detail.key}\n  on: [{event: {source: [test]}}]"
    )
    ids = backend.emit(*({"key": key} for key in HOSTILE))
    runs = {run["id"]: run for run in backend.ended("job", len(HOSTILE))}
    for key, run_id in zip(HOSTILE, ids, strict=True):
        assert runs[run_id]["event"]["detail"]["key"] == key
        assert backend.log(runs[run_id]).removesuffix("\n") == f"{key}\narg {key}"


@pytest.mark.needs_engine
def test_a_hostile_key_of_an_upload(backend):
    """The key of an object that was uploaded arrives as it is, too."""
    backend.deploy(
        "job:\n  command: [sh, -c, 'printf %s \"$KEY\"']\n  env: {KEY: $.detail.object.key}\n"
        "  on: [{upload: {bucket: incoming, suffix: .csv}}]",
        "buckets: {incoming: {}}\n",
    )
    key = """it's "a" $(date) Füße + 100% & <b>.csv"""
    backend.project.wherry("cp", "wherry.yaml", f"s3://incoming/{key}")
    assert backend.log(backend.ended("job")[0]).removesuffix("\n") == key


def test_a_large_event_is_at_hand(backend):
    """An event of 200 KB: in `WHERRY_EVENT`, in the file of `WHERRY_EVENT_FILE`, or at the s3:// `WHERRY_EVENT_URI`."""
    text = """
if "WHERRY_EVENT_URI" in env:
    status, text = ask("GET", *env["WHERRY_EVENT_URI"].removeprefix("s3://").split("/", 1))
elif "WHERRY_EVENT_FILE" in env:
    text = open(env["WHERRY_EVENT_FILE"], encoding="utf-8").read()
else:
    text = env["WHERRY_EVENT"]
x = json.loads(text)["detail"]["x"]
print(len(x), x[:3].encode("unicode_escape").decode(), env["SMALL"])
"""
    backend.deploy(f"job:\n  command: {script(text)}\n  env: {{SMALL: $.detail.small}}")
    event = {"detail": {"x": "yü" * 66_000, "small": "a"}}
    backend.project.file("event.json", json.dumps(event, ensure_ascii=False))
    assert backend.log(backend.run("job", "--event", "event.json")) == "132000 y\\xfcy a\n"


def test_a_secret_reaches_the_job(backend):
    """`secrets`: the value is in the job's environment, and in no one else's."""
    backend.deploy(
        "job: {command: 'echo $TOKEN', secrets: {TOKEN: api-token}}\nother: {command: 'echo none$TOKEN'}",
        secrets={"api-token": "s3cr$t 'q\""},
    )
    run = backend.run("job")
    assert backend.log(run) == "s3cr$t 'q\"\n"
    assert "s3cr$t" not in json.dumps(run)
    assert backend.log(backend.run("other")) == "none\n"


def test_only_what_is_declared_is_allowed(backend):
    """`reads` and `writes`: what is not declared is refused with AccessDenied."""
    text = """
code = lambda answer: "AccessDenied" if answer[0] == 403 and "AccessDenied" in answer[1] else answer[0]
for bucket in ("INCOMING", "RESULTS", "PRIVATE"):
    print(bucket, code(ask("GET", env[bucket], "a.txt")), code(ask("PUT", env[bucket], "b.txt", b"b")))
"""
    names = ("incoming", "results", "private")
    env = ", ".join(f"{name.upper()}: '${{bucket.{name}}}'" for name in names)
    backend.deploy(
        f"job:\n  command: {script(text)}\n  env: {{{env}}}\n  reads: [incoming]\n  writes: [results]",
        f"buckets: {{{', '.join(f'{name}: {{}}' for name in names)}}}\n",
    )
    for name in names:
        backend.project.wherry("cp", "wherry.yaml", f"s3://{name}/a.txt")
    denied = "AccessDenied"
    assert backend.log(backend.run("job")).splitlines() == [
        f"INCOMING 200 {denied}",
        f"RESULTS {denied} 200",
        f"PRIVATE {denied} {denied}",
    ]
