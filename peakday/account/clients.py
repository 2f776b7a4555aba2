"""Clients of AWS, made only here and only after `require_live`; every refusal becomes one clear line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from host.errors import Exit
from peakday.errors import CommandError

ATTEMPTS = 5
"""Of one request, the first included; botocore waits longer between each."""
POLICY = "deploy/aws/peakday-read-only.json"

Client = Any
"""Of boto3, which has no types; its answers are read as JSON values."""
Connect = Callable[[str, str], Client]
"""(service as boto3 names it, region) -> client."""

_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
_DENIED = {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "AuthorizationError", "Forbidden"}
_STALE = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}


def connect(service: str, region: str) -> Client:
    """A client with the shell's own credentials; whoever calls this has passed `require_live`."""
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    return boto3.client(service, region_name=region, config=Config(retries=retries, connect_timeout=10))


def pages(client: Client, operation: str, **parameters: object) -> Iterator[dict[str, object]]:
    """Every page of a listing operation, until AWS gives no token.

    Raises:
        CommandError: AWS refused or could not be reached, or repeats its token; what happened, where, and the remedy.
    """
    token: object = None
    while True:
        page = call(client, operation, **(parameters if token is None else {**parameters, "NextToken": token}))
        yield page
        following = page.get("NextToken")
        if not following:
            return
        if following == token:
            raise CommandError(f"{_where(client, operation)}: AWS repeats the same page; try again", Exit.ENVIRONMENT)
        token = following


def call(client: Client, operation: str, **parameters: object) -> dict[str, object]:
    """One request; what AWS refuses becomes one line without the words of the answer, which may name accounts."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, object] = getattr(client, operation)(**parameters)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown error"))
        raise CommandError(f"{_where(client, operation)}: {_refusal(client, operation, code)}", _exit(code)) from None
    except BotoCoreError as error:
        raise CommandError(f"{_where(client, operation)}: {_unreachable(error)}", Exit.ENVIRONMENT) from None
    return answer


def action(client: Client, operation: str) -> str:
    """The IAM action of an operation, such as `servicequotas:ListServiceQuotas`."""
    service = client.meta.service_model.signing_name
    return f"{'cloudwatch' if service == 'monitoring' else service}:{client.meta.method_to_api_mapping[operation]}"


def _where(client: Client, operation: str) -> str:
    return f"{action(client, operation)} in {client.meta.region_name}"


def _refusal(client: Client, operation: str, code: str) -> str:
    if code in _THROTTLED:
        return f"throttled by AWS ({code}) after {ATTEMPTS} attempts; wait a minute and pull again. Nothing was written"
    if code in _DENIED:
        return f"denied ({code}); allow {action(client, operation)}, see {POLICY}. Nothing was written"
    if code in _STALE:
        return f"credentials refused ({code}); sign in again. Nothing was written"
    return f"refused ({code}). Nothing was written"


def _exit(code: str) -> Exit:
    return Exit.INCONCLUSIVE if code in _THROTTLED else Exit.ENVIRONMENT


def _unreachable(error: Exception) -> str:
    from botocore.exceptions import CredentialRetrievalError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return "no usable AWS credentials here; sign in, or name a profile with AWS_PROFILE. Nothing was written"
    return f"cannot be reached ({type(error).__name__}); check region and network. Nothing was written"
