"""An agent in the AgentCore runtime's own server: `agentcore_server.py PORT`."""

import sys

from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.entrypoint
async def answer(payload):
    """The same two pieces, one as a text and one as Strands yields it."""
    assert payload["prompt"]
    yield "It ships "
    yield {"data": "on Friday."}


app.run(port=int(sys.argv[1]), host="127.0.0.1")
