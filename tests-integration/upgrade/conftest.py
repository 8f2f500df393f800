"""What the tests of the upgrade share. All of it works with both implementations."""

import asyncio
import contextlib
import os
import re
from pathlib import Path

import pytest

import websockets.asyncio.client
from websockets.exceptions import InvalidStatus


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    """Hide the proxies that the environment configures: the original has none."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
async def _no_task_is_left():
    """Fail a test that leaves a task behind."""
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture(autouse=True)
async def _no_exception_is_lost():
    """Fail a test in which the event loop had to report an exception that nobody handled."""
    contexts = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    yield
    assert contexts == []


@pytest.fixture
def deprecated(request):
    """Return a context manager that expects a :exc:`DeprecationWarning`, which points at the test.

    It takes the text of the warning, or how it begins.
    """

    @contextlib.contextmanager
    def deprecated(text):
        with pytest.warns(DeprecationWarning, match=f"^{re.escape(text)}") as records:
            yield
        assert {Path(record.filename) for record in records} == {request.path}

    return deprecated


@pytest.fixture
def get_uri():
    """Return a function that returns the URI of a server on 127.0.0.1."""

    def get_uri(server, path="/", userinfo=""):
        port = server.sockets[0].getsockname()[1]
        return f"ws://{userinfo}127.0.0.1:{port}{path}"

    return get_uri


@pytest.fixture
def echo():
    """A connection handler that sends what it receives."""

    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    return echo


@pytest.fixture
def accepted():
    """A queue of the connections for which :func:`handler` was called."""
    return asyncio.Queue()


@pytest.fixture
def handler(accepted):
    """A connection handler that leaves the connection to the test."""

    async def handler(websocket):
        accepted.put_nowait(websocket)
        await websocket.wait_closed()

    return handler


@pytest.fixture
def get_response():
    """Return a coroutine function that connects to a server that refuses, and returns its response.

    It takes the arguments of the new implementation's client, whose exception has the response.
    """

    async def get_response(uri, **kwargs):
        with pytest.raises(InvalidStatus) as excinfo:
            await websockets.asyncio.client.connect(uri, **kwargs)
        return excinfo.value.response

    return get_response
