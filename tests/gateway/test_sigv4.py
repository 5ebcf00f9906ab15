"""Signatures, held against botocore's signer, AWS's own example, and requests sent by hand."""

import base64
import hashlib
import hmac
import http.client
import zlib
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.gateway.errors import AwsError
from wherry.gateway.http import Request
from wherry.gateway.payload import Payload
from wherry.gateway.sigv4 import Signature, signing_key, verify

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Body:
    """A body that was received in pieces."""

    def __init__(self, data: bytes, piece: int = 1000) -> None:
        self.data, self.piece = data, piece

    def read(self, most: int = 1 << 18) -> bytes:
        size = min(most, self.piece)
        result, self.data = self.data[:size], self.data[size:]
        return result


def signed(method, url, *, headers=None, body=b"", signer=botocore.auth.S3SigV4Auth, service="s3", **more) -> Request:
    """A request as botocore signs it, as the gateway would read it."""
    prepared = AWSRequest(method=method, url=url, data=body, headers=headers or {})
    signer(Credentials(KEY, SECRET), service, "us-east-1", **more).add_auth(prepared)
    parts = urlsplit(prepared.url)
    sent = {name.lower(): value for name, value in prepared.headers.items()}
    sent.setdefault("host", parts.netloc)
    return Request(method=method, path=parts.path, query=parts.query, headers=sent, body=Body(body))


def check(request: Request, *, now=None, secret=SECRET, body=b"") -> Signature:
    return verify(request, lambda key: secret, now or datetime.now(UTC), lambda: body)


def code_of(request: Request, **more) -> str:
    with pytest.raises(AwsError) as caught:
        check(request, **more)
    return caught.value.code


TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(TEXT, st.dictionaries(TEXT, TEXT | st.just(""), max_size=3), st.dictionaries(st.sampled_from(["x-amz-meta-a", "range"]), st.sampled_from(["a", "a  b", "bytes=0-1"])))  # fmt: skip
def test_what_botocore_signs_is_right_and_any_change_is_not(key, query, headers):
    url = f"http://127.0.0.1:4566/bucket/{quote(key)}"
    if query:
        url += "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    request = signed("GET", url, headers=headers)
    assert check(request).access_key_id == KEY
    changed = Request(
        method=request.method, path=request.path + "x", query=request.query, headers=request.headers, body=request.body
    )
    assert code_of(changed) == "SignatureDoesNotMatch"
    assert code_of(request, secret="other") == "SignatureDoesNotMatch"


@settings(max_examples=60, deadline=None)
@given(TEXT)
def test_presigned_urls_are_right_and_end(key):
    url = f"http://127.0.0.1:4566/bucket/{quote(key)}"
    request = signed("GET", url, signer=botocore.auth.S3SigV4QueryAuth, expires=60)
    assert check(request).payload == "UNSIGNED-PAYLOAD"
    assert code_of(request, now=datetime.now(UTC) + timedelta(seconds=62)) == "AccessDenied"
    longer = Request(
        method="GET",
        path=request.path,
        query=request.query.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        headers=request.headers,
        body=request.body,
    )
    assert code_of(longer) == "SignatureDoesNotMatch"


def test_other_services_sign_their_body():
    headers = {"X-Amz-Target": "AWSEvents.PutEvents", "Content-Type": "application/x-amz-json-1.1"}
    request = signed(
        "POST", "http://127.0.0.1:1/", headers=headers, body=b"{}", signer=botocore.auth.SigV4Auth, service="events"
    )
    assert check(request, body=b"{}").service == "events"
    assert code_of(request, body=b"{ }") == "SignatureDoesNotMatch"


def test_a_hash_in_the_head_does_not_stand_for_the_body_of_other_services():
    digest = hashlib.sha256(b"{}").hexdigest()
    headers = {"X-Amz-Target": "AWSEvents.PutEvents", "X-Amz-Content-SHA256": digest}
    signer = botocore.auth.SigV4Auth
    request = signed("POST", "http://127.0.0.1:1/", headers=headers, body=b"{}", signer=signer, service="events")
    assert check(request, body=b"{}").service == "events"
    assert code_of(request, body=b'{"other": 1}') == "SignatureDoesNotMatch"


PARTS = st.lists(st.sampled_from(["", ".", "..", "a", "b c", "é", "100%", "x+y", "~", "a:b"]), max_size=6)


@settings(max_examples=200, deadline=None)
@given(PARTS)
def test_paths_of_other_services_are_tidied_and_encoded_twice(parts):
    url = f"http://127.0.0.1:4566/{'/'.join(quote(part) for part in parts)}"
    request = signed("GET", url, signer=botocore.auth.SigV4Auth, service="lambda")
    assert check(request).service == "lambda"


@pytest.mark.parametrize("sent", ["utf-8", "latin-1"])
def test_headers_beyond_ascii(sent):
    """botocore signs UTF-8 and sends Latin-1; the SDKs of Go and Java sign the UTF-8 that they send."""
    text = "r\u00e9sum\u00e9 \u00a0 \u00e0"
    request = signed("PUT", "http://127.0.0.1:1/bucket/key", headers={"x-amz-meta-a": text})
    assert request.headers["x-amz-meta-a"] == text
    if sent == "utf-8":
        request.headers["x-amz-meta-a"] = text.encode().decode("latin-1")
        request = resigned_as_bytes(request)
    assert check(request).access_key_id == KEY


def resigned_as_bytes(request: Request) -> Request:
    """The request signed over the very bytes of its headers, written down from the specification."""
    names = sorted(name for name in request.headers if name != "authorization")
    head = "".join(f"{name}:{' '.join(part for part in request.headers[name].split(' ') if part)}\n" for name in names)
    payload = request.headers["x-amz-content-sha256"]
    canonical = f"{request.method}\n{request.path}\n\n{head}\n{';'.join(names)}\n{payload}".encode("latin-1")
    date = request.headers["x-amz-date"]
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
    signature = hmac.new(signing_key(SECRET, date[:8], "us-east-1", "s3"), text.encode(), "sha256").hexdigest()
    said = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    headers = {**request.headers, "authorization": said}
    return Request(method=request.method, path=request.path, query="", headers=headers, body=request.body)


def test_a_url_that_was_given_away_takes_no_headers_that_were_not_signed():
    """Else who may put one object could make it a copy of any other."""
    url = "http://127.0.0.1:4566/bucket/key"
    request = signed("PUT", url, signer=botocore.auth.S3SigV4QueryAuth, expires=60)
    request.headers["x-amz-copy-source"] = "/bucket/secret"
    assert code_of(request) == "AccessDenied"


def with_query(request: Request, query: str) -> Request:
    return Request(method="GET", path=request.path, query=query, headers=request.headers, body=request.body)


@pytest.mark.parametrize("wrong", ["\u00e9", "", "0" * 64, "\u0661" * 64])
def test_signatures_of_odd_letters(wrong):
    request = signed("GET", "http://127.0.0.1:4566/bucket/key", signer=botocore.auth.S3SigV4QueryAuth, expires=60)
    before, _, _ = request.query.partition("X-Amz-Signature=")
    assert code_of(with_query(request, f"{before}X-Amz-Signature={quote(wrong)}")) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("expires", ["0", "604801", "-1", "\u00b2", "9" * 5000, ""])
def test_lives_of_urls_that_cannot_be(expires):
    request = signed("GET", "http://127.0.0.1:4566/bucket/key", signer=botocore.auth.S3SigV4QueryAuth, expires=60)
    query = request.query.replace("X-Amz-Expires=60", f"X-Amz-Expires={quote(expires)}")
    assert code_of(with_query(request, query)) == "AuthorizationQueryParametersError"


def test_a_request_without_a_date():
    request = signed("GET", "http://127.0.0.1:1/bucket")
    del request.headers["x-amz-date"]
    assert code_of(request) == "AccessDenied"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/data/%FF%FE", "InvalidURI"),  # two such keys would become one
        ("/data?max-keys=%C2%B2", "InvalidArgument"),
        (f"/data?max-keys={'9' * 5000}", "InvalidArgument"),
        ("/data?max-keys=-1", "InvalidArgument"),
    ],
)
def test_what_is_no_key_and_no_number(s3, variables, target, code):
    request = AWSRequest(method="GET", url=f"{variables['AWS_ENDPOINT_URL']}{target}")
    keys = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    botocore.auth.S3SigV4Auth(keys, "s3", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(request.url).netloc)
    connection.request("GET", target, headers=dict(request.headers.items()))
    answer = connection.getresponse()
    assert (answer.status, f"<Code>{code}</Code>".encode() in answer.read()) == (400, True)
    connection.close()


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_off(minutes):
    request = signed("GET", "http://127.0.0.1:1/bucket")
    assert code_of(request, now=datetime.now(UTC) + timedelta(minutes=minutes)) == "RequestTimeTooSkewed"
    check(request, now=datetime.now(UTC) + timedelta(minutes=minutes * 0.9))


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("AWS AKID:signature", "InvalidRequest"),
        ("Bearer x", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=" + "0" * 64, "AuthorizationHeaderMalformed"),
    ],
)
def test_other_authorizations(header, code):
    request = signed("GET", "http://127.0.0.1:1/bucket")
    request.headers["authorization"] = header
    assert code_of(request) == code


def test_an_unsigned_amz_header_is_refused():
    request = signed("PUT", "http://127.0.0.1:1/bucket/key")
    request.headers["x-amz-meta-added-on-the-way"] = "x"
    assert code_of(request) == "AccessDenied"


def chunked_example() -> tuple[Signature, bytes]:
    """Amazon S3 API Reference, "Signature calculations ... multiple chunks": the example upload of 66,560 bytes."""
    signature = Signature(
        access_key_id=KEY,
        service="s3",
        region="us-east-1",
        payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        key=signing_key(SECRET, "20130524", "us-east-1", "s3"),
        scope="20130524/us-east-1/s3/aws4_request",
        date="20130524T000000Z",
        signature="4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    )
    chunks = [
        (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ]
    body = b"".join(f"{size:x};chunk-signature={sum_}\r\n".encode() + b"a" * size + b"\r\n" for size, sum_ in chunks)
    return signature, body


def payload(signature: Signature, body: bytes, piece: int, headers=None) -> Payload:
    request = Request(method="PUT", path="/", query="", headers=headers or {}, body=Body(body, piece))
    return Payload(request, signature)


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_awss_own_example_of_signed_chunks(piece):
    signature, body = chunked_example()
    assert b"".join(payload(signature, body, piece, {"x-amz-decoded-content-length": "66560"})) == b"a" * 66560


def test_a_chunk_that_was_changed_is_refused():
    signature, body = chunked_example()
    for wrong in (body.replace(b"aaaa", b"aaab", 1), body[:-150], body.replace(b"400;", b"3ff;")):
        with pytest.raises(AwsError):
            list(payload(signature, wrong, 1000))


def test_a_body_shorter_than_announced_is_refused():
    signature, body = chunked_example()
    with pytest.raises(AwsError, match="66561 were announced"):
        list(payload(signature, body, 1000, {"x-amz-decoded-content-length": "66561"}))


def send(variables, body: bytes, headers: dict[str, str], key: str = "raw") -> tuple[int, bytes]:
    """A put, signed and sent by hand."""
    url = f"{variables['AWS_ENDPOINT_URL']}/data/{key}"
    request = AWSRequest(method="PUT", url=url, headers=headers)
    request.context["payload_signing_enabled"] = False
    signer = botocore.auth.S3SigV4Auth(
        Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]), "s3", "us-east-1"
    )
    signer.payload = lambda _: headers["X-Amz-Content-SHA256"]
    signer.add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    sent = dict(request.headers.items())
    sent["X-Amz-Content-SHA256"] = headers["X-Amz-Content-SHA256"]
    connection.request("PUT", urlsplit(url).path, body=body, headers=sent)
    answer = connection.getresponse()
    result = answer.status, answer.read()
    connection.close()
    return result


def test_an_unsigned_body_with_a_trailing_checksum(s3, variables):
    """What the newer SDKs send where they trust the transport."""
    content = b"x" * 5000
    crc = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    headers = {
        "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": "5000",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
    }
    body = b"1388\r\n" + content + b"\r\n0\r\nx-amz-checksum-crc32:" + crc.encode() + b"\r\n\r\n"
    status, answer = send(variables, body, headers)
    assert status == 200, answer
    got = s3.get_object(Bucket="data", Key="raw", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ChecksumCRC32"]) == (content, crc)
    assert "ContentEncoding" not in got
    status, answer = send(variables, body.replace(crc.encode(), b"AAAAAA=="), headers)
    assert (status, b"<Code>BadDigest</Code>" in answer) == (400, True)


def test_a_body_that_is_not_the_one_that_was_signed(s3, variables):
    headers = {"X-Amz-Content-SHA256": hashlib.sha256(b"right").hexdigest()}
    assert send(variables, b"right", headers)[0] == 200
    status, answer = send(variables, b"wrong", headers)
    assert (status, b"<Code>XAmzContentSHA256Mismatch</Code>" in answer) == (400, True)
    assert s3.get_object(Bucket="data", Key="raw")["Body"].read() == b"right"
