"""A server or a client that is attacked, in a process of its own: its memory is what is measured.

    python endpoint.py LIBRARY server MODE
    python endpoint.py LIBRARY client PORT

It needs nothing but the library. A server prints the port that it listens on; both run until their
standard input ends. MODE is what the server does with a connection:

* ``echo``: it sends messages back.
* ``deaf``: it receives nothing.
* ``broadcast``: it broadcasts 16 KiB over and over, to all connections.
* ``busy``: as ``echo``, but with limits on connections and handshakes, where there are any.

A client receives all messages, and does nothing else.
"""

import asyncio
import importlib
import sys

CHUNK = bytes(16384)

# Ours have other names; what they do is the same.
MODULES = {
    "ws-asyncio": "ws_asyncio",
    "ws-legacy": "ws_legacy",
    "websockets": "websockets.asyncio",
    "picows": "picows.websockets",
}


def find(library, *names):
    """Return names of a library, wherever it has them."""
    base = MODULES[library]
    for module in (base, f"{base}.server", f"{base}.client"):
        found = importlib.import_module(module)
        if all(hasattr(found, name) for name in names):
            return [getattr(found, name) for name in names]
    raise LookupError(f"{library} has no {names}")


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def be_deaf(connection):
    await connection.wait_closed()


async def serve(library, mode):
    """Run a server until standard input ends."""
    options = {"max_connections": 200, "max_handshakes": 50} if library == "ws-asyncio" else {}
    if mode == "busy":
        options["close_timeout"] = 1
    else:
        options = {}
    options["open_timeout"] = 1
    connections = set()

    async def collect(connection):
        connections.add(connection)
        await connection.wait_closed()

    handlers = {"echo": echo, "busy": echo, "deaf": be_deaf, "broadcast": collect}
    if mode == "broadcast":
        options["close_timeout"] = 1
    start, broadcast = find(library, "serve", "broadcast")
    server = await start(handlers[mode], "127.0.0.1", 0, **options)
    print(next(iter(server.sockets)).getsockname()[1], flush=True)
    if mode == "broadcast":
        ours = library.startswith("ws-")
        limits = {"max_buffer": 2**20, "slow": "close"} if ours else {}
        task = asyncio.create_task(keep_broadcasting(broadcast, connections, limits))
    await asyncio.to_thread(sys.stdin.read)
    if mode == "broadcast":
        task.cancel()
    server.close()


async def keep_broadcasting(broadcast, connections, limits):
    """Send messages to all connections, as long as there are any."""
    while True:
        broadcast(connections, CHUNK, **limits)
        await asyncio.sleep(0.001)


async def connect(library, port):
    """Run a client until the connection is closed."""
    (start,) = find(library, "connect")
    async with start(f"ws://127.0.0.1:{port}/", close_timeout=1) as connection:
        async for _ in connection:
            pass


async def serve_aiohttp(mode):
    """Run a server of aiohttp until standard input ends."""
    from aiohttp import WSMsgType, web

    connections = set()

    async def handle(request):
        websocket = web.WebSocketResponse(max_msg_size=2**20)
        await websocket.prepare(request)
        if mode == "deaf":
            await asyncio.Event().wait()
        elif mode == "broadcast":
            connections.add(websocket)
        async for message in websocket:
            if message.type is WSMsgType.TEXT:
                await websocket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await websocket.send_bytes(message.data)
        return websocket

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    if mode == "broadcast":
        task = asyncio.create_task(keep_sending(connections))
    await asyncio.to_thread(sys.stdin.read)
    if mode == "broadcast":
        task.cancel()
    await runner.cleanup()


async def keep_sending(connections):
    """Send messages to all connections: there is no broadcast()."""
    while True:
        for connection in connections:
            await connection.send_bytes(CHUNK)
        await asyncio.sleep(0.001)


async def connect_aiohttp(port):
    """Run a client of aiohttp until the connection is closed."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        url = f"ws://127.0.0.1:{port}/"
        async with session.ws_connect(url, compress=15, max_msg_size=2**20) as connection:
            async for _ in connection:
                pass


def main(library, role, argument):
    if library == "aiohttp":
        run = serve_aiohttp(argument) if role == "server" else connect_aiohttp(argument)
    elif role == "server":
        run = serve(library, argument)
    else:
        run = connect(library, argument)
    try:
        asyncio.run(run)
    except Exception as exc:
        # The end that an attack should have, for a client.
        print(type(exc).__name__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
