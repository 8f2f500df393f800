"""A server that lets its clients finish before it ends."""

import asyncio
import signal

from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import CloseCode


async def work(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await asyncio.sleep(0.5)
        await websocket.send(f"done: {message!s}")


async def main() -> None:
    """Run the server until SIGTERM, or SIGINT (Ctrl-C), comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)

    async with serve(work, "localhost", 8765) as server:
        await stop.wait()
        # Nobody can connect any more. Those who are connected have 5 seconds.
        server.close(close_connections=False)
        try:
            async with asyncio.timeout(5):
                await server.wait_closed()
        except TimeoutError:
            server.close(code=CloseCode.SERVICE_RESTART, reason="please connect again")
        # On exit, the block waits until all connections are closed and all handlers are done.


if __name__ == "__main__":
    asyncio.run(main())
