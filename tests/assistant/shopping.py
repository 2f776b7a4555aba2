"""The assistant over the smoke world with the emulator's shop model in place of a scripted one, in one process."""

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from assistant.models.protocol import Reply, ToolUse, Usage
from assistant.router import classifier
from emulator.shop_model import model as shop_model
from emulator.shop_model.dialogue import of_converse
from scenarios.loading import load_scenario
from scenarios.world import World, ensure_world
from tests.assistant.harness import Answer, Harness


@cache
def smoke_world(folder: Path) -> World:
    """The world of the default stack, made once."""
    return ensure_world(load_scenario("smoke"), folder)


class ShopModel:
    """A model client that answers as the emulator does. It sees the request alone."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    async def converse(self, request, listener):
        self.requests.append(request)
        body = {
            "system": [block for block in request.system if "text" in block],
            "messages": request.messages,
            **({"toolConfig": orjson.loads(request.tools.converse)} if request.tools else {}),
        }
        said = shop_model.answer(of_converse(orjson.loads(orjson.dumps(body))))
        await listener.opened(True)
        number = len(self.requests)
        uses = [ToolUse(f"t{number}-{i}", name, dict(args)) for i, (name, args) in enumerate(said.calls)]
        blocks = [{"toolUse": {"toolUseId": use.tool_use_id, "name": use.name, "input": use.input}} for use in uses]
        if not uses:
            await listener.text(said.text)
            blocks = [{"text": said.text}]
        usage = Usage(input_tokens=100, output_tokens=10)
        return Reply(blocks, uses, "tool_use" if uses else "end_turn", usage, ttft_s=0.1, tpot_s=0.01, e2e_s=0.2)

    async def close(self):
        pass


class Shopper(Harness):
    """A customer in one conversation after another: `say` a message, `confirm` what it left open."""

    def __init__(self, world: World, folder: Path, **stack: Any) -> None:
        super().__init__(world.catalogue, folder, {"router": {"mode": "staged"}}, classifier.load(), **stack)
        self.world = self.parts.catalogue.started_at
        self.model = ShopModel()
        self.services.caller._clients.update({"converse": self.model, "openai": self.model})
        self.turns = itertools.count()
        self.interaction = "i1"
        self.pending: dict[str, Any] | None = None
        self.tools: list[tuple[str, dict[str, Any]]] = []

    def say(self, message: str, *, page: str | None = None, customer: str = "c000001", **body: Any) -> Answer:
        """One message; `tools` holds what was called for it afterwards, `pending` what it leaves to confirm."""
        self.model.requests = []
        more = {"page": {"product_id": page}} if page else {}
        request = {
            "interaction_id": self.interaction,
            "turn_index": next(self.turns),
            "message": message,
            **more,
            **body,
        }
        answer = self.request("POST", "/v1/turns", request, self.signed_in(customer))
        assert answer.status == 200, answer.body
        self.pending = answer.one("done")["pending_confirmation"]
        self.tools = [
            (block["toolUse"]["name"], block["toolUse"]["input"])
            for request in self.model.requests[-1:]
            for message_ in self._this_turn(request.messages)
            for block in message_["content"]
            if "toolUse" in block
        ]
        return answer

    def confirm(self, message: str = "Yes, please.", accept: bool = True, **body: Any) -> Answer:
        """Answer what waits for a confirmation."""
        assert self.pending is not None
        return self.say(message, confirm={"token": self.pending["token"], "accept": accept}, **body)

    def store_cart(self, customer: str = "c000001") -> list[dict[str, Any]]:
        """The cart's rows, each with its product's title."""
        rows = self.store.cart(customer)
        return [{**row, "title": self.parts.catalogue.product(row["product_id"])["title"]} for row in rows]

    def new_conversation(self) -> None:
        """Forget what was said."""
        self.interaction = f"i{next(self.turns)}"
        self.pending = None

    @staticmethod
    def _this_turn(messages):
        results = [any("toolResult" in block for block in message["content"]) for message in messages]
        opened = [i for i, message in enumerate(messages) if message["role"] == "user" and not results[i]]
        return messages[opened[-1] :]
