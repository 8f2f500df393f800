"""Tests of the application: with pytest, and pytest-asyncio in its mode "auto"."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from chat import chat

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError


@pytest.fixture
async def uri() -> AsyncIterator[str]:
    """Run the server on a free port, and give its URI."""
    async with serve(chat, "localhost", 0, max_size=100) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://localhost:{port}/"


async def test_everybody_hears_what_somebody_says(uri: str) -> None:
    async with connect(uri) as alice, connect(uri) as bob:
        await alice.send("Hello!")
        # A message that doesn't come must fail the test, not stop it.
        async with asyncio.timeout(5):
            assert await alice.recv() == "Hello!"
            assert await bob.recv() == "Hello!"


async def test_empty_messages_are_heard_by_nobody(uri: str) -> None:
    async with connect(uri) as alice, connect(uri) as bob:
        await alice.send("")
        await alice.send("something")
        async with asyncio.timeout(5):
            # There is no need to wait for what isn't to come: messages stay in order.
            assert await bob.recv() == "something"


async def test_long_messages_end_the_connection(uri: str) -> None:
    async with connect(uri) as alice:
        await alice.send("x" * 101)
        with pytest.raises(ConnectionClosedError) as excinfo:
            async with asyncio.timeout(5):
                await alice.recv()
    assert excinfo.value.rcvd is not None
    assert excinfo.value.rcvd.code == 1009
