"""Attributes of connection objects that were renamed or removed."""

import pytest

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State


@pytest.fixture
async def original(accepted, handler, get_uri):
    """Both sides of a connection of the original implementation."""
    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server, "/chat?room=1")) as websocket:
            yield websocket, await accepted.get()


@pytest.fixture
async def new(accepted, handler, get_uri):
    """Both sides of a connection of the new implementation."""
    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server, "/chat?room=1")) as websocket:
            yield websocket, await accepted.get()


# path, request_headers, and response_headers


def test_path(original, new):
    for connection in original:
        assert connection.path == "/chat?room=1"
        assert not hasattr(connection, "request")

    for connection in new:
        assert connection.request.path == "/chat?room=1"
        assert not hasattr(connection, "path")


def test_request_headers(original, new):
    for connection in original:
        assert connection.request_headers["Upgrade"] == "websocket"
        assert connection.request_headers["sec-websocket-version"] == "13"

    for connection in new:
        assert connection.request.headers["Upgrade"] == "websocket"
        assert connection.request.headers["sec-websocket-version"] == "13"
        assert not hasattr(connection, "request_headers")


def test_response_headers(original, new):
    for connection in original:
        assert connection.response_headers["Upgrade"] == "websocket"
        assert "sec-websocket-accept" in connection.response_headers
        assert not hasattr(connection, "response")

    for connection in new:
        assert connection.response.headers["Upgrade"] == "websocket"
        assert "sec-websocket-accept" in connection.response.headers
        assert not hasattr(connection, "response_headers")


def test_extensions(original, new):
    for connection in original:
        assert [extension.name for extension in connection.extensions] == ["permessage-deflate"]

    for connection in new:
        extensions = connection.protocol.extensions
        assert [extension.name for extension in extensions] == ["permessage-deflate"]
        assert not hasattr(connection, "extensions")


# open and closed


async def close(connections):
    """Close a connection, and wait until both sides know."""
    client, server = connections
    await client.close()
    await server.wait_closed()


async def test_open(original, new):
    for connection in original:
        assert connection.open
    await close(original)
    for connection in original:
        assert not connection.open

    for connection in new:
        assert connection.state is State.OPEN
        assert not hasattr(connection, "open")
    await close(new)
    for connection in new:
        assert connection.state is not State.OPEN


async def test_closed(original, new):
    for connection in original:
        assert not connection.closed
    await close(original)
    for connection in original:
        assert connection.closed

    for connection in new:
        assert connection.state is not State.CLOSED
        assert not hasattr(connection, "closed")
    await close(new)
    for connection in new:
        assert connection.state is State.CLOSED


async def test_exceptions_instead_of_open_and_closed(original, new):
    for connections in [original, new]:
        client, server = connections
        await client.send("Hello!")
        assert await server.recv() == "Hello!"
        await close(connections)
        for connection in connections:
            with pytest.raises(ConnectionClosed):
                await connection.recv()
            with pytest.raises(ConnectionClosed):
                await connection.send("Hello!")
