"""An A2A agent as the official SDK serves it, 1.0 with 0.3 beside: `a2a_server.py PORT`."""

import sys

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface
from starlette.applications import Starlette


class Says(AgentExecutor):
    """The same two pieces, whatever was asked."""

    async def execute(self, context, event_queue):
        """A task: its artifact in two parts, then done."""
        task = context.current_task or new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        for number, text in enumerate(("It ships ", "on Friday.")):
            await updater.add_artifact(
                [new_text_part(text)], artifact_id="answer", append=number > 0, last_chunk=number == 1
            )
        await updater.complete()

    async def cancel(self, context, event_queue):
        """Nothing runs long enough."""


url = f"http://127.0.0.1:{sys.argv[1]}/a2a"
card = AgentCard(
    name="says",
    description="says when it ships",
    version="1",
    capabilities=AgentCapabilities(streaming=True),
    supported_interfaces=[
        AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=version) for version in ("1.0", "0.3")
    ],
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
)
handler = DefaultRequestHandler(agent_executor=Says(), task_store=InMemoryTaskStore(), agent_card=card)
app = Starlette(routes=create_jsonrpc_routes(handler, "/a2a", enable_v0_3_compat=True))
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
