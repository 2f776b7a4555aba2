"""An MCP server as the official SDK serves it: `mcp_server.py PORT`; /mcp answers in event streams."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("shop")


@server.tool()
async def search_products(query: str, limit: int = 3) -> str:
    """Products that fit a question."""
    return f"{limit} products for {query}"


@server.tool()
async def get_order(order_id: str) -> dict[str, str]:
    """Where an order is."""
    return {"order": order_id, "state": "shipped"}


@server.tool()
async def fails() -> str:
    """A tool that always fails."""
    raise ValueError("no stock")


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
