"""A conversation, both APIs to hold it with, and a proxy that breaks it wherever it is told to."""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import socket
import struct
import warnings

import pytest

import ws_asyncio.client
import ws_asyncio.server
from ws_protocol.exceptions import ConnectionClosed, InvalidHandshake

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import ws_legacy.client
    import ws_legacy.server

C2S, S2C = DIRECTIONS = "from client to server", "from server to client"


@dataclasses.dataclass
class Api:
    """How to connect and serve, and what of it may be raised.

    Another way of doing I/O is another of these, with connections that have ``send()``, ``recv()``,
    ``ping()``, ``close()`` and ``wait_closed()``.
    """

    name: str
    connect: object
    serve: object

    def __str__(self):
        return self.name


APIS = [
    Api("asyncio", ws_asyncio.client.connect, ws_asyncio.server.serve),
    Api("legacy", ws_legacy.client.connect, ws_legacy.server.serve),
]


@pytest.fixture(params=APIS, ids=str)
def api(request):
    return request.param


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to the bytes in one direction, once so many of them have passed."""

    kind: str
    direction: str
    offset: int


class Proxy:
    """A TCP proxy for one connection, which does what is asked of it.

    Attributes:
        passed: How many bytes passed in each direction, so far.

    """

    def __init__(self, port):
        self.port = port
        self.passed = {}

    @contextlib.asynccontextmanager
    async def listen(self, fault=None):
        """Listen for one connection; return the port."""
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            task = loop.create_task(self._pass_on(listening, fault))
            try:
                yield listening.getsockname()[1]
            finally:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()

    async def _pass_on(self, listening, fault):
        loop = asyncio.get_running_loop()
        client, _ = await loop.sock_accept(listening)
        with client, socket.socket() as server:
            for sock in (client, server):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(server, ("127.0.0.1", self.port))
            self.passed = dict.fromkeys(DIRECTIONS, 0)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(client, server, C2S, fault))
                    group.create_task(self._pump(server, client, S2C, fault))
            except* ConnectionAbortedError:
                # With this, closing sends RST.
                for sock in (client, server):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _pump(self, source, target, direction, fault):
        loop = asyncio.get_running_loop()
        fault = fault if fault is not None and fault.direction == direction else None
        try:
            while data := await loop.sock_recv(source, 65536):
                before = self.passed[direction]
                self.passed[direction] += len(data)
                if fault is None or self.passed[direction] <= fault.offset:
                    await loop.sock_sendall(target, data)
                    continue
                cut = max(0, fault.offset - before)
                await loop.sock_sendall(target, data[:cut])
                if not await self._break(fault, source, target, data[cut:]):
                    return
                fault = None
            target.shutdown(socket.SHUT_WR)
        except ConnectionAbortedError:
            raise
        except OSError:
            pass  # one of them is gone, which the other learns when both are closed

    async def _break(self, fault, source, target, rest):
        """Do what the fault says; return whether to go on."""
        loop = asyncio.get_running_loop()
        if fault.kind == "split":
            # The target sees what came before alone.
            for _ in range(5):
                await asyncio.sleep(0)
            await loop.sock_sendall(target, rest)
            return True
        if fault.kind == "delay":
            await asyncio.sleep(0.05)
            await loop.sock_sendall(target, rest)
            return True
        if fault.kind == "byte by byte":
            for i in range(len(rest)):
                await loop.sock_sendall(target, rest[i : i + 1])
                await asyncio.sleep(0)
            return True
        if fault.kind == "duplicate":
            await loop.sock_sendall(target, rest[:1] + rest)
            return True
        if fault.kind == "half-close":
            target.shutdown(socket.SHUT_WR)
            # Else the source could block.
            while await loop.sock_recv(source, 65536):
                pass
            return False
        if fault.kind == "truncate":
            for sock in (source, target):
                sock.shutdown(socket.SHUT_WR)
            return False
        if fault.kind == "reset":
            raise ConnectionAbortedError
        assert fault.kind == "stall"
        await loop.create_future()
        raise AssertionError


@pytest.fixture
def proxy():
    return Proxy


@pytest.fixture
def fault():
    return Fault


FROM_CLIENT = ["hello, wörld", "caf\u00e9 in fragments", b"\x00\xff" * 70]
FROM_SERVER = ["welcome", *FROM_CLIENT]


@dataclasses.dataclass
class Result:
    """How a conversation ended on one side: what was received, and the exception, if any."""

    received: list = dataclasses.field(default_factory=list)
    exc: BaseException | None = None
    ended: bool = False


class Conversation:
    """A server, and clients that have the same conversation with it, many at a time."""

    def __init__(self, api, compression):
        self.api = api
        self.compression = compression
        self.options = {}
        self.served = []

    @contextlib.asynccontextmanager
    async def serve(self, seconds):
        """Serve, with this timeout wherever one can be set; return the port."""
        self.options = {"compression": self.compression} | dict.fromkeys(
            ["open_timeout", "close_timeout", "ping_interval", "ping_timeout"], seconds
        )
        async with self.api.serve(self._handle, "127.0.0.1", 0, **self.options) as server:
            yield server.sockets[0].getsockname()[1]

    async def _handle(self, connection):
        result = Result()
        self.served.append(result)
        try:
            await connection.send(FROM_SERVER[0])
            async for message in connection:
                result.received.append(message)
                await connection.send(message)
        except ConnectionClosed as exc:
            result.exc = exc
        finally:
            result.ended = True

    async def hold(self, port):
        """Hold the conversation; return how it went for the client."""
        result = Result()
        try:
            async with self.api.connect(f"ws://127.0.0.1:{port}/", **self.options) as connection:
                result.received.append(await connection.recv())
                await connection.send(FROM_CLIENT[0])
                result.received.append(await connection.recv())
                await connection.send(iter(["caf\u00e9", " in ", "fragments"]))
                result.received.append(await connection.recv())
                await (await connection.ping(b"ping"))
                await connection.send(FROM_CLIENT[2])
                result.received.append(await connection.recv())
                await connection.close(1000, "bye")
                await connection.wait_closed()
        # What the documentation says that connect() and connections raise.
        except (ConnectionClosed, InvalidHandshake, OSError, EOFError, TimeoutError) as exc:
            result.exc = exc
        result.ended = True
        return result


@pytest.fixture(params=[None, "deflate"], ids=["plain", "compressed"])
def conversation(request, api):
    return Conversation(api, request.param)


@pytest.fixture
def expected():
    """Messages that the client and the server receive."""
    return FROM_SERVER, FROM_CLIENT


# Nothing may be left


@pytest.fixture(autouse=True)
async def _nothing_is_left():
    """Fail a test that leaves a task or a file descriptor, or an exception that nobody handled."""
    contexts = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    gc.collect()
    descriptors = open_descriptors()
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}
    # Transports close in the turn after.
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert open_descriptors() == descriptors
    assert contexts == []


def open_descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None


@pytest.fixture
def nothing_is_logged(caplog):
    """Fail a test in which more is logged than what happens every day."""
    caplog.set_level(logging.INFO)
    yield
    records = [record for record in caplog.records if record.levelno > logging.INFO]
    assert [record.getMessage() for record in records] == []
