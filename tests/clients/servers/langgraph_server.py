"""A graph of one node, served by LangGraph's in-memory server (`langgraph dev`): `langgraph_server.py PORT`."""

import json
import os
import sys
import tempfile
from itertools import cycle
from pathlib import Path

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

model = GenericFakeChatModel(messages=cycle([AIMessage("It ships on Friday.")]))


async def answer(state: MessagesState):
    """The same sentence, whatever was asked; a word a piece."""
    return {"messages": [await model.ainvoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("answer", answer)
builder.add_edge(START, "answer")
graph = builder.compile()

if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="langgraph-"))  # the server writes beside its configuration
    (folder / "graph.py").write_text(Path(__file__).read_text())
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": {"agent": "./graph.py:graph"}}))
    os.chdir(folder)
    os.environ |= {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"}
    command = str(Path(sys.executable).parent / "langgraph")
    os.execv(command, [command, "dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", sys.argv[1]])
