"""Clients."""

import logging
import socket
import ssl
import threading

import pytest

from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    SecurityError,
)
from ws_protocol.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from ws_protocol.limits import MAX_REDIRECTS
from ws_protocol.protocol import State
from ws_protocol.server import ServerProtocol
from ws_threading import (
    ClientConnection,
    connect,
    reconnect,
    serve,
    unix_connect,
    unix_reconnect,
    unix_serve,
)

from .conftest import TIMEOUT, echo, get_uri


def test_client_and_server_exchange_messages(run):
    server = run(echo)
    with connect(get_uri(server, host="127.0.0.1")) as websocket:
        assert websocket.local_address[0] == "127.0.0.1"
        assert websocket.remote_address == server.socket.getsockname()
        assert websocket.request.path == "/"
        assert websocket.response.status_code == 101
        assert len(websocket.protocol.extensions) == 1
        for message in ("Hello", b"\xff", 2**20 * "a"):
            websocket.send(message)
            assert websocket.recv() == message
    assert websocket.close_code == 1000


def test_client_needs_no_context_manager(run):
    server = run(echo)
    websocket = connect(get_uri(server))
    websocket.send("a")
    assert websocket.recv() == "a"
    websocket.close()


def test_arguments_reach_the_opening_handshake(run):
    class Connection(ClientConnection):
        pass

    server = run(echo, subprotocols=["chat"], origins=["https://example.com"])
    with connect(
        get_uri(server, "/path").replace("//", "//user:p%40ss@"),
        origin="https://example.com",
        subprotocols=["chat"],
        compression=None,
        extensions=[ClientPerMessageDeflateFactory()],
        additional_headers={"X-Test": "1"},
        user_agent_header="me",
        create_connection=Connection,
        ping_interval=1,
        max_queue=1,
    ) as websocket:
        assert type(websocket) is Connection
        assert websocket.subprotocol == "chat"
        headers = websocket.request.headers
        assert headers["X-Test"] == "1"
        assert headers["User-Agent"] == "me"
        assert headers["Authorization"] == "Basic dXNlcjpwQHNz"
        assert websocket.ping_interval == 1


@pytest.mark.parametrize(
    "uri, arguments, exception",
    [
        ("http://localhost/", {}, InvalidURI),
        ("ws://localhost/", {"compression": "zip"}, ValueError),
        ("ws://localhost/", {"ssl": ssl.create_default_context()}, ValueError),
        ("wss://localhost/", {"ssl": False}, ValueError),
        ("ws://localhost/", {"subprotocols": "chat"}, TypeError),
        ("ws://localhost/", {"unix": True}, ValueError),
        ("ws://localhost/", {"other": True}, TypeError),
    ],
)
def test_arguments_that_are_not_possible_are_refused(uri, arguments, exception):
    with pytest.raises(exception):
        connect(uri, **arguments)


def test_impossible_limits_are_refused(run):
    server = run(echo)
    with pytest.raises(ValueError, match="high must be at least low"):
        connect(get_uri(server), max_queue=(1, 2))


def test_connection_that_is_refused_is_an_os_error():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/")


def addresses(*found):
    """Return what finds these addresses, whatever the host."""
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 0, "", a) for a in found]


def test_all_addresses_of_a_host_are_tried(run, monkeypatch):
    server = run(echo)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        nobody = sock.getsockname()
        monkeypatch.setattr(socket, "getaddrinfo", addresses(nobody, server.socket.getsockname()))
        with connect("ws://example.com/") as websocket:
            assert websocket.state is State.OPEN
        monkeypatch.setattr(socket, "getaddrinfo", addresses(nobody, nobody))
        with pytest.raises(ConnectionRefusedError):
            connect("ws://example.com/")
    monkeypatch.setattr(socket, "getaddrinfo", addresses())
    with pytest.raises(OSError, match=r"no address for example\.com"):
        connect("ws://example.com/")


def test_client_can_connect_to_and_from_another_address(run):
    server = run(echo)
    with connect(
        "ws://example.com/",
        address=server.socket.getsockname(),
        source_address=("127.0.0.1", 0),
    ) as websocket:
        assert websocket.request.headers["Host"] == "example.com"
        assert websocket.local_address[0] == "127.0.0.1"
    with pytest.raises(TypeError):
        connect("ws://localhost/", source_address=42)


def test_client_can_use_a_socket(run):
    server = run(echo)
    sock = socket.create_connection(server.socket.getsockname())
    with connect("ws://example.com/", sock=sock) as websocket:
        assert websocket.socket is sock
        assert websocket.request.headers["Host"] == "example.com"
        websocket.send("a")
        assert websocket.recv() == "a"


def test_refused_opening_handshake_tells_why(run):
    server = run(echo, process_request=lambda connection, _: connection.respond(403, "No\n"))
    with pytest.raises(InvalidStatus) as raised:
        connect(get_uri(server))
    assert raised.value.response.body == b"No\n"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n"])
def test_server_that_does_not_speak_http_is_an_invalid_message(run_tcp, answer):
    def talk(sock):
        sock.recv(65536)
        sock.sendall(answer)

    with pytest.raises(InvalidMessage):
        connect(f"ws://127.0.0.1:{run_tcp(talk)}/")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_server_that_says_nothing_is_given_up(run_tcp, scheme):
    def talk(sock):
        while sock.recv(65536):
            pass

    port = run_tcp(talk)
    with pytest.raises(TimeoutError, match="timed out during opening handshake"):
        connect(f"{scheme}://127.0.0.1:{port}/", open_timeout=0.05)


def test_no_time_is_too_little():
    with pytest.raises(TimeoutError, match="timed out during opening handshake"):
        connect("ws://localhost/", open_timeout=0)


def test_context_manager_raises_what_was_raised_inside(run):
    server = run(echo)
    with pytest.raises(ValueError, match="oops"):
        with connect(get_uri(server)) as websocket:
            raise ValueError("oops")
    assert websocket.protocol.close_sent.code == 1011
    with pytest.raises(ConnectionClosed):
        with connect(get_uri(server)) as websocket:
            websocket.close()
            websocket.recv()


# Unix sockets


@pytest.fixture
def run_unix(run, socket_path):
    """Return a function that runs a server at ``socket_path``."""

    def make(handler, *_, **kwargs):
        return unix_serve(handler, socket_path, **kwargs)

    return lambda **options: run(echo, make=make, **options)


def test_client_and_server_can_use_a_unix_socket(run_unix, socket_path):
    run_unix()
    with unix_connect(socket_path) as websocket:
        assert websocket.request.headers["Host"] == "localhost"
        websocket.send("a")
        assert websocket.recv() == "a"
        assert websocket.remote_address == str(socket_path)


def test_client_and_server_can_use_tls_on_a_unix_socket(
    run_unix, socket_path, server_tls, client_tls
):
    run_unix(ssl=server_tls)
    with unix_connect(socket_path, ssl=client_tls) as websocket:
        assert websocket.protocol.uri.secure
        websocket.send("a")
        assert websocket.recv() == "a"


def test_client_can_use_a_connected_unix_socket(run_unix, socket_path):
    run_unix()
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(socket_path))
    with unix_connect(sock=sock, uri="ws://example.com/") as websocket:
        assert websocket.request.headers["Host"] == "example.com"


def test_unix_socket_that_is_not_there_is_an_os_error(socket_path):
    with pytest.raises(FileNotFoundError):
        unix_connect(socket_path)


# TLS


def test_client_and_server_can_use_tls(run, server_tls, client_tls):
    server = run(echo, ssl=server_tls)
    for arguments in ({}, {"server_hostname": "127.0.0.1"}):
        with connect(get_uri(server, scheme="wss"), ssl=client_tls, **arguments) as websocket:
            websocket.send(2**20 * "a")
            assert websocket.recv() == 2**20 * "a"
        assert websocket.close_code == 1000


@pytest.fixture
def renamed():
    """Expect a warning that points here."""
    with pytest.warns(DeprecationWarning, match=r"^ssl_context was renamed to ssl$") as warned:
        yield
    assert {warning.filename for warning in warned} == {__file__}
    assert len(warned) == 2


@pytest.mark.usefixtures("renamed")
def test_tls_context_has_an_older_name(run, server_tls, client_tls):
    server = serve(echo, "127.0.0.1", 0, ssl_context=server_tls)
    run(echo, make=lambda *_: server)
    with connect(get_uri(server, scheme="wss"), ssl_context=client_tls) as websocket:
        websocket.send("a")
        assert websocket.recv() == "a"


@pytest.mark.usefixtures("renamed")
def test_tls_context_has_an_older_name_on_a_unix_socket(run, socket_path, server_tls, client_tls):
    server = unix_serve(echo, socket_path, ssl_context=server_tls)
    run(echo, make=lambda *_: server)
    with unix_connect(socket_path, ssl_context=client_tls) as websocket:
        assert websocket.protocol.uri.secure


def test_server_is_verified_by_default(run, server_tls, caplog):
    server = run(echo, ssl=server_tls)
    caplog.set_level(logging.INFO, "websockets.server")
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(get_uri(server, scheme="wss"))


def test_dot_at_the_end_of_the_host_is_not_in_the_certificate(run, server_tls, client_tls):
    address = run(echo, ssl=server_tls).socket.getsockname()
    uri = f"wss://localhost.:{address[1]}/"
    with connect(uri, address=address, ssl=client_tls) as websocket:
        assert websocket.request.headers["Host"] == f"localhost.:{address[1]}"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_server_that_does_not_speak_tls_is_an_os_error(run_tcp, answer):
    def talk(sock):
        sock.recv(65536)
        sock.sendall(answer)

    with pytest.raises(OSError, match=r".+"):
        connect(f"wss://127.0.0.1:{run_tcp(talk)}/")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_connection_ends_with_the_end_of_tls(run_tcp, server_tls, ca, version):
    def talk(sock):
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += sock.recv(65536)
        peer.receive_data(request)
        peer.send_response(peer.accept(*peer.events_received()))
        peer.send_text(b"a")
        sock.sendall(b"".join(peer.data_to_send()))
        # Which tells in TLS that nothing more comes, and leaves the TCP connection.
        sock.unwrap().close()

    peer = ServerProtocol()
    context = ssl.create_default_context()
    context.maximum_version = version
    ca.configure_trust(context)
    with connect(
        f"wss://localhost:{run_tcp(talk, server_tls)}/", ssl=context, compression=None
    ) as websocket:
        assert websocket.recv() == "a"
        with pytest.raises(ConnectionClosedError) as raised:
            websocket.recv()
        assert isinstance(raised.value.__cause__, EOFError)


def test_what_is_not_tls_ends_the_connection(run_tcp, server_tls, client_tls):
    def talk(sock):
        tls_sock = server_tls.wrap_socket(sock, server_side=True)
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += tls_sock.recv(65536)
        peer.receive_data(request)
        peer.send_response(peer.accept(*peer.events_received()))
        tls_sock.sendall(b"".join(peer.data_to_send()))
        tls_sock.recv(65536)
        with socket.socket(fileno=tls_sock.detach()) as plain:
            plain.sendall(b"not TLS at all")
            ended.wait(TIMEOUT)

    peer = ServerProtocol()
    ended = threading.Event()
    with connect(f"wss://localhost:{run_tcp(talk)}/", ssl=client_tls) as websocket:
        websocket.send("a")
        with pytest.raises(ConnectionClosedError) as raised:
            websocket.recv()
        ended.set()
        assert isinstance(raised.value.__cause__, ssl.SSLError)


# Redirects


def redirecting(location, at="/"):
    """Return what redirects requests."""

    def redirect(connection, request):
        if request.path != at:
            return None
        response = connection.respond(302, "")
        response.headers["Location"] = location
        return response

    return redirect


def test_redirects_are_followed(run):
    server = run(echo, process_request=redirecting("/there"))
    with connect(get_uri(server), additional_headers={"Cookie": "a"}) as websocket:
        assert websocket.request.path == "/there"
        assert websocket.request.headers["Cookie"] == "a"


def test_credentials_do_not_cross_origins(run):
    other = run(echo)
    server = run(echo, process_request=redirecting(get_uri(other)))
    with connect(get_uri(server), additional_headers={"Authorization": "secret"}) as websocket:
        assert "Authorization" not in websocket.request.headers
    sock = socket.create_connection(server.socket.getsockname())
    with pytest.raises(ValueError, match="preexisting socket"):
        connect(get_uri(server), sock=sock)


def test_redirects_do_not_go_on_for_ever(run):
    server = run(echo, process_request=redirecting("/"))
    with pytest.raises(SecurityError, match=f"more than {MAX_REDIRECTS} redirects"):
        connect(get_uri(server))


# Reconnection


def test_loop_connects_again(run):
    def handler(websocket):
        websocket.send("a")
        for _ in websocket:
            pass

    server = run(handler)
    websockets = []
    for websocket in reconnect(get_uri(server)):
        assert websocket.recv() == "a"
        websockets.append(websocket)
        if len(websockets) == 2:
            websocket.close()
        if len(websockets) == 3:
            break
    for websocket in websockets:
        websocket.wait_closed()
        assert websocket.close_code == 1000


@pytest.mark.parametrize("make", [reconnect, lambda uri: connect(uri, legacy=False)])
def test_what_connects_again_is_a_context_manager_that_connects_once(run, make):
    server = run(echo)
    connector = make(get_uri(server))
    for _ in range(2):
        with connector as websocket:
            websocket.send("a")
            assert websocket.recv() == "a"
        assert websocket.state is State.CLOSED
    with pytest.raises(ValueError, match="oops"):
        with connector as websocket:
            raise ValueError("oops")
    assert websocket.protocol.close_sent.code == 1011


def test_loop_connects_again_to_a_unix_socket(run_unix, socket_path):
    run_unix()
    with unix_reconnect(socket_path) as websocket:
        websocket.send("a")
        assert websocket.recv() == "a"


def test_loop_tries_again_after_failures(run, caplog):
    caplog.set_level(logging.INFO, "websockets.client")
    statuses = [503, 503, None]

    def answer(connection, request):
        status = statuses.pop(0)
        return None if status is None else connection.respond(status, "")

    server = run(echo, process_request=answer)
    for websocket in reconnect(get_uri(server), reconnect_delays=lambda: iter([0, 0])):
        assert websocket.state is State.OPEN
        break
    websocket.wait_closed()
    message = "InvalidStatus: server rejected WebSocket connection: HTTP 503"
    assert caplog.messages == 2 * [f"connect failed; reconnecting in 0.0 seconds: {message}"]


def test_loop_waits_when_the_server_ends_connections_at_once(run, caplog):
    caplog.set_level(logging.INFO, "websockets.client")
    server = run(lambda websocket: websocket.close(1011))
    with pytest.raises(ConnectionClosedError):
        for websocket in reconnect(get_uri(server), reconnect_delays=lambda: iter([0])):
            websocket.wait_closed()
    assert "connection ended at once; reconnecting in 0.0 seconds" in caplog.messages


def test_loop_raises_what_would_fail_again(run):
    server = run(echo, process_request=lambda connection, _: connection.respond(403, ""))
    with pytest.raises(InvalidStatus):
        for _ in reconnect(get_uri(server)):
            pytest.fail("connected")
    with pytest.raises(InvalidHandshake, match="mine"):
        for _ in reconnect(get_uri(server), process_exception=lambda exc: InvalidHandshake("mine")):
            pytest.fail("connected")
