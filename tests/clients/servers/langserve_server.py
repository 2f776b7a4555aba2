"""A text runnable and a chat model behind LangServe: `langserve_server.py PORT`."""

import sys

import uvicorn
from fastapi import FastAPI
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableGenerator
from langserve import add_routes


async def say(inputs):
    """The same two pieces, whatever was asked."""
    async for _ in inputs:
        pass
    for piece in ("It ships ", "on Friday."):
        yield piece


app = FastAPI()
add_routes(app, RunnableGenerator(say).with_types(input_type=str, output_type=str), path="/text")
add_routes(app, FakeListChatModel(responses=["It ships on Friday."]), path="/chat")
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
