"""Connections and servers make no reference cycles: memory is free when they are done, not when the
garbage collector comes round."""

import asyncio
import contextlib
import gc
import logging
import os
import ssl
import sys
import weakref

import pytest

from ws_asyncio import ClientConnection, ServerConnection, connect, serve

pytestmark = [
    pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"]),
    pytest.mark.skipif(
        sys.implementation.name != "cpython", reason="only CPython counts references"
    ),
]

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class References:
    """Weak references to connections, their protocols, and servers."""

    def __init__(self):
        self._references = []
        # pytest keeps the records of those that it finds, which refer to connections.
        self.logger = logging.Logger("nobody listens", logging.INFO)  # noqa: LOG001
        self.logger.addHandler(logging.NullHandler())

    def add(self, *objects):
        self._references += map(weakref.ref, objects)

    def create_client(self, protocol, **kwargs):
        connection = ClientConnection(protocol, **kwargs)
        self.add(connection, protocol)
        return connection

    def create_server(self, protocol, server, **kwargs):
        connection = ServerConnection(protocol, server, **kwargs)
        self.add(connection, protocol, server)
        return connection

    def connect(self, *args, **kwargs):
        return connect(*args, create_connection=self.create_client, logger=self.logger, **kwargs)

    def serve(self, handler, **kwargs):
        return serve(
            handler,
            "127.0.0.1",
            0,
            create_connection=self.create_server,
            logger=self.logger,
            **kwargs,
        )

    async def check(self):
        """Check that there are some, and that what they refer to is gone."""
        assert self._references
        # Transports let go of connections a few rounds of the event loop after they are closed.
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert [reference() for reference in self._references if reference() is not None] == []


@pytest.fixture
def references():
    gc.collect()
    gc.disable()
    yield References()
    gc.enable()


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def fail(*args):
    raise LookupError("mine")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_nothing_is_left_after_a_conversation(
    references, get_uri, server_tls, client_tls, scheme
):
    async def talk():
        tls = scheme == "wss"
        async with references.serve(echo, ssl=server_tls if tls else None) as server:
            async with references.connect(
                get_uri(server, scheme=scheme), ssl=client_tls if tls else None
            ) as connection:
                await connection.send("hello")
                await connection.recv()
                await connection.ping()

    await talk()
    await references.check()


@pytest.mark.asyncio(loop_factories=["asyncio"])
@pytest.mark.skipif(
    os.environ.get("TEST_EVENT_LOOP") == "uvloop", reason="uvloop's can't be referred to weakly"
)
@pytest.mark.skipif(sys.version_info < (3, 12), reason="they refer to themselves in Python 3.11")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_nothing_is_left_of_transports(references, get_uri, server_tls, client_tls, scheme):
    tls = scheme == "wss"

    async def handler(connection):
        references.add(connection.transport)

    async def talk():
        async with (
            references.serve(handler, ssl=server_tls if tls else None) as server,
            references.connect(
                get_uri(server, scheme=scheme), ssl=client_tls if tls else None
            ) as connection,
        ):
            references.add(connection.transport)
            await connection.wait_closed()

    await talk()
    await references.check()


async def test_nothing_is_left_after_iterating(references, get_uri):
    async def talk():
        async with references.serve(echo) as server:
            connections = 0
            async for connection in references.connect(get_uri(server)):
                await connection.ping()
                connections += 1
                if connections == 3:
                    break
            await connection.wait_closed()

    await talk()
    await references.check()


async def test_nothing_is_left_after_a_lost_connection(references, get_uri):
    async def talk():
        async with references.serve(echo) as server:
            async with references.connect(get_uri(server)) as connection:
                connection.transport.abort()
                with contextlib.suppress(Exception):
                    await connection.recv()

    await talk()
    await references.check()


async def test_nothing_is_left_after_a_handler_failed(references, get_uri):
    async def talk():
        async with references.serve(fail) as server:
            async with references.connect(get_uri(server)) as connection:
                await connection.wait_closed()

    await talk()
    await references.check()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize(
    "kwargs",
    [
        pytest.param({"process_request": lambda c, r: c.respond(404, "")}, id="refusal"),
        pytest.param({"process_response": lambda c, r, s: c.respond(404, "")}, id="response"),
        pytest.param({"process_request": fail}, id="failure"),
        pytest.param({"select_subprotocol": lambda c, s: 1 / 0}, id="subprotocol"),
        pytest.param({"origins": []}, id="origin"),
    ],
)
async def test_nothing_is_left_of_the_server_after_a_refusal(
    references, open_tcp_connection, server_tls, client_tls, kwargs, scheme
):
    async def talk():
        tls = scheme == "wss"
        async with references.serve(echo, ssl=server_tls if tls else None, **kwargs) as server:
            reader, writer = await open_tcp_connection(
                server, **({"ssl": client_tls} if tls else {})
            )
            writer.write(REQUEST)
            await reader.read()
            writer.close()

    await talk()
    await references.check()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_nothing_is_left_of_the_client_after_a_refusal(
    references, get_uri, server_tls, client_tls, scheme
):
    async def talk():
        tls = scheme == "wss"
        async with serve(
            echo, "127.0.0.1", 0, ssl=server_tls if tls else None, origins=[]
        ) as server:
            with contextlib.suppress(Exception):
                await references.connect(
                    get_uri(server, scheme=scheme), ssl=client_tls if tls else None
                )

    await talk()
    await references.check()


@pytest.mark.parametrize(
    "process_exception",
    [lambda exc: exc, lambda exc: LookupError("mine"), lambda exc: None],
    ids=["same", "other", "none"],
)
async def test_nothing_is_left_after_an_iterator_gave_up(
    references, start_tcp_server, process_exception
):
    async def close(reader, writer):
        await reader.readuntil(b"\r\n\r\n")

    async def talk(uri):
        iterator = references.connect(
            uri, process_exception=process_exception, reconnect_delays=lambda: iter([0])
        )
        with contextlib.suppress(Exception):
            async for _ in iterator:
                pass

    await talk(f"ws://127.0.0.1:{await start_tcp_server(close)}")
    await references.check()


@pytest.mark.parametrize(
    "data",
    [b"", REQUEST[:10], b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"not HTTP\r\n\r\n"],
)
async def test_nothing_is_left_after_a_request_that_is_not_valid(
    references, open_tcp_connection, data
):
    async def talk():
        async with references.serve(echo) as server:
            reader, writer = await open_tcp_connection(server)
            writer.write(data)
            writer.write_eof()
            await reader.read()
            writer.close()

    await talk()
    await references.check()


@pytest.mark.parametrize("data", [b"", REQUEST, b"\x16\x03\x01"])
async def test_nothing_is_left_of_the_server_after_a_tls_handshake_failed(
    references, open_tcp_connection, server_tls, data
):
    async def talk():
        async with references.serve(echo, ssl=server_tls) as server:
            reader, writer = await open_tcp_connection(server)
            writer.write(data)
            writer.write_eof()
            await reader.read()
            writer.close()

    await talk()
    await references.check()


async def test_nothing_is_left_of_the_client_after_a_tls_handshake_failed(
    references, get_uri, untrusted_tls, start_proxy
):
    async def talk(proxy):
        async with serve(echo, "127.0.0.1", 0, ssl=untrusted_tls) as server:
            with contextlib.suppress(ssl.SSLError):
                await references.connect(get_uri(server, scheme="wss"), proxy=proxy)

    await talk(None)
    await talk((await start_proxy("http")).url)
    await references.check()


async def test_nothing_is_left_after_the_handshake_timed_out(
    references, get_uri, open_tcp_connection
):
    async def wait(connection, request):
        await asyncio.Event().wait()

    async def talk():
        async with references.serve(echo, open_timeout=0.01) as server:
            reader, writer = await open_tcp_connection(server)
            await reader.read()
            writer.close()
        async with references.serve(echo, process_request=wait, open_timeout=0.02) as server:
            with contextlib.suppress(TimeoutError):
                await references.connect(get_uri(server), open_timeout=0.01)

    await talk()
    await references.check()


async def test_nothing_is_left_of_a_server_that_nobody_used(references):
    async def talk():
        references.add(references.serve(echo))
        async with references.serve(echo) as server:
            references.add(server)

    await talk()
    await references.check()
