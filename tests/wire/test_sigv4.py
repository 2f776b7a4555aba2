"""Our signature is botocore's signature."""

from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wire import sigv4

UNSIGNED = ("traceparent", "tracestate", "baggage", "te", "trailer", "keep-alive", "User-Agent", "X-Amzn-Trace-Id")
NOW = datetime(2026, 7, 8, 9, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize("token", [None, "a-session-token"])
@pytest.mark.parametrize(
    "path",
    [
        "/model/us.amazon.nova-pro-v1%3A0/converse-stream",
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x/converse-stream",
        "/",
        "/a/b?z=1&b=two%20words&a=",
    ],
)
def test_signature_equals_botocores(path, token):
    """Path signed = path sent, for model ids and ARNs with `:` and `/`, with and without a session token."""
    url = f"https://bedrock-runtime.us-east-1.amazonaws.com{path}"
    body = b'{"messages":[]}'
    headers = {"Content-Type": "application/json", "X-Amzn-Bedrock-Trace": "ENABLED", **dict.fromkeys(UNSIGNED, "x")}
    request = AWSRequest(method="POST", url=url, data=body, headers=dict(headers))
    request.headers["Host"] = "bedrock-runtime.us-east-1.amazonaws.com"
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
        SigV4Auth(Credentials("AKIDEXAMPLE", "secret", token), "bedrock", "us-east-1").add_auth(request)
    key = sigv4.Credentials("AKIDEXAMPLE", "secret", token)
    ours = sigv4.sign("POST", url, headers, body, key=key, region="us-east-1", service="bedrock", now=NOW)
    assert ours["Authorization"] == request.headers["Authorization"]
