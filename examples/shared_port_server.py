"""A server of which several processes run on one port. It needs Linux, or a BSD."""

import asyncio
import os
import signal

from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import CloseCode


async def tell(websocket: ServerConnection) -> None:
    """Handle a connection: say which process it is."""
    async for message in websocket:
        await websocket.send(f"{os.getpid()} got {message!s}")


async def main() -> None:
    """Run the server until SIGTERM comes."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve(tell, "localhost", 8765, reuse_port=True) as server:
        print("ready", os.getpid(), flush=True)
        await stop.wait()
        # New connections go to the other processes. Clients that are told so connect again.
        server.close(code=CloseCode.SERVICE_RESTART, reason="restarting")


if __name__ == "__main__":
    asyncio.run(main())
