"""JSON over a WebSocket by the library `websockets`: `websocket_server.py PORT`."""

import asyncio
import json
import sys

from websockets.asyncio.server import serve


async def chat(socket):
    """Two pieces and an end for every message; the conversation is the socket's."""
    async for message in socket:
        json.loads(message)
        for piece in ("It ships ", "on Friday."):
            await socket.send(json.dumps({"delta": piece}))
        await socket.send(json.dumps({"done": True, "conversation_id": str(socket.id)}))


async def main():
    """Serve until the process is stopped."""
    async with serve(chat, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()


asyncio.run(main())
