"""Every tool the agent has, by name."""

from __future__ import annotations

from assistant.tools import memory, orders, price_rules, products, reorder, web
from assistant.tools.spec import Tool

TOOLS: dict[str, Tool] = {
    tool.name: tool for group in (products, orders, reorder, price_rules, memory, web) for tool in group.TOOLS
}
