"""What the tests of this package share."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path

import pytest
import trustme

from ws_protocol.frames import Frame, Opcode
from ws_protocol.protocol import Protocol, Side
from ws_threading import Connection, serve

# In seconds, for what takes milliseconds unless it is broken.
TIMEOUT = 30


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    """Hide the proxies that the environment configures."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    """Fail a test that leaves a thread behind, or in which one failed."""
    failures = []
    hook, threading.excepthook = threading.excepthook, failures.append
    before = set(threading.enumerate())
    yield
    threading.excepthook = hook
    assert failures == []
    for thread in set(threading.enumerate()) - before:
        # Those of an executor end when it is shut down, which is over, but for the last step.
        thread.join(TIMEOUT)
    assert set(threading.enumerate()) <= before


@pytest.fixture
def start():
    """Return a function that calls another in a thread, and returns a future."""
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        yield executor.submit


def wait_until(condition):
    """Wait until something is so that nothing else tells of."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Peer:
    """The other end of a connection, which does what a test says.

    Attributes:
        socket: Its socket.
        protocol: Its protocol.

    """

    def __init__(self, sock, protocol):
        self.socket = sock
        self.socket.settimeout(TIMEOUT)
        self.protocol = protocol

    def flush(self):
        """Send what the protocol wants to send."""
        for data in self.protocol.data_to_send():
            if data:
                self.socket.sendall(data)
            else:
                self.socket.shutdown(socket.SHUT_WR)

    def send(self, *messages):
        """Send messages."""
        for message in messages:
            if isinstance(message, str):
                self.protocol.send_text(message.encode())
            else:
                self.protocol.send_binary(message)
        self.flush()

    def receive(self, size=65536):
        """Return what arrives: at least one event, or nothing at the end of the stream."""
        events = []
        while not events:
            data = self.socket.recv(size)
            if not data:
                self.protocol.receive_eof()
                return []
            self.protocol.receive_data(data)
            events = self.protocol.events_received()
        return events

    def receive_until_end(self):
        """Answer what arrives until the end of the stream; return it."""
        events = []
        while new := self.receive():
            events += new
            with contextlib.suppress(OSError):
                self.flush()
        with contextlib.suppress(OSError):
            self.flush()
        return events


@pytest.fixture(params=list(Side), ids=lambda side: side.name.lower())
def side(request):
    return request.param


@pytest.fixture
def join(side):
    """Return a function that makes a connection, and the peer at the other end."""
    with contextlib.ExitStack() as stack:

        def join(**options):
            mine, theirs = socket.socketpair()
            stack.enter_context(theirs)
            stack.enter_context(mine)
            connection = Connection(mine, Protocol(side), **options)
            stack.callback(connection.wait_closed)
            stack.callback(connection.abort)
            return connection, Peer(theirs, Protocol(Side(1 - side), max_size=None))

        yield join


@pytest.fixture
def connection(join):
    """A connection."""
    connection, peer = join()
    connection.peer = peer
    return connection


@pytest.fixture
def peer(connection):
    """The peer of the connection."""
    return connection.peer


def frame(opcode, data=b"", fin=True):
    """Return what the peer receives."""
    return Frame(opcode, data, fin)


def text(data):
    return frame(Opcode.TEXT, data)


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
    """A TLS context for clients that trust the authority."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def run(start):
    """Return a function that starts a server, and returns it; it is closed after the test."""
    with contextlib.ExitStack() as stack:

        def run(handler, host="127.0.0.1", port=0, *, make=serve, **options):
            if "unix" in options or "sock" in options:
                server = make(handler, **options)
            else:
                server = make(handler, host, port, **options)
            stack.enter_context(server)
            server.serving = start(server.serve_forever)
            return server

        yield run


def get_uri(server, path="/", scheme="ws", host="localhost"):
    """Return the URI of a server."""
    return f"{scheme}://{host}:{server.socket.getsockname()[1]}{path}"


def echo(connection):
    """Send messages back."""
    for message in connection:
        connection.send(message)


@pytest.fixture
def run_tcp(start):
    """Return a function that runs a TCP server for one connection, and returns its port. It takes
    a function that gets a socket, which is closed when it returns, and a TLS context."""
    with contextlib.ExitStack() as stack:

        def run_tcp(talk, context=None):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.settimeout(TIMEOUT)

            def run():
                with contextlib.suppress(OSError):
                    sock, _ = listener.accept()
                    with sock:
                        sock.settimeout(TIMEOUT)
                        if context is None:
                            talk(sock)
                        else:
                            with context.wrap_socket(sock, server_side=True) as tls_sock:
                                talk(tls_sock)

            future = start(run)
            stack.callback(future.result, TIMEOUT)
            # Wakes it, if nobody connected.
            stack.callback(shut_down, listener)
            return listener.getsockname()[1]

        yield run_tcp


def shut_down(sock):
    """End both directions of a socket, if it isn't closed."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
