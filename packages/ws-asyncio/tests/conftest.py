"""What the tests of this package share."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import selectors
import ssl
import tempfile
import weakref
from pathlib import Path

import pytest
import trustme

from ws_asyncio import ClientConnection, Connection, Server
from ws_protocol.client import ClientProtocol
from ws_protocol.frames import Opcode
from ws_protocol.http11 import Request
from ws_protocol.protocol import Protocol, Side
from ws_protocol.server import ServerProtocol
from ws_protocol.uri import parse_uri


class VirtualSelector(selectors.DefaultSelector):
    """A selector that doesn't wait: the time for which it would have waited has passed at once.

    Attributes:
        now: The time.

    """

    def __init__(self):
        super().__init__()
        self.now = 1000.0

    def select(self, timeout=None):
        events = super().select(0)
        # With keepalive, something happens all the time.
        if (not events and timeout is None) or self.now > 2e6:
            raise RuntimeError("what is waited for isn't going to happen: the test would hang")
        # Each round of the event loop takes a little time, too.
        self.now += 1e-6 if events or not timeout else max(timeout, 1e-6)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock goes on to the next timer when there is nothing else to do.

    Its timers are as bad as those of any event loop: like uvloop's, they count in milliseconds,
    which makes them early sometimes, and have no :class:`~asyncio.TimerHandle` when that is now.
    """

    def __init__(self):
        self.selector = VirtualSelector()
        self.timers = weakref.WeakSet()
        super().__init__(self.selector)

    def time(self):
        return self.selector.now

    def call_at(self, when, callback, *args, context=None):
        delay = round((when - self.time()) * 1000) / 1000
        if delay <= 0:
            return self.call_soon(callback, *args, context=context)
        timer = super().call_at(self.time() + delay, callback, *args, context=context)
        self.timers.add(timer)
        return timer


LOOPS = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:  # then the tests that ask for it are skipped
    pass
else:
    LOOPS["uvloop"] = uvloop.new_event_loop

# In place of asyncio's event loop, but not of the virtual one.
if "TEST_EVENT_LOOP" in os.environ:
    LOOPS["asyncio"] = LOOPS[os.environ["TEST_EVENT_LOOP"]]


def pytest_asyncio_loop_factories(config, item):
    """Run tests on asyncio's event loop; and on uvloop's, too, if they are marked with
    ``asyncio(loop_factories=["asyncio", "uvloop"])``. Those that have a :func:`clock` run on a
    :class:`VirtualLoop`."""
    if "clock" in item.fixturenames:
        return {"virtual": VirtualLoop}
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        return LOOPS
    return {"asyncio": LOOPS["asyncio"]}


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    """Hide the proxies that the environment configures."""
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


@pytest.fixture
def get_uri():
    """Return a function that returns the URI of a server on 127.0.0.1."""

    def get_uri(server: Server, path: str = "/", scheme: str = "ws") -> str:
        port = server.sockets[0].getsockname()[1]
        return f"{scheme}://127.0.0.1:{port}{path}"

    return get_uri


@pytest.fixture
async def start_tcp_server():
    """Return a function that starts a TCP server, and returns its port.

    It takes a coroutine function that gets a :class:`~asyncio.StreamReader` and a
    :class:`~asyncio.StreamWriter` for each connection, which is closed when it returns; and
    arguments for :func:`asyncio.start_server`.
    """
    tasks = set()

    async def start(talk, **kwargs):
        async def handle(reader, writer):
            task = asyncio.current_task()
            tasks.add(task)
            try:
                try:
                    await talk(reader, writer)
                finally:
                    writer.close()
                    await writer.wait_closed()
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)

        server = await asyncio.start_server(handle, "127.0.0.1", 0, **kwargs)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    servers = []
    yield start
    for server in servers:
        server.close()
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for server in servers:
        await server.wait_closed()


class Proxy:
    """An HTTP or SOCKS proxy, which takes every host name for 127.0.0.1.

    Args:
        scheme: Scheme of its URL.
        credentials: User name and password that it asks for, if any.
        refusing: Whether it refuses all connections.

    Attributes:
        port: Its port.
        targets: The hosts and ports that it was asked for.
        heads: The requests that it received, if it is an HTTP proxy.

    """

    def __init__(self, scheme, credentials, refusing):
        self.scheme = scheme
        self.credentials = credentials
        self.refusing = refusing
        self.port = None
        self.targets = []
        self.heads = []

    @property
    def url(self):
        user_info = ":".join(self.credentials) + "@" if self.credentials else ""
        return f"{self.scheme}://{user_info}127.0.0.1:{self.port}"

    async def talk(self, reader, writer):
        """Do what it is asked for on a new connection."""
        if self.scheme.startswith("http"):
            host, port, yes, no = await self.read_http(reader)
        elif self.scheme.startswith("socks5"):
            host, port, yes, no = await self.read_socks5(reader, writer)
        else:
            host, port, yes, no = await self.read_socks4(reader)
        self.targets.append((host, port))
        if self.refusing:
            writer.write(no)
            return
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(yes)
            copies = [
                asyncio.ensure_future(self.copy(reader, target_writer)),
                asyncio.ensure_future(self.copy(target_reader, writer)),
            ]
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
        finally:
            target_writer.close()
            with contextlib.suppress(OSError):
                await target_writer.wait_closed()

    async def copy(self, reader, writer):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()

    async def read_http(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, target, _ = head.split(" ", 2)
        assert method == "CONNECT"
        host, port = target.rsplit(":", 1)
        no = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nNo\n"
        return host, int(port), b"HTTP/1.1 200 Connection established\r\n\r\n", no

    async def read_socks5(self, reader, writer):
        # RFC 1928 and RFC 1929.
        version, number = await reader.readexactly(2)
        assert version == 5
        methods = await reader.readexactly(number)
        method = 2 if self.credentials else 0
        assert method in methods
        writer.write(bytes([5, method]))
        if self.credentials:
            assert await reader.readexactly(1) == b"\x01"
            given = [await reader.readexactly(*await reader.readexactly(1)) for _ in range(2)]
            assert given == [text.encode() for text in self.credentials]
            writer.write(b"\x01\x00")
        *_, address_type = await reader.readexactly(4)
        if address_type == 1:
            host = ".".join(map(str, await reader.readexactly(4)))
        else:
            assert address_type == 3
            host = (await reader.readexactly(*await reader.readexactly(1))).decode()
        port = int.from_bytes(await reader.readexactly(2))
        rest = b"\x00\x01\x00\x00\x00\x00\x00\x00"
        return host, port, b"\x05\x00" + rest, b"\x05\x02" + rest

    async def read_socks4(self, reader):
        version, command = await reader.readexactly(2)
        assert (version, command) == (4, 1)
        port = int.from_bytes(await reader.readexactly(2))
        host = ".".join(map(str, await reader.readexactly(4)))
        username = (await reader.readuntil(b"\0"))[:-1].decode()
        assert username == (self.credentials[0] if self.credentials else "")
        if host.startswith("0.0.0."):
            # Which stands for a name (SOCKS 4a).
            host = (await reader.readuntil(b"\0"))[:-1].decode()
        return host, port, b"\x00\x5a" + bytes(6), b"\x00\x5b" + bytes(6)


@pytest.fixture
def start_proxy(start_tcp_server, server_tls):
    """Return a coroutine function that starts a :class:`Proxy`."""

    async def start_proxy(scheme, *, credentials=None, refusing=False):
        proxy = Proxy(scheme, credentials, refusing)
        tls = server_tls if scheme == "https" else None
        proxy.port = await start_tcp_server(proxy.talk, ssl=tls)
        return proxy

    return start_proxy


@pytest.fixture
async def open_tcp_connection():
    """Return a function that opens a TCP connection to a server, and returns a
    :class:`~asyncio.StreamReader` and a :class:`~asyncio.StreamWriter`."""
    writers = []

    async def open_tcp_connection(server: Server, **kwargs):
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port, **kwargs)
        writers.append(writer)
        return reader, writer

    yield open_tcp_connection
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Clock:
    """The clock of a :class:`VirtualLoop`."""

    async def settle(self):
        """Run all that can run before time passes."""
        await asyncio.sleep(0.001)

    async def advance(self, seconds):
        """Let time pass."""
        await asyncio.sleep(seconds)

    def stall(self, seconds):
        """Let time pass while the event loop doesn't run, as if the program was busy."""
        asyncio.get_running_loop().selector.now += seconds

    def time(self):
        return asyncio.get_running_loop().time()

    def timers(self):
        """Return the timers that are still to come."""
        timers = asyncio.get_running_loop().timers
        return [timer for timer in timers if not timer.cancelled() and timer.when() > self.time()]


@pytest.fixture
def clock():
    """The clock of the test, which runs on a :class:`VirtualLoop`: no time really passes."""
    return Clock()


class MemoryTransport(asyncio.Transport):
    """A transport in memory, which gives what is written to a :class:`Peer`.

    Args:
        protocol: The asyncio protocol on this side.
        peer: The other side.
        half_close: Whether one direction can be closed alone, as without TLS.

    Attributes:
        writes: What was written, one by one.
        buffer: What was written and hasn't left, because the peer doesn't read.
        reading: Whether it reads what the peer sends.
        pauses: How often :meth:`pause_reading` stopped it from reading.
        aborted: Whether it was aborted.

    """

    def __init__(self, protocol, peer, *, half_close=True):
        super().__init__(extra={"sockname": ("127.0.0.1", 1234), "peername": ("127.0.0.1", 5678)})
        self._protocol = protocol
        self._peer = peer
        self._half_close = half_close
        self._loop = asyncio.get_running_loop()
        self._incoming = collections.deque()
        self._high, self._low = 65536, 16384
        self._blocked = self._writing_paused = False
        self._closing = self._eof_written = self._lost = False
        self.writes = []
        self.buffer = b""
        self.reading = True
        self.pauses = 0
        self.aborted = False
        peer.transport = self
        protocol.connection_made(self)

    # For the connection

    def is_closing(self):
        return self._closing

    def is_reading(self):
        return self.reading and not self._closing

    def pause_reading(self):
        assert not self._closing
        assert self.reading
        self.reading = False
        self.pauses += 1

    def resume_reading(self):
        if not self._closing:
            assert not self.reading
            self.reading = True
            self._loop.call_soon(self._read)

    def set_write_buffer_limits(self, high=None, low=None):
        self._high = 65536 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_limits(self):
        return self._low, self._high

    def get_write_buffer_size(self):
        return len(self.buffer)

    def write(self, data):
        assert data
        assert not self._closing
        assert not self._eof_written
        self.writes.append(data)
        self.buffer += data
        if not self._blocked:
            self._drain(len(self.buffer))
        elif len(self.buffer) > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self):
        return self._half_close

    def write_eof(self):
        assert self._half_close
        assert not self._closing
        assert not self._eof_written
        self._eof_written = True
        self._finish()

    def close(self):
        if not self._closing:
            self._closing = True
            self._finish()

    def abort(self):
        self.aborted = True
        self.lose(None)

    # For the test

    def block(self):
        """Let the peer stop reading."""
        self._blocked = True

    def unblock(self, size=None):
        """Let the peer read some of what waits; by default all, and what comes after it."""
        if size is None:
            self._blocked = False
            size = len(self.buffer)
        self._drain(size)
        self._finish()

    def set_protocol(self, protocol):
        self._protocol = protocol

    def receive(self, data):
        """Receive bytes; :obj:`None` for the end of the stream."""
        self._incoming.append(data)
        self._read()

    def lose(self, exc):
        """Lose the connection."""
        self._closing = True
        if not self._lost:
            self._lost = True
            self.buffer = b""
            self._incoming.clear()
            self._loop.call_soon(self._tell_loss, exc)

    def _tell_loss(self, exc):
        self._protocol.connection_lost(exc)
        # As other transports do: else the connection and it would refer to one another.
        self._protocol = self._peer = None

    def _read(self):
        while self._incoming and self.reading and not self._closing:
            data = self._incoming.popleft()
            if data is not None:
                self._deliver(data)
            elif not self._protocol.eof_received():
                self.close()

    def _deliver(self, data):
        if not isinstance(self._protocol, asyncio.BufferedProtocol):
            self._protocol.data_received(data)
            return
        buffer = self._protocol.get_buffer(-1)
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        if data[size:]:
            self._incoming.appendleft(data[size:])
        self._protocol.buffer_updated(size)

    def _drain(self, size):
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        if data:
            self._peer.receive(data)
        if self._writing_paused and len(self.buffer) <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()

    def _finish(self):
        if not self.buffer and not self._lost:
            if self._eof_written or self._closing:
                self._peer.receive(None)
            if self._closing:
                self.lose(None)


class Peer:
    """The other side of a connection in memory.

    It answers what the protocol answers, unless :attr:`silent` is set.

    Args:
        protocol: Its protocol.

    Attributes:
        protocol: Its protocol.
        transport: The :class:`MemoryTransport` of the connection.
        frames: Frames it received.
        silent: Whether it sends nothing by itself: :meth:`flush` does.
        eof_received: Whether the connection closed its side.

    """

    def __init__(self, protocol):
        self.protocol = protocol
        self.transport = None
        self.frames = []
        self.silent = False
        self.eof_received = False

    @property
    def messages(self):
        """The whole messages it received."""
        messages, data = [], None
        for frame in self.frames:
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                text, data = frame.opcode is Opcode.TEXT, frame.data
            elif frame.opcode is Opcode.CONT:
                data += frame.data
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) and frame.fin:
                messages.append(data.decode() if text else data)
                data = None
        return messages

    def opcodes(self):
        """The opcodes of the frames it received."""
        return [frame.opcode for frame in self.frames]

    def receive(self, data):
        """Receive bytes; :obj:`None` for the end of the stream."""
        if data is None:
            if self.eof_received:
                return
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
            asyncio.get_running_loop().call_soon(self.flush)

    def collect(self):
        """Return the bytes that it is to send, instead of sending them."""
        return b"".join(self.protocol.data_to_send())

    def flush(self):
        """Send, as one chunk, what it is to send."""
        writes = self.protocol.data_to_send()
        data = b"".join(writes)
        if data:
            self.transport.receive(data)
        if writes and not writes[-1]:
            self.transport.receive(None)

    def put(self, *messages):
        """Make messages to send: a list is one in fragments."""
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

    def send(self, *messages):
        """Send messages, in one chunk: a list is one in fragments."""
        self.put(*messages)
        self.flush()

    def close(self, code=1000, reason=""):
        """Send a close frame."""
        self.protocol.send_close(code, reason)
        self.flush()

    def send_eof(self):
        """Close its side of the TCP connection."""
        self.transport.receive(None)


@pytest.fixture
async def link(clock):
    """Return a coroutine function that makes an open connection in memory, and returns it and its
    :class:`Peer`.

    It takes the side of the connection, whether its transport is like one of TLS, which can't close
    one direction alone, and arguments of the connection. A client has performed its opening
    handshake, unless ``handshake`` is false; a server has none.
    """
    # Weakly, so that tests can see connections go.
    connections = weakref.WeakSet()

    async def link(side=Side.CLIENT, *, tls=False, handshake=True, **kwargs):
        if side is Side.CLIENT:
            client = ClientProtocol(parse_uri("ws://localhost/"))
            connection = ClientConnection(client, **kwargs)
            peer = Peer(ServerProtocol())
            MemoryTransport(connection, peer, half_close=not tls)
            if handshake:
                await connection.handshake()
                # What is sent next is the first in its turn of the event loop, and leaves at once.
                await asyncio.sleep(0)
        else:
            connection = Connection(Protocol(Side.SERVER), **kwargs)
            peer = Peer(Protocol(Side.CLIENT))
            MemoryTransport(connection, peer, half_close=not tls)
        connections.add(connection)
        return connection, peer

    yield link
    for connection in list(connections):
        connection.transport.abort()
        await connection.wait_closed()
