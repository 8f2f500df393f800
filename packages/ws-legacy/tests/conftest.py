"""What the tests of this package share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import tempfile
from pathlib import Path

import pytest
import trustme

from ws_legacy import connect, serve

LOOPS = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:  # then the tests that ask for it are skipped
    pass
else:
    LOOPS["uvloop"] = uvloop.new_event_loop


def pytest_asyncio_loop_factories(config, item):
    """Run tests on asyncio's event loop; and on uvloop's, too, if they are marked with
    ``asyncio(loop_factories=["asyncio", "uvloop"])``."""
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        return LOOPS
    return {"asyncio": LOOPS["asyncio"]}


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
def socket_path():
    """A path for a Unix socket, which has room for a hundred bytes: ``tmp_path`` can be longer."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory) / "socket"


@pytest.fixture(scope="session")
def ca():
    """A certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(ca):
    """A TLS context for servers at localhost and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(ca):
    """A TLS context for clients that trust these servers."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def get_port(server):
    """Return the port of a server, ours or asyncio's."""
    return server.sockets[0].getsockname()[1]


@pytest.fixture
def get_uri():
    """Return a function that makes the URI of a server."""

    def get_uri(server, path="/", *, scheme="ws", user=""):
        return f"{scheme}://{user}127.0.0.1:{get_port(server)}{path}"

    return get_uri


@pytest.fixture
def pair(get_uri):
    """Return an asynchronous context manager: a client and its connection at the server, with some
    arguments for each."""

    @contextlib.asynccontextmanager
    async def pair(client=None, server=None, path="/"):
        accepted = asyncio.get_running_loop().create_future()

        async def handler(websocket):
            accepted.set_result(websocket)
            await websocket.wait_closed()

        async with asyncio.timeout(20), serve(handler, "127.0.0.1", 0, **server or {}) as running:
            scheme = "wss" if (server or {}).get("ssl") else "ws"
            async with connect(get_uri(running, path, scheme=scheme), **client or {}) as websocket:
                yield websocket, await accepted

    return pair


REQUEST = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@pytest.fixture
def request_raw():
    """Return a coroutine function that sends a request, and returns what comes until the server
    closes the connection or, if it opens it, until the end of the headers.

    It takes the server, the request line, and headers that replace those of a valid request.
    """

    async def request_raw(server, line="GET /?a=b HTTP/1.1", headers=None, *, raw=None):
        reader, writer = await asyncio.open_connection("127.0.0.1", get_port(server))
        lines = [
            f"{name}: {value}"
            for name, value in (REQUEST | (headers or {})).items()
            if value is not None
        ]
        try:
            writer.write(raw or "\r\n".join([line, *lines, "", ""]).encode())
            async with asyncio.timeout(20):
                data = await reader.readuntil(b"\r\n\r\n")
                if b"HTTP/1.1 101" not in data:
                    data += await reader.read()
            return data.decode()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    return request_raw


@pytest.fixture
def answer_raw():
    """Return an asynchronous context manager: a server that answers each request with some bytes,
    or the next of several, and then closes the connection. It gives its URI and the requests."""

    @contextlib.asynccontextmanager
    async def answer_raw(*answers):
        requests = []

        async def handle(reader, writer):
            requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            answer = answers[min(len(requests), len(answers)) - 1]
            writer.write(answer.replace("PORT", str(get_port(server))).encode())
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            yield f"ws://127.0.0.1:{get_port(server)}/", requests

    return answer_raw


@pytest.fixture
def records(caplog):
    """Return a function that returns what a logger logged: level and message."""
    caplog.set_level(logging.INFO)

    def records(name):
        return [
            (record.levelname, record.getMessage())
            for record in caplog.records
            if record.name == name
        ]

    return records
