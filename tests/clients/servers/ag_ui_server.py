"""AG-UI as pydantic-ai serves it: `ag_ui_server.py PORT`."""

import sys

import uvicorn
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.routing import Route


async def say(messages, info):
    """The same two pieces, whatever was asked."""
    yield "It ships "
    yield "on Friday."


agent = Agent(FunctionModel(stream_function=say))


async def answer(request):
    """One run."""
    return await AGUIAdapter.dispatch_request(request, agent=agent)


app = Starlette(routes=[Route("/ask", answer, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
