"""Model clients over real connections, by protocol."""

from __future__ import annotations

import os
from collections.abc import Callable

from assistant.errors import AssistantError
from assistant.models.bedrock import BedrockClient
from assistant.models.http import HttpClient
from assistant.models.openai import OpenAIClient
from assistant.models.protocol import ModelClient
from assistant.settings import Stack
from wire.sigv4 import Credentials

_EMULATOR_KEY = Credentials("peakday-emulator", "peakday-emulator")
"""The emulator checks the form of a signature, not who signed."""


def connect(stack: Stack) -> dict[str, ModelClient]:
    """Clients for the stack's endpoints; call inside a running event loop.

    Raises:
        AssistantError: live, and no AWS credentials are found.
    """
    credentials = _aws_credentials() if stack.live else lambda: _EMULATOR_KEY
    clients: dict[str, ModelClient] = {}
    if stack.switches.client == "boto3":
        clients["converse"] = _boto3_client(stack)
    else:
        clients["converse"] = BedrockClient(
            HttpClient(stack.switches.limits.wall_s), stack.bedrock_endpoint, credentials
        )
    if stack.openai_url:
        clients["openai"] = OpenAIClient(
            HttpClient(stack.switches.limits.wall_s), stack.openai_url, os.environ.get("OPENAI_API_KEY")
        )
    return clients


def _boto3_client(stack: Stack) -> ModelClient:
    from assistant.models.boto3_client import Boto3Client  # half a second of imports, wanted only here

    return Boto3Client(
        stack.bedrock_endpoint,
        None if stack.live else lambda: _EMULATOR_KEY,
        retry_mode=stack.switches.retry.mode,
        total_attempts=stack.switches.retry.total_attempts,
        read_timeout_s=stack.switches.limits.wall_s,
    )


def _aws_credentials() -> Callable[[], Credentials]:
    """The account's credentials by botocore's usual chain; it refreshes them when they age."""
    import botocore.session

    found = botocore.session.get_session().get_credentials()
    if found is None:
        raise AssistantError("live: no AWS credentials were found; set AWS_PROFILE or run `aws configure`")
    return lambda: Credentials.of(found)
