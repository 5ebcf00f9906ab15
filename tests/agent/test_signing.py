"""Our signatures are botocore's, which AWS takes."""

from datetime import UTC, datetime

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from wherry.agent.signing import Keys, Request, encoded, signed

texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)
hosts = st.sampled_from(["bucket.s3.eu-west-1.amazonaws.com", "127.0.0.1:4566"])


@given(host=hosts, key=texts, body=st.binary(max_size=50), token=st.sampled_from(["", "a-token"]))
def test_signatures_are_botocore_s(host, key, body, token):
    path = f"/{encoded(key, safe='/')}"
    theirs = AWSRequest("PUT", f"https://{host}{path}", headers={"Content-Type": "a/b"}, data=body)
    theirs.context["payload_signing_enabled"] = True
    auth.S3SigV4Auth(Credentials("AKID", "secret", token or None), "s3", "eu-west-1").add_auth(theirs)
    now = datetime.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    request = Request("PUT", host, path, {"Content-Type": "a/b"}, body)
    ours = signed(request, Keys("AKID", "secret", token), service="s3", region="eu-west-1", now=now)
    assert ours["authorization"] == theirs.headers["Authorization"]
