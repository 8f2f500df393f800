"""The process under test: one contender, as client and as server.

It tells the CPU time of the process, as the operating system counts it: user and system, all
threads. Programs are written as each library's documentation has it.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import resource
import ssl
import sys
import time
from functools import cache
from urllib.parse import urlsplit

from frames import (
    BINARY,
    TEXT,
    make_close,
    make_deflater,
    make_message,
    make_request,
    make_response,
)
from payloads import make_payloads
from processes import obey

CLOSE_FROM_CLIENT, CLOSE_FROM_SERVER = make_close(masked=True), make_close(masked=False)


@cache
def make_binary(payload: bytes, masked: bool) -> bytes:
    """Build a frame, once: masking takes longer than sending."""
    return make_message(BINARY, payload, masked)


@cache
def make_broadcast(message: str, deflate: bool) -> bytes:
    """Build a frame that servers send to all clients."""
    return make_message(TEXT, message.encode(), False, make_deflater() if deflate else None)


def client_tls(url: str, certificate: str | None) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=certificate) if url.startswith("wss:") else None


def server_tls(certificate: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    return tls


class Coroutines:
    """A library with the coroutine API of ``websockets``.

    Args:
        client: Module with ``connect()``.
        server: Module with ``serve()``.

    """

    def __init__(self, client: str, server: str, broadcast: str | None = None) -> None:
        self.client = importlib.import_module(client)
        self.server = importlib.import_module(server)
        self.send_to_all = getattr(importlib.import_module(broadcast or server), "broadcast")  # noqa: B009
        self.connections: set = set()

    # As a client

    async def open(self, url: str, deflate: bool, certificate: str | None) -> None:
        self.websocket = await self.client.connect(
            url,
            compression="deflate" if deflate else None,
            ssl=client_tls(url, certificate),
            max_size=None,
        )

    async def close(self) -> None:
        await self.websocket.close()

    async def stream(self, count: int) -> None:
        await self.websocket.send(b"go")
        async for _ in self.websocket:
            count -= 1
            if not count:
                break

    async def receive(self, count: int) -> None:
        await self.websocket.send(b"go")
        for _ in range(count):
            await self.websocket.recv()

    async def round_trips(self, count: int, payload: bytes) -> None:
        websocket = self.websocket
        for _ in range(count):
            await websocket.send(payload)
            await websocket.recv()

    async def in_flight(self, count: int, payload: bytes, number: int) -> None:
        websocket = self.websocket
        for _ in range(number):
            await websocket.send(payload)
        for _ in range(count - number):
            await websocket.recv()
            await websocket.send(payload)
        for _ in range(number):
            await websocket.recv()

    # As a server

    async def listen(self, deflate: bool, certificate: str | None) -> int:
        async def echo(websocket):
            self.connections.add(websocket)
            try:
                async for message in websocket:
                    await websocket.send(message)
            finally:
                self.connections.discard(websocket)

        server = await self.server.serve(
            echo,
            "127.0.0.1",
            0,
            compression="deflate" if deflate else None,
            ssl=server_tls(certificate),
            max_size=None,
            backlog=1000,
        )
        return next(iter(server.sockets)).getsockname()[1]

    async def broadcast(self, message: str) -> None:
        self.send_to_all(self.connections, message)


class Aiohttp:
    """The library ``aiohttp``."""

    def __init__(self) -> None:
        import aiohttp.web

        self.aiohttp = aiohttp
        self.session = None
        self.connections: set = set()

    async def open(self, url: str, deflate: bool, certificate: str | None) -> None:
        if self.session is None:
            self.session = self.aiohttp.ClientSession()
        self.websocket = await self.session.ws_connect(
            url,
            compress=15 if deflate else 0,
            ssl=client_tls(url, certificate) or True,
            max_msg_size=0,
        )

    async def close(self) -> None:
        await self.websocket.close()

    async def stream(self, count: int) -> None:
        await self.websocket.send_bytes(b"go")
        async for message in self.websocket:
            message.data  # noqa: B018
            count -= 1
            if not count:
                break

    async def receive(self, count: int) -> None:
        await self.websocket.send_bytes(b"go")
        for _ in range(count):
            (await self.websocket.receive()).data  # noqa: B018

    async def round_trips(self, count: int, payload: bytes) -> None:
        websocket = self.websocket
        for _ in range(count):
            await websocket.send_bytes(payload)
            await websocket.receive_bytes()

    async def in_flight(self, count: int, payload: bytes, number: int) -> None:
        websocket = self.websocket
        for _ in range(number):
            await websocket.send_bytes(payload)
        for _ in range(count - number):
            await websocket.receive_bytes()
            await websocket.send_bytes(payload)
        for _ in range(number):
            await websocket.receive_bytes()

    async def listen(self, deflate: bool, certificate: str | None) -> int:
        web = self.aiohttp.web

        async def echo(request):
            websocket = web.WebSocketResponse(compress=deflate, max_msg_size=0)
            await websocket.prepare(request)
            self.connections.add(websocket)
            try:
                async for message in websocket:
                    await websocket.send_bytes(message.data)
            finally:
                self.connections.discard(websocket)
            return websocket

        application = web.Application()
        application.router.add_get("/", echo)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(
            runner, "127.0.0.1", 0, ssl_context=server_tls(certificate), backlog=1000
        )
        await site.start()
        return runner.addresses[0][1]

    async def broadcast(self, message: str) -> None:
        for websocket in self.connections:
            await websocket.send_str(message)


class PicowsCore:
    """The callbacks of ``picows``."""

    def __init__(self) -> None:
        import picows

        self.picows = picows
        self.connections: set = set()
        binary, text = picows.WSMsgType.BINARY, picows.WSMsgType.TEXT

        class Client(picows.WSListener):
            def on_ws_connected(self, transport):
                self.transport = transport

            def on_ws_frame(self, transport, frame):
                if frame.msg_type == text:
                    frame.get_payload_as_utf8_text()
                elif frame.msg_type == binary:
                    frame.get_payload_as_bytes()
                else:
                    return
                self.left -= 1
                if self.to_send:
                    self.to_send -= 1
                    transport.send(binary, self.payload)
                elif not self.left:
                    self.done.set_result(None)

        class Server(picows.WSListener):
            connections = self.connections

            def on_ws_connected(self, transport):
                self.connections.add(transport)

            def on_ws_disconnected(self, transport):
                self.connections.discard(transport)

            def on_ws_frame(self, transport, frame):
                if frame.msg_type == picows.WSMsgType.CLOSE:
                    transport.send_close(frame.get_close_code(), frame.get_close_message())
                    transport.disconnect()
                else:
                    transport.send(frame.msg_type, frame.get_payload_as_bytes())

        self.Client, self.Server = Client, Server

    async def open(self, url: str, deflate: bool, certificate: str | None) -> None:
        self.transport, self.listener = await self.picows.ws_connect(
            self.Client, url, ssl_context=client_tls(url, certificate), max_frame_size=2**30
        )

    async def close(self) -> None:
        self.transport.send_close(self.picows.WSCloseCode.OK)
        self.transport.disconnect()
        await self.transport.wait_disconnected()

    async def run(self, count: int, payload: bytes, to_send: int, number: int) -> None:
        listener = self.listener
        listener.left = count
        listener.to_send = to_send
        listener.payload = payload
        listener.done = asyncio.get_running_loop().create_future()
        for _ in range(number):
            self.transport.send(self.picows.WSMsgType.BINARY, payload)
        await listener.done

    async def stream(self, count: int) -> None:
        await self.run(count, b"go", 0, 1)

    receive = stream

    async def round_trips(self, count: int, payload: bytes) -> None:
        await self.run(count, payload, count - 1, 1)

    async def in_flight(self, count: int, payload: bytes, number: int) -> None:
        await self.run(count, payload, count - number, number)

    async def listen(self, deflate: bool, certificate: str | None) -> int:
        server = await self.picows.ws_create_server(
            lambda request: self.Server(),
            "127.0.0.1",
            0,
            ssl=server_tls(certificate),
            max_frame_size=2**30,
            backlog=1000,
        )
        return server.sockets[0].getsockname()[1]

    async def broadcast(self, message: str) -> None:
        data = message.encode()
        for transport in self.connections:
            transport.send(self.picows.WSMsgType.TEXT, data)


class BareTCP:
    """No WebSocket at all: what is left of a work for the event loop and the operating system.

    Bytes that were made beforehand are written, and those that come are counted. It is the floor
    below which no library gets on this event loop.
    """

    class Client(asyncio.Protocol):
        """Writes a frame for each that comes, as long as there are some to send."""

        size = 1
        rest = left = to_send = 0
        frame = b""

        def connection_made(self, transport):
            self.transport = transport
            loop = asyncio.get_running_loop()
            self.opened, self.done, self.lost = (loop.create_future() for _ in range(3))

        def connection_lost(self, exc):
            self.lost.set_result(None)
            for future in (self.opened, self.done):
                if not future.done():
                    future.set_exception(ConnectionError("the connection was closed"))

        def data_received(self, data):
            if not self.opened.done():
                self.opened.set_result(data)
                return
            frames, self.rest = divmod(self.rest + len(data), self.size)
            if not frames:
                return
            again = min(frames, self.to_send)
            if again:
                self.to_send -= again
                self.transport.write(self.frame * again)
            self.left -= frames
            if not self.left:
                self.done.set_result(None)

    class Server(asyncio.Protocol):
        """Echoes bytes as they come."""

        opened = False

        def __init__(self, connections, response):
            self.connections = connections
            self.response = response

        def connection_made(self, transport):
            self.transport = transport
            self.connections.add(transport)

        def connection_lost(self, exc):
            self.connections.discard(self.transport)

        def data_received(self, data):
            if data == CLOSE_FROM_CLIENT:
                self.transport.write(CLOSE_FROM_SERVER)
                self.transport.close()
            elif self.opened:
                self.transport.write(data)
            else:
                self.opened = True
                self.transport.write(self.response)

    def __init__(self):
        self.connections: set = set()

    async def open(self, url: str, deflate: bool, certificate: str | None) -> None:
        parts = urlsplit(url)
        _, self.client = await asyncio.get_running_loop().create_connection(
            self.Client, parts.hostname, parts.port, ssl=client_tls(url, certificate)
        )
        self.client.transport.write(make_request(f"{parts.path}?{parts.query}", deflate))
        self.response = await self.client.opened

    async def close(self) -> None:
        # RFC 6455, section 7.1.1: the server closes the connection.
        self.client.transport.write(CLOSE_FROM_CLIENT)
        await self.client.lost

    async def stream(self, count: int) -> None:
        length = self.response.partition(b"Stream-Length: ")[2].partition(b"\r\n")[0]
        await self.run(1, b"go", int(length), 0, 1)

    receive = stream

    async def in_flight(self, count: int, payload: bytes, number: int) -> None:
        size = len(make_binary(payload, masked=False))
        await self.run(count, payload, size, count - number, number)

    async def round_trips(self, count: int, payload: bytes) -> None:
        await self.in_flight(count, payload, 1)

    async def run(self, count: int, payload: bytes, size: int, to_send: int, number: int) -> None:
        """Receive a number of frames of a size."""
        client = self.client
        client.left, client.size, client.to_send = count, size, to_send
        client.frame = make_binary(payload, masked=True)
        client.done = asyncio.get_running_loop().create_future()
        client.transport.write(client.frame * number)
        await client.done

    async def listen(self, deflate: bool, certificate: str | None) -> int:
        self.deflate = deflate
        response = make_response("", deflate)
        server = await asyncio.get_running_loop().create_server(
            lambda: self.Server(self.connections, response),
            "127.0.0.1",
            0,
            ssl=server_tls(certificate),
            backlog=1000,
        )
        return server.sockets[0].getsockname()[1]

    async def broadcast(self, message: str) -> None:
        frame = make_broadcast(message, self.deflate)
        for transport in self.connections:
            transport.write(frame)


CONTENDERS = {
    "ours": lambda: Coroutines("ws_asyncio", "ws_asyncio"),
    "legacy": lambda: Coroutines("ws_legacy.client", "ws_legacy.server", "ws_legacy.protocol"),
    "websockets": lambda: Coroutines("websockets.asyncio.client", "websockets.asyncio.server"),
    "picows-api": lambda: Coroutines("picows.websockets", "picows.websockets"),
    "picows-core": PicowsCore,
    "aiohttp": Aiohttp,
    "tcp": BareTCP,
}


class Subject:
    """Does what it is told, and measures it."""

    def __init__(self, contender: str) -> None:
        self.contender = CONTENDERS[contender]()
        self.payload = b""

    async def open(
        self, url: str, size: int, deflate: bool = False, certificate: str | None = None
    ) -> dict:
        """Open a connection, on which messages of a size are sent."""
        (self.payload,) = make_payloads("binary", size)
        await self.contender.open(url, deflate, certificate)
        return {}

    async def close(self) -> dict:
        """Close it."""
        await self.contender.close()
        return {}

    async def run(self, work: str, count: int, in_flight: int | None = None) -> dict:
        """Do a work so many times."""
        method = getattr(self.contender, work)
        arguments = [count]
        if work in ("round_trips", "in_flight"):
            arguments.append(self.payload)
        if in_flight is not None:
            arguments.append(in_flight)
        await method(*arguments)
        return {}

    async def handshakes(self, url: str, count: int, deflate: bool) -> dict:
        """Open and close connections."""
        for _ in range(count):
            await self.contender.open(url, deflate, None)
            await self.contender.close()
        return {}

    async def listen(self, deflate: bool = False, certificate: str | None = None) -> dict:
        """Start a server."""
        return {"port": await self.contender.listen(deflate, certificate)}

    async def broadcast(self, message: str) -> dict:
        """Broadcast a message."""
        await self.contender.broadcast(message)
        return {}

    async def disconnected(self) -> dict:
        """Wait until no client is connected."""
        # Not all libraries tell.
        while self.contender.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return {}

    async def cpu(self) -> dict:
        """Tell the CPU time that was used, in seconds, and how much of it by the system."""
        return {
            "cpu": time.process_time(),
            "system": resource.getrusage(resource.RUSAGE_SELF).ru_stime,
        }

    async def memory(self) -> dict:
        """Tell the memory that is used, in bytes."""
        gc.collect()
        with open("/proc/self/statm") as file:  # noqa: ASYNC230  # it isn't on a disk
            return {"memory": int(file.read().split()[1]) * resource.getpagesize()}


if __name__ == "__main__":
    _, name, loop_name = sys.argv
    # That others just go away, say.
    logging.disable(logging.ERROR)
    main = obey(Subject(name))
    if loop_name == "uvloop":
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)
