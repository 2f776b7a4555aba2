"""Every tool the agent has, by name."""

from __future__ import annotations

from assistant.tools import memory, orders, products, web
from assistant.tools.spec import Tool

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in sorted((*products.TOOLS, *orders.TOOLS, *memory.TOOLS, *web.TOOLS), key=lambda tool: tool.name)
}
