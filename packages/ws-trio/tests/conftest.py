"""What the tests of this package share.

Tests are coroutine functions that :func:`trio.testing.trio_test` runs, on the clock that is among
their fixtures, if any.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import ssl
import tempfile
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from ws_protocol.client import ClientProtocol
from ws_protocol.frames import Opcode
from ws_protocol.http11 import Request
from ws_protocol.protocol import Protocol, Side
from ws_protocol.server import ServerProtocol
from ws_protocol.uri import parse_uri
from ws_trio import ClientConnection, Connection, serve


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    """Hide the proxies that the environment configures."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def clock():
    """A clock that jumps to the next deadline when there is nothing else to do."""
    return trio.testing.MockClock(autojump_threshold=0)


@pytest.fixture
def socket_path():
    """A path for a Unix socket, which has room for a hundred bytes: ``tmp_path`` can be longer."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory) / "socket"


@pytest.fixture(scope="session")
def ca():
    """A certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="session", autouse=True)
def _trust_ca(ca, tmp_path_factory):
    """Let clients trust it that have no TLS context of their own."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(scope="session")
def server_tls(ca):
    """A TLS context for servers at localhost and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def untrusted_tls():
    """A TLS context for servers that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(ca):
    """A TLS context for clients that trust these servers."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


# In memory


class MemoryStream(trio.abc.Stream):
    """A stream in memory, which gives what is sent to a :class:`Peer`. Like one of TLS, it can't
    close one direction alone.

    Args:
        peer: The other side.

    Attributes:
        blocked: Whether sending waits, as when the peer doesn't read.
        sent: What was sent when it was blocked.
        closed: Whether it is closed.
        reads: How often something was asked for.

    """

    def __init__(self, peer):
        self.peer = peer
        self.blocked = False
        self.closed = False
        self.reads = 0
        self._incoming = collections.deque()
        self._error = None
        self._lot = trio.lowlevel.ParkingLot()
        peer.stream = self

    async def send_all(self, data):
        await trio.lowlevel.checkpoint()
        assert data
        while self.blocked and self._error is None:
            await self._lot.park()
        if self._error is not None:
            raise trio.BrokenResourceError from self._error
        self.peer.receive(data)

    async def wait_send_all_might_not_block(self):
        raise NotImplementedError

    async def receive_some(self, max_bytes=None):
        await trio.lowlevel.checkpoint()
        self.reads += 1
        while not self._incoming and not self.closed:
            await self._lot.park()
        if self.closed:
            raise trio.ClosedResourceError
        data = self._incoming.popleft()
        if isinstance(data, OSError):
            raise trio.BrokenResourceError from data
        return data

    async def aclose(self):
        self.closed = True
        self.peer.receive(None)
        self._lot.unpark_all()
        await trio.lowlevel.checkpoint()

    # For the test

    def receive(self, data):
        """Receive bytes; an empty bytestring for the end, an :exc:`OSError` for an error."""
        self._incoming.append(data)
        self._lot.unpark_all()

    def unblock(self, error=None):
        """Let the peer read again, or let sending fail from now on."""
        self.blocked = False
        self._error = error
        self._lot.unpark_all()


class HalfCloseableMemoryStream(MemoryStream, trio.abc.HalfCloseableStream):
    """The same, like one without TLS."""

    async def send_eof(self):
        await trio.lowlevel.checkpoint()
        self.peer.receive(None)


class Peer:
    """The other side of a connection in memory.

    It answers what the protocol answers, unless :attr:`silent` is set.

    Args:
        protocol: Its protocol.

    Attributes:
        protocol: Its protocol.
        stream: The stream of the connection.
        frames: Frames it received.
        silent: Whether it sends nothing by itself: :meth:`flush` does.
        eof_received: Whether the connection closed its side.

    """

    def __init__(self, protocol):
        self.protocol = protocol
        self.stream = None
        self.frames = []
        self.silent = False
        self.eof_received = False

    def opcodes(self):
        """The opcodes of the frames it received."""
        return [frame.opcode for frame in self.frames]

    def payloads(self):
        """The payloads of the data frames it received."""
        return [
            bytes(frame.data)
            for frame in self.frames
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
        ]

    def receive(self, data):
        """Receive bytes; :obj:`None` for the end of the stream."""
        if data is None:
            self.eof_received = True
            self.protocol.receive_eof()
        else:
            self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.protocol.send_response(self.protocol.accept(event))
            else:
                self.frames.append(event)
        if not self.silent:
            self.flush()

    def collect(self):
        """Return the bytes that it is to send, instead of sending them."""
        return b"".join(self.protocol.data_to_send())

    def flush(self):
        """Send, as one chunk, what it is to send."""
        writes = self.protocol.data_to_send()
        if data := b"".join(writes):
            self.stream.receive(data)
        if writes and not writes[-1]:
            self.stream.receive(b"")

    def send(self, *messages):
        """Send messages, in one chunk: a list is one in fragments."""
        for message in messages:
            fragments = message if isinstance(message, list) else [message]
            for i, fragment in enumerate(fragments):
                fin = i == len(fragments) - 1
                if i > 0:
                    send = self.protocol.send_continuation
                elif isinstance(fragment, str):
                    send = self.protocol.send_text
                else:
                    send = self.protocol.send_binary
                send(fragment.encode() if isinstance(fragment, str) else fragment, fin=fin)
        self.flush()

    def send_fragment(self, data, first=False):
        """Send a fragment of a text message that isn't the last."""
        if first:
            self.protocol.send_text(data, fin=False)
        else:
            self.protocol.send_continuation(data, fin=False)
        self.flush()

    def close(self, code=1000, reason=""):
        """Send a close frame."""
        self.protocol.send_close(code, reason)
        self.flush()


@pytest.fixture
def link(clock):
    """Return an asynchronous context manager that makes an open connection in memory, and returns
    it and its :class:`Peer`.

    It takes the side of the connection, whether its stream is like one of TLS, and arguments of the
    connection. A client has performed its opening handshake; a server has none.
    """

    @contextlib.asynccontextmanager
    async def link(side=Side.CLIENT, *, tls=False, **kwargs):
        make_stream = MemoryStream if tls else HalfCloseableMemoryStream
        # Of virtual time. A test that waits for what isn't going to happen ends here.
        with trio.fail_after(1e6):
            async with trio.open_nursery() as nursery:
                if side is Side.CLIENT:
                    peer = Peer(ServerProtocol())
                    protocol = ClientProtocol(parse_uri("ws://localhost/"))
                    connection = ClientConnection(nursery, make_stream(peer), protocol, **kwargs)
                    await connection.handshake()
                else:
                    peer = Peer(Protocol(Side.CLIENT))
                    connection = Connection(
                        nursery, make_stream(peer), Protocol(Side.SERVER), **kwargs
                    )
                yield connection, peer
                nursery.cancel_scope.cancel()

    return link


# On the loopback interface


def get_port(server):
    """Return the port that a server listens on."""
    listener = server.listeners[0]
    while isinstance(listener, trio.SSLListener):
        listener = listener.transport_listener
    return listener.socket.getsockname()[1]


@pytest.fixture
def get_uri():
    """Return a function that returns the URI of a server on 127.0.0.1."""

    def get_uri(server, path="/", scheme="ws"):
        return f"{scheme}://127.0.0.1:{get_port(server)}{path}"

    return get_uri


async def echo(websocket):
    """Send messages back."""
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture
def run_server():
    """Return an asynchronous context manager that runs a server, and returns it. It takes the
    handler, which sends messages back by default, and arguments of :func:`serve`."""

    @contextlib.asynccontextmanager
    async def run_server(handler=echo, *, run=serve, **kwargs):
        if run is serve and "listeners" not in kwargs:
            kwargs = {"port": 0, "host": "127.0.0.1"} | kwargs
        # Whatever the machine is busy with.
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                server = await nursery.start(functools.partial(run, handler, **kwargs))
                yield server
                await server.aclose()

    return run_server


@pytest.fixture
def run_tcp_server():
    """Return an asynchronous context manager that runs a TCP server, and returns its port. It takes
    a coroutine function that gets a stream, which is closed when it returns, and a TLS context."""

    @contextlib.asynccontextmanager
    async def run_tcp_server(talk, context=None):
        async def handle(stream):
            with contextlib.suppress(trio.BrokenResourceError):
                async with stream:
                    await talk(stream)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                port = listeners[0].socket.getsockname()[1]
                if context is not None:
                    listeners = [trio.SSLListener(listeners[0], context)]
                await nursery.start(trio.serve_listeners, handle, listeners)
                yield port
                nursery.cancel_scope.cancel()

    return run_tcp_server
