"""What the scripts of Python clients share: each check is tried, and printed as one line of JSON."""

import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
for name, value in {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1", "OPENAI_API_KEY": "none", "OTEL_SDK_DISABLED": "true",
    "AWS_ENDPOINT_URL": sys.argv[1],
}.items():  # fmt: skip
    os.environ[name] = value

URL = sys.argv[1]
HOW = sys.argv[2] if len(sys.argv) > 2 else ""
"""How the emulator is reached, beside its address: part of the client's name."""
NOVA = "us.amazon.nova-pro-v1:0"
CLAUDE = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
CUSTOM = "custom-8b"
PARIS = "What is the weather in Paris?"
TRIP = "Plan a trip: 12 nights in Rome, please"
REASON_CHARS = 160


def run(checks) -> None:
    """Try each of {(client, what): function}; a function returns None when all was well."""
    for (client, what), check in checks.items():
        try:
            check()
            reason = None
        except BaseException as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:REASON_CHARS]
        print(json.dumps({"client": client + HOW, "what": what, "reason": reason}), flush=True)
