"""Servers."""

import contextlib
import errno
import logging
import socket
import subprocess
import sys
import threading

import pytest

import ws_threading.server
from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidStatus,
    NegotiationError,
    ProtocolError,
)
from ws_protocol.protocol import State
from ws_protocol.server import ServerProtocol
from ws_threading import Server, ServerConnection, basic_auth, broadcast, connect, serve, unix_serve

from .conftest import TIMEOUT, echo, get_uri, wait_until

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def open_tcp():
    """Return a function that opens a TCP connection to a server."""
    with contextlib.ExitStack() as stack:

        def open_tcp(server):
            sock = socket.create_connection(server.socket.getsockname(), TIMEOUT)
            return stack.enter_context(sock)

        yield open_tcp


def read_all(sock):
    """Return what a socket receives until the end."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while received := sock.recv(65536):
            data += received
    return data


def wait_until_ended(server):
    """Wait until all connections have ended."""
    wait_until(lambda: not server._threads)


# Starting


@pytest.mark.parametrize(
    "arguments, exception, match",
    [
        ({}, ValueError, "missing port argument"),
        ({"unix": True}, ValueError, "missing path argument"),
        ({"port": 0, "ssl": True}, TypeError, r"ssl must be an ssl\.SSLContext, not bool"),
        ({"port": 0, "compression": "zip"}, ValueError, "unsupported compression"),
        ({"port": 0, "subprotocols": "chat"}, TypeError, ".+"),
        ({"port": 0, "max_queue": (1, 2)}, ValueError, "high must be at least low"),
        ({"port": 0, "max_size": (1, 2, 3)}, ValueError, ".+"),
        ({"port": 0, "ping_interval": 0}, ValueError, "ping_interval must be positive"),
        ({"port": 0, "other": 0}, TypeError, "other"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, exception, match):
    with pytest.raises(exception, match=match):
        serve(echo, **arguments)


def test_server_logs_what_it_does(run, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    server = run(echo)
    port = server.socket.getsockname()[1]
    with connect(get_uri(server)):
        assert server.is_serving()
    wait_until_ended(server)
    server.shutdown()
    server.serving.result(TIMEOUT)
    assert not server.is_serving()
    assert caplog.messages == [
        f"server listening on 127.0.0.1:{port}",
        "connection open",
        "connection closed",
        "server closing",
        "server closed",
    ]


def test_server_listens_on_the_sockets_it_is_asked_to(run, socket_path):
    with serve(echo, port=0) as server:
        expected = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        assert server.socket.family == expected
        assert server.fileno() == server.socket.fileno() >= 0
    assert server.fileno() == -1
    with serve(echo, port=0, family=socket.AF_INET, backlog=5) as server:
        assert server.socket.getsockname()[0] == "0.0.0.0"
    with serve(echo, "127.0.0.1", 0, family=socket.AF_INET) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
    with unix_serve(echo, socket_path) as server:
        assert server.socket.getsockname() == str(socket_path)
    listener = socket.create_server(("127.0.0.1", 0))
    server = run(echo, sock=listener)
    assert server.socket is listener
    with connect(get_uri(server)) as websocket:
        websocket.send("a")
        assert websocket.recv() == "a"


def test_server_runs_once(run):
    server = run(echo)
    with connect(get_uri(server)):
        pass
    with pytest.raises(RuntimeError, match="server is running already"):
        server.serve_forever()
    server.shutdown()
    # It has been shut down.
    server.serve_forever()


def test_server_that_is_interrupted_when_it_starts_can_be_closed():
    logger = logging.Logger("interrupted", logging.INFO)  # noqa: LOG001

    def interrupt(record):
        logger.removeFilter(interrupt)
        raise KeyboardInterrupt

    logger.addFilter(interrupt)
    with serve(echo, "127.0.0.1", 0, logger=logger) as server:
        with pytest.raises(KeyboardInterrupt):
            server.serve_forever()
    assert server.fileno() == -1


def test_server_can_be_made_without_serve(run, open_tcp):
    def handler(sock, address):
        assert address == sock.getpeername()
        sock.sendall(b"hello")

    listener = socket.create_server(("127.0.0.1", 0))
    server = run(handler, make=lambda handler, *_: Server(listener, handler))
    assert read_all(open_tcp(server)) == b"hello"


# Opening handshakes


def test_functions_may_answer_the_request(run):
    def process_request(connection, request):
        assert isinstance(connection, ServerConnection)
        if request.path == "/":
            return None
        if request.path == "/error":
            raise ValueError("oops")
        return connection.respond(404, "not here")

    def process_response(connection, request, response):
        response.headers["X-Test"] = "1"

    server = run(
        echo,
        process_request=process_request,
        process_response=process_response,
        server_header="me",
    )
    with connect(get_uri(server)) as websocket:
        assert websocket.response.headers["X-Test"] == "1"
        assert websocket.response.headers["Server"] == "me"
    for path, status in [("/error", 500), ("/other", 404)]:
        with pytest.raises(InvalidStatus) as raised:
            connect(get_uri(server, path))
        assert raised.value.response.status_code == status


def test_function_may_choose_the_subprotocol(run):
    def select(connection, subprotocols):
        assert connection.request.path == "/"
        if not subprotocols:
            raise NegotiationError("no subprotocol")
        return subprotocols[-1]

    server = run(echo, select_subprotocol=select)
    with connect(get_uri(server), subprotocols=["a", "b"]) as websocket:
        assert websocket.subprotocol == "b"
    with pytest.raises(InvalidStatus):
        connect(get_uri(server))


@pytest.mark.parametrize(
    "arguments",
    [
        {"credentials": ("user", "pass")},
        {"check_credentials": lambda username, password: (username, password) == ("user", "pass")},
    ],
)
def test_basic_auth_asks_for_credentials(run, arguments):
    usernames = []
    server = run(
        lambda connection: usernames.append(connection.username),
        process_request=basic_auth("realm", **arguments),
    )
    for user_info in ("", "user:wrong@"):
        with pytest.raises(InvalidStatus) as raised:
            connect(get_uri(server).replace("//", f"//{user_info}"))
        assert raised.value.response.status_code == 401
    with connect(get_uri(server).replace("//", "//user:pass@")) as websocket:
        websocket.wait_closed()
    assert usernames == ["user"]


def test_coroutine_function_can_not_check_credentials():
    async def check(username, password):
        return True

    with pytest.raises(TypeError, match="must not be a coroutine function"):
        basic_auth(check_credentials=check)


def test_coroutine_function_can_not_handle_connections():
    async def handler(websocket):
        pass

    with pytest.raises(TypeError, match="handler must not be a coroutine function"):
        serve(handler, "127.0.0.1", 0)


def test_frames_that_arrive_with_the_request_are_received(run, open_tcp):
    server = run(echo)
    sock = open_tcp(server)
    sock.sendall(REQUEST + b"\x81\x81\x00\x00\x00\x00a")
    data = b""
    while not data.endswith(b"\x81\x01a"):
        received = sock.recv(65536)
        assert received
        data += received


def test_request_that_is_not_one_is_refused(run, open_tcp, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    server = run(echo)
    sock = open_tcp(server)
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert read_all(sock).startswith(b"HTTP/1.1 505 ")
    sock.close()
    wait_until_ended(server)
    assert caplog.messages[1] == "connection rejected (505 HTTP Version Not Supported)"


def test_client_that_goes_away_before_its_request_is_no_error(run, open_tcp, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    server = run(echo)
    open_tcp(server).close()
    wait_until(lambda: len(caplog.messages) == 2)
    assert "connection closed" in caplog.messages[1]


@pytest.mark.parametrize("tls", [False, True])
def test_client_that_says_nothing_is_given_up(run, open_tcp, server_tls, caplog, tls):
    caplog.set_level(logging.INFO, "websockets.server")
    server = run(echo, open_timeout=0.01, ssl=server_tls if tls else None)
    assert read_all(open_tcp(server)) == b""
    wait_until_ended(server)
    assert caplog.messages[1] == "opening handshake timed out"


def test_client_that_does_not_speak_tls_is_no_error(run, open_tcp, server_tls, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    server = run(echo, ssl=server_tls)
    sock = open_tcp(server)
    sock.sendall(REQUEST)
    read_all(sock)
    wait_until_ended(server)
    assert caplog.messages[1].startswith("TLS handshake failed: ")


def test_client_that_goes_away_in_the_tls_handshake_is_no_error(run, open_tcp, server_tls, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    server = run(echo, ssl=server_tls)
    open_tcp(server).close()
    wait_until(lambda: len(caplog.messages) == 2)
    assert caplog.messages[1] == "TLS handshake failed: connection lost during the TLS handshake"


def test_connection_that_can_not_be_made_is_an_error(run, open_tcp, caplog):
    def create_connection(*args, **kwargs):
        raise ValueError("oops")

    server = run(echo, create_connection=create_connection)
    assert read_all(open_tcp(server)) == b""
    wait_until_ended(server)
    assert caplog.messages == ["opening handshake failed"]


def test_unix_server_has_a_path():
    with pytest.raises(ValueError, match="missing path argument"):
        unix_serve(echo)


# Handlers


def test_handler_that_fails_closes_the_connection(run, caplog):
    def handler(websocket):
        raise ValueError("oops")

    server = run(handler)
    with connect(get_uri(server)) as websocket:
        with pytest.raises(ConnectionClosedError) as raised:
            websocket.recv()
        assert raised.value.rcvd.code == 1011
    wait_until_ended(server)
    assert caplog.messages == ["connection handler failed"]


def test_handler_that_ends_its_thread_closes_the_connection(run):
    server = run(lambda websocket: sys.exit("oops"))
    with connect(get_uri(server)) as websocket:
        with pytest.raises(ConnectionClosedError) as raised:
            websocket.recv()
        assert raised.value.rcvd.code == 1011
    wait_until_ended(server)


def test_handler_may_let_the_end_of_its_connection_through(run, caplog):
    caplog.set_level(logging.INFO, "websockets.server")

    def handler(websocket):
        while True:
            websocket.recv()

    server = run(handler)
    with connect(get_uri(server)):
        pass
    wait_until_ended(server)
    assert caplog.messages[1:] == ["connection open", "connection closed"]


def test_server_knows_its_connections(run):
    server = run(echo)
    with connect(get_uri(server)) as first, connect(get_uri(server)) as second:
        wait_until(lambda: len(server.connections) == 2)
        broadcast(server.connections, "news")
        assert first.recv() == second.recv() == "news"
    wait_until_ended(server)
    assert server.connections == set()


# Accepting connections


class Listener:
    """A socket that fails to accept connections, the first times."""

    def __init__(self, sock, *failures):
        self._sock = sock
        self._failures = list(failures)

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def accept(self):
        if self._failures:
            raise self._failures.pop(0)
        return self._sock.accept()


def test_server_goes_on_when_connections_can_not_be_accepted(run, caplog, monkeypatch):
    monkeypatch.setattr(ws_threading.server, "_ACCEPT_DELAY", 0)
    listener = Listener(
        socket.create_server(("127.0.0.1", 0)),
        ConnectionAbortedError("gone"),
        OSError(errno.EMFILE, "Too many open files"),
    )
    server = run(echo, sock=listener)
    with connect(get_uri(server)) as websocket:
        assert websocket.state is State.OPEN
    assert caplog.messages == ["accepting a connection failed"]


def test_server_goes_on_when_threads_can_not_be_started(run, open_tcp, caplog, monkeypatch):
    server = run(echo)

    class Thread(threading.Thread):
        def start(self):
            monkeypatch.undo()
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading, "Thread", Thread)
    assert read_all(open_tcp(server)) == b""
    assert caplog.messages == ["starting a thread failed"]
    with connect(get_uri(server)) as websocket:
        assert websocket.state is State.OPEN


@pytest.mark.parametrize("failing", [False, True])
def test_connection_that_arrives_while_the_server_closes_is_not_accepted(failing, caplog):
    listener = socket.create_server(("127.0.0.1", 0))
    server = serve(echo, sock=Listener(listener, *([OSError("closed")] if failing else [])))
    with listener, socket.create_connection(listener.getsockname(), TIMEOUT) as sock:
        # In another thread, at this moment.
        server._closing.set()
        server._accept()
        listener.close()
        assert read_all(sock) == b""
    assert server._threads == {}
    assert caplog.messages == []


# Shutting down


def test_shutdown_closes_connections(run):
    server = run(echo)
    with connect(get_uri(server)) as websocket:
        server.shutdown()
        server.serving.result(TIMEOUT)
        with pytest.raises(ConnectionClosed) as raised:
            websocket.recv()
        assert raised.value.rcvd.code == 1001
    with pytest.raises(ConnectionRefusedError):
        connect(f"ws://127.0.0.1:{websocket.remote_address[1]}/")


def test_shutdown_chooses_code_and_reason(run):
    server = run(echo)
    with connect(get_uri(server)) as websocket:
        with pytest.raises(ProtocolError):
            server.shutdown(code=1)
        with pytest.raises(ProtocolError, match="reason too long"):
            server.shutdown(reason=124 * "a")
        assert server.is_serving()
        server.shutdown(code=1012, reason="restarting")
        with pytest.raises(ConnectionClosed) as raised:
            websocket.recv()
        assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (1012, "restarting")


def test_shutdown_may_leave_connections_open(run, start):
    server = run(echo)
    with connect(get_uri(server)) as websocket:
        closing = start(server.shutdown, close_connections=False)
        server.serving.result(TIMEOUT)
        websocket.send("a")
        assert websocket.recv() == "a"
        assert not closing.done()
        # Until it is called again.
        server.shutdown()
        closing.result(TIMEOUT)
        assert websocket.close_code == 1001


def test_shutdown_waits_for_handlers(run, start):
    closed, goes_on = threading.Event(), threading.Event()

    def handler(websocket):
        websocket.wait_closed()
        closed.set()
        goes_on.wait(TIMEOUT)

    server = run(handler)
    with connect(get_uri(server)):
        closing = start(server.shutdown)
        assert closed.wait(TIMEOUT)
        assert not closing.done()
        goes_on.set()
        closing.result(TIMEOUT)


def test_handler_may_shut_the_server_down(run):
    done = threading.Event()

    def handler(websocket):
        websocket.recv()
        websocket.server.shutdown()
        done.set()

    server = run(handler)
    with connect(get_uri(server)) as websocket:
        websocket.send("stop")
        assert done.wait(TIMEOUT)
    server.serving.result(TIMEOUT)


def test_handlers_that_shut_the_server_down_do_not_wait_for_one_another(run):
    together, go_on, done = threading.Barrier(3), threading.Event(), []

    def handler(websocket):
        together.wait(TIMEOUT)
        if websocket.request.path == "/other":
            assert go_on.wait(TIMEOUT)
        else:
            websocket.server.shutdown()
        done.append(websocket.request.path)

    server = run(handler)
    with (
        connect(get_uri(server, "/one")),
        connect(get_uri(server, "/two")),
        connect(get_uri(server, "/other")),
    ):
        wait_until(lambda: len(server._waiting) == 2)
        # They wait for all others.
        assert done == []
        go_on.set()
        server.shutdown()
    assert done[0] == "/other"
    assert sorted(done) == ["/one", "/other", "/two"]


def test_shutdown_refuses_clients_whose_request_is_not_there(run, start, open_tcp):
    server = run(echo)
    sock = open_tcp(server)
    sock.sendall(REQUEST[:20])
    wait_until(lambda: server._connections)
    closing = start(server.shutdown)
    assert read_all(sock).startswith(b"HTTP/1.1 503 ")
    sock.close()
    closing.result(TIMEOUT)


def test_shutdown_ends_tls_handshakes(run, open_tcp, server_tls):
    server = run(echo, ssl=server_tls)
    sock = open_tcp(server)
    wait_until(lambda: server._threads)
    server.shutdown()
    assert read_all(sock) == b""


@pytest.mark.parametrize("status", [503, 403])
def test_shutdown_refuses_clients_whose_request_is_processed(run, start, open_tcp, status):
    processing, goes_on = threading.Event(), threading.Event()

    def process_request(connection, request):
        processing.set()
        goes_on.wait(TIMEOUT)
        return None if status == 503 else connection.respond(status, "")

    server = run(echo, process_request=process_request)
    sock = open_tcp(server)
    sock.sendall(REQUEST)
    assert processing.wait(TIMEOUT)
    closing = start(server.shutdown)
    server.serving.result(TIMEOUT)
    goes_on.set()
    assert read_all(sock).startswith(b"HTTP/1.1 %d " % status)
    sock.close()
    closing.result(TIMEOUT)


def test_connection_that_begins_while_the_server_closes_is_refused(run, open_tcp):
    def create_connection(*args, **kwargs):
        # In another thread, at this moment.
        server._closing.set()
        return ServerConnection(*args, **kwargs)

    server = run(echo, create_connection=create_connection)
    sock = open_tcp(server)
    assert read_all(sock).startswith(b"HTTP/1.1 503 ")
    sock.close()
    wait_until_ended(server)
    server._closing.clear()


def test_connection_that_opens_while_the_server_closes_is_closed(run):
    def process_response(connection, request, response):
        # In another thread, at this moment.
        server._closing_with = 1012, "restarting"

    server = run(echo, process_response=process_response)
    with connect(get_uri(server)) as websocket:
        with pytest.raises(ConnectionClosed) as raised:
            websocket.recv()
        assert raised.value.rcvd.reason == "restarting"


_PROGRAM = """
import os, signal, threading
from ws_threading import connect, serve

def handler(websocket):
    os.kill(os.getpid(), signal.{signal})
    websocket.wait_closed()

def use():
    with connect("ws://127.0.0.1:%d/" % server.socket.getsockname()[1]) as websocket:
        websocket.wait_closed()
        print(websocket.close_code)

# Python leaves it ignored where whatever started the tests does.
signal.signal(signal.SIGINT, signal.default_int_handler)
with serve(handler, "127.0.0.1", 0) as server:
    signal.signal(signal.SIGTERM, lambda *_: server.shutdown())
    thread = threading.Thread(target=use)
    thread.start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("interrupted")
thread.join()
print(threading.active_count())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name, output", [("SIGTERM", "1001 1"), ("SIGINT", "interrupted 1001 1")])
def test_signals_end_the_server(name, output):
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(signal=name)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert run.stdout.split() == output.split()


def test_signal_handler_that_interrupts_the_server_does_not_wait_with_its_lock():
    """The threads of connections need the lock to end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        with server._mutex:
            # What a signal handler does.
            server.shutdown()
        raise BlockingIOError

    with serve(echo, sock=Listener(listener)) as server:
        server.socket.accept = accept
        with socket.create_connection(listener.getsockname(), TIMEOUT):
            server.serve_forever()
    assert server.fileno() == -1


# How many connections there may be


def refusal(uri, **options):
    """Connect to a server that refuses; return its response."""
    with pytest.raises(InvalidStatus) as raised:
        connect(uri, **options)
    return raised.value.response


def test_client_is_refused_when_there_are_enough_connections(run):
    server = run(echo, max_connections=1)
    uri = get_uri(server)
    with connect(uri):
        response = refusal(uri)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
    wait_until_ended(server)
    with connect(uri) as websocket:
        websocket.send("there is room again")
        assert websocket.recv() == "there is room again"


def test_client_is_refused_when_there_are_enough_handshakes(run, open_tcp):
    server = run(echo, max_handshakes=1)
    sock = open_tcp(server)
    wait_until(lambda: server._connections)
    assert refusal(get_uri(server)).status_code == 503
    # Which is done now, and isn't in the way any more.
    sock.sendall(REQUEST)
    assert sock.recv(65536).startswith(b"HTTP/1.1 101 ")
    # Its thread goes on after the response was sent.
    wait_until(lambda: not server._admission._opening)
    with connect(get_uri(server)):
        pass


def test_clients_that_do_not_read_why_are_dropped(run, open_tcp, monkeypatch):
    monkeypatch.setattr("ws_protocol.admission.MAX_REFUSED", 1)
    server = run(echo, max_handshakes=1, close_timeout=0.1)
    waiting = open_tcp(server), open_tcp(server)
    wait_until(lambda: len(server._connections) == 2)
    assert read_all(open_tcp(server)) == b""
    assert len(waiting) == len(server._threads)


@pytest.mark.parametrize("name", ["max_connections", "max_handshakes"])
def test_server_must_take_some_connections(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        serve(echo, "localhost", 0, **{name: 0})


def test_connection_whose_thread_has_yet_to_begin_is_refused_at_shutdown(
    run, open_tcp, monkeypatch
):
    begin, started = Server._begin, threading.Event()

    def begin_late(server, connection):
        started.set()
        assert server._closing.wait(TIMEOUT)
        return begin(server, connection)

    monkeypatch.setattr(Server, "_begin", begin_late)
    server = run(echo, close_timeout=0.1)
    sock = open_tcp(server)
    assert started.wait(TIMEOUT)
    server.shutdown()
    assert read_all(sock).startswith(b"HTTP/1.1 503 ")


def test_request_that_is_being_answered_is_not_refused_at_shutdown(run, start):
    answering, answer = threading.Event(), threading.Event()

    def process_request(connection, request):
        answering.set()
        assert answer.wait(TIMEOUT)

    server = run(echo, process_request=process_request)
    refused = start(refusal, get_uri(server))
    assert answering.wait(TIMEOUT)
    closing = start(server.shutdown)
    wait_until(lambda: not server.is_serving())
    answer.set()
    assert refused.result(TIMEOUT).status_code == 503
    closing.result(TIMEOUT)


# Pages of the server, and names that it has


def test_pages_of_other_servers_can_be_refused(run):
    uri = get_uri(run(echo, origins="same-origin"))
    with connect(uri), connect(uri, origin=uri.replace("ws:", "http:").rstrip("/")):
        pass
    assert refusal(uri, origin="https://evil.example").status_code == 403


def test_other_names_can_be_refused(run):
    uri = get_uri(run(echo, allowed_hosts=["localhost"]))
    with connect(uri):
        pass
    assert refusal(uri, additional_headers={"Host": "evil.example"}).status_code == 400


def test_connection_that_is_open_cannot_be_refused(run):
    server = run(echo)
    with connect(get_uri(server)) as websocket:
        wait_until(lambda: server.connections)
        (connection,) = server.connections
        connection.refuse(ServerProtocol.reject_closing)
        websocket.send("still here")
        assert websocket.recv() == "still here"
