import datetime
import email.utils
import http
import logging
import re
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    HeaderLineTooLong,
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidMethod,
    InvalidOrigin,
    InvalidProtocol,
    InvalidState,
    InvalidUpgrade,
    NegotiationError,
    RequestLineTooLong,
    TooManyHeaders,
)
from ws_protocol.extensions import Extension, ServerExtensionFactory
from ws_protocol.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from ws_protocol.frames import Frame, Opcode, serialize_frame
from ws_protocol.http11 import Request, Response, ResponseReader
from ws_protocol.limits import MAX_EARLY_DATA, MAX_HEAD_SIZE, MAX_LINE_LENGTH, MAX_NUM_HEADERS
from ws_protocol.protocol import SEND_EOF, Side, State
from ws_protocol.server import ServerProtocol, build_date, customize_response

# The example of RFC 6455, section 1.2.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

DATE = "Thu, 01 Jan 1970 00:00:00 GMT"

HEADERS = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}

HELLO = serialize_frame(0x81, b"hello", True)


@pytest.fixture(autouse=True)
def date(monkeypatch):
    """Let the time stand still."""
    monkeypatch.setattr("ws_protocol.server.build_date", lambda: DATE)


def request_with(*changes, method="GET", protocol="HTTP/1.1"):
    """Return a request with other headers: a value to set, a list of values, None to leave out."""
    headers = Headers()
    for key, value in (HEADERS | dict(changes)).items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                headers[key] = item
    return Request("/chat", headers, method, protocol)


def wire_of(request):
    return request.serialize()


def receive_request(server, request):
    server.receive_data(wire_of(request))
    [event] = server.events_received()
    return event


def respond(server, request=None):
    """Receive a request, respond to it as the server thinks best, and return the response."""
    response = server.accept(receive_request(server, request or request_with()))
    server.send_response(response)
    return response


def opened(**kwargs):
    server = ServerProtocol(**kwargs)
    respond(server)
    server.data_to_send()
    return server


# Successful opening handshakes


def test_connection_is_connecting_at_first():
    server = ServerProtocol()
    assert server.side is Side.SERVER
    assert server.state is State.CONNECTING
    assert server.origins is None
    assert server.available_extensions is None
    assert server.available_subprotocols is None
    assert server.handshake_exc is None
    assert server.data_to_send() == []
    assert not server.close_expected()


def test_settings_are_those_of_the_protocol():
    logger = logging.getLogger("test")
    server = ServerProtocol(state=State.OPEN, max_size=(10, 5), logger=logger)
    assert server.state is State.OPEN
    assert (server.max_message_size, server.max_fragment_size) == (10, 5)
    assert server.logger is logger
    server.receive_data(HELLO)
    assert server.events_received() == [Frame(Opcode.TEXT, b"hello")]


def test_request_is_received(way):
    server = ServerProtocol()
    request = request_with()
    for chunk in way.chunks(wire_of(request), trailing=HELLO):
        assert server.events_received() == []
        server.receive_data(chunk)
    assert server.events_received() == [request]
    assert server.state is State.CONNECTING
    assert server.data_to_send() == []


def test_example_of_rfc6455_is_accepted():
    server = ServerProtocol()
    request = receive_request(server, request_with())
    response = server.accept(request)
    assert server.state is State.CONNECTING
    assert response == Response(
        101,
        "Switching Protocols",
        Headers(
            {
                "Date": DATE,
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Accept": ACCEPT,
            }
        ),
    )
    server.send_response(response)
    assert server.state is State.OPEN
    assert server.data_to_send() == [
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n"
    ]
    assert server.handshake_exc is None
    assert server.origin is None
    assert server.extensions == []
    assert server.subprotocol is None
    assert not server.close_expected()


def test_response_may_be_changed():
    server = ServerProtocol()
    response = server.accept(receive_request(server, request_with()))
    response.headers["Set-Cookie"] = "a=b"
    server.send_response(response)
    assert b"\r\nSet-Cookie: a=b\r\n" in b"".join(server.data_to_send())


def test_frames_come_after_the_handshake(way):
    server = opened()
    for chunk in way.chunks(HELLO, trailing=HELLO):
        server.receive_data(chunk)
    assert server.events_received()[0] == Frame(Opcode.TEXT, b"hello")
    server.send_text(b"hello")
    assert server.data_to_send() == [b"\x81\x05hello"]


@pytest.mark.parametrize(
    "change",
    [
        ("Upgrade", "WebSocket"),
        ("Upgrade", "WEBSOCKET"),
        ("Connection", "upgrade"),
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", "upgrade,keep-alive"),
        ("Connection", ["keep-alive", "Upgrade"]),
        ("Connection", ", ,Upgrade,"),
        ("Host", "localhost:8080"),
        ("Host", "[::1]:8080"),
        ("Host", "127.0.0.1"),
        ("Host", "SERVER.example.com:"),
        ("Content-Length", "0"),
        ("X-Other", "é"),
    ],
    ids=str,
)
def test_equivalent_requests_are_accepted(change):
    assert respond(ServerProtocol(), request_with(change)).status_code == 101


@pytest.mark.parametrize("path", ["/", "/chat?room=1", "*", "http://example.com/"])
def test_any_target_is_accepted(path):
    server = ServerProtocol()
    request = request_with()
    request.path = path
    assert receive_request(server, request).path == path


# Failed opening handshakes

FAILURES = {
    # 400
    "no Host": (
        request_with(("Host", None)),
        InvalidHeader,
        "missing Host header",
        400,
    ),
    "empty Host": (
        request_with(("Host", "")),
        InvalidHeaderValue,
        "empty Host header",
        400,
    ),
    "two Hosts": (
        request_with(("Host", ["a.example", "b.example"])),
        InvalidHeader,
        "invalid Host header: multiple values",
        400,
    ),
    "two equal Hosts": (
        request_with(("Host", ["a.example", "a.example"])),
        InvalidHeader,
        "invalid Host header: multiple values",
        400,
    ),
    "invalid Host": (
        request_with(("Host", "a b/@")),
        InvalidHeaderValue,
        "invalid Host header: a b/@",
        400,
    ),
    "Host with user information": (
        request_with(("Host", "user@example.com")),
        InvalidHeaderValue,
        "invalid Host header: user@example.com",
        400,
    ),
    "Host with an impossible port": (
        request_with(("Host", "example.com:65536")),
        InvalidHeaderValue,
        "invalid Host header: example.com:65536",
        400,
    ),
    "no key": (
        request_with(("Sec-WebSocket-Key", None)),
        InvalidHeader,
        "missing Sec-WebSocket-Key header",
        400,
    ),
    "two keys": (
        request_with(("Sec-WebSocket-Key", [KEY, KEY])),
        InvalidHeader,
        "invalid Sec-WebSocket-Key header: multiple values",
        400,
    ),
    "empty key": (
        request_with(("Sec-WebSocket-Key", "")),
        InvalidHeaderValue,
        "empty Sec-WebSocket-Key header",
        400,
    ),
    "key that isn't base64": (
        request_with(("Sec-WebSocket-Key", "!" + KEY[1:])),
        InvalidHeaderValue,
        f"invalid Sec-WebSocket-Key header: !{KEY[1:]}",
        400,
    ),
    "key with something else between": (
        request_with(("Sec-WebSocket-Key", f"{KEY[:4]}!{KEY[4:]}")),
        InvalidHeaderValue,
        f"invalid Sec-WebSocket-Key header: {KEY[:4]}!{KEY[4:]}",
        400,
    ),
    "key without padding": (
        request_with(("Sec-WebSocket-Key", KEY.rstrip("="))),
        InvalidHeaderValue,
        f"invalid Sec-WebSocket-Key header: {KEY.rstrip('=')}",
        400,
    ),
    "short key": (
        request_with(("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA")),
        InvalidHeaderValue,
        "invalid Sec-WebSocket-Key header: AAAAAAAAAAAAAAAAAAAA",
        400,
    ),
    "long key": (
        request_with(("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAA=")),
        InvalidHeaderValue,
        "invalid Sec-WebSocket-Key header: AAAAAAAAAAAAAAAAAAAAAAA=",
        400,
    ),
    "key that isn't ASCII": (
        request_with(("Sec-WebSocket-Key", "\xe9" * 24)),
        InvalidHeaderValue,
        f"invalid Sec-WebSocket-Key header: {'é' * 24}",
        400,
    ),
    "no version": (
        request_with(("Sec-WebSocket-Version", None)),
        InvalidHeader,
        "missing Sec-WebSocket-Version header",
        400,
    ),
    "two versions": (
        request_with(("Sec-WebSocket-Version", ["13", "8"])),
        InvalidHeader,
        "invalid Sec-WebSocket-Version header: multiple values",
        400,
    ),
    "Connection that can't be parsed": (
        request_with(("Connection", "keep alive")),
        InvalidHeaderFormat,
        "invalid Connection header: expected comma at 5 in keep alive",
        400,
    ),
    "Upgrade that can't be parsed": (
        request_with(("Upgrade", "web socket")),
        InvalidHeaderFormat,
        "invalid Upgrade header: expected comma at 4 in web socket",
        400,
    ),
    "two origins": (
        request_with(("Origin", ["https://a.example", "https://b.example"])),
        InvalidHeader,
        "invalid Origin header: multiple values",
        400,
    ),
    "extensions that can't be parsed": (
        request_with(("Sec-WebSocket-Extensions", "a; b=")),
        InvalidHeaderFormat,
        "invalid Sec-WebSocket-Extensions header: expected token at 5 in a; b=",
        400,
    ),
    "subprotocols that can't be parsed": (
        request_with(("Sec-WebSocket-Protocol", "a b")),
        InvalidHeaderFormat,
        "invalid Sec-WebSocket-Protocol header: expected comma at 2 in a b",
        400,
    ),
    "empty subprotocols": (
        request_with(("Sec-WebSocket-Protocol", "")),
        InvalidHeaderFormat,
        "invalid Sec-WebSocket-Protocol header: expected token at 0 in ",
        400,
    ),
    # 405
    "HEAD": (request_with(method="HEAD"), InvalidMethod, "unsupported HTTP method: HEAD", 405),
    "POST": (request_with(method="POST"), InvalidMethod, "unsupported HTTP method: POST", 405),
    "get": (request_with(method="get"), InvalidMethod, "unsupported HTTP method: get", 405),
    # 426
    "no Upgrade": (
        request_with(("Upgrade", None)),
        InvalidUpgrade,
        "missing Upgrade header",
        426,
    ),
    "empty Upgrade": (
        request_with(("Upgrade", "")),
        InvalidUpgrade,
        "empty Upgrade header",
        426,
    ),
    "Upgrade to something else": (
        request_with(("Upgrade", "h2c")),
        InvalidUpgrade,
        "invalid Upgrade header: h2c",
        426,
    ),
    "Upgrade to WebSocket and something else": (
        request_with(("Upgrade", "websocket, h2c")),
        InvalidUpgrade,
        "invalid Upgrade header: websocket, h2c",
        426,
    ),
    "two Upgrades": (
        request_with(("Upgrade", ["websocket", "websocket"])),
        InvalidUpgrade,
        "invalid Upgrade header: websocket, websocket",
        426,
    ),
    "no Connection": (
        request_with(("Connection", None)),
        InvalidUpgrade,
        "missing Connection header",
        426,
    ),
    "Connection for something else": (
        request_with(("Connection", "keep-alive")),
        InvalidUpgrade,
        "invalid Connection header: keep-alive",
        426,
    ),
    "Connection that has the word in another": (
        request_with(("Connection", "notupgrade, upgrade-not, Upgrades")),
        InvalidUpgrade,
        "invalid Connection header: notupgrade, upgrade-not, Upgrades",
        426,
    ),
    "other version": (
        request_with(("Sec-WebSocket-Version", "8")),
        InvalidHeaderValue,
        "invalid Sec-WebSocket-Version header: 8",
        426,
    ),
    "list of versions": (
        request_with(("Sec-WebSocket-Version", "13, 8")),
        InvalidHeaderValue,
        "invalid Sec-WebSocket-Version header: 13, 8",
        426,
    ),
    "version with a zero": (
        request_with(("Sec-WebSocket-Version", "013")),
        InvalidHeaderValue,
        "invalid Sec-WebSocket-Version header: 013",
        426,
    ),
    # 505
    "HTTP/1.0": (
        request_with(protocol="HTTP/1.0"),
        InvalidProtocol,
        "unsupported HTTP version: HTTP/1.0",
        505,
    ),
}

EXTRA_HEADERS = {
    405: {"Allow": "GET"},
    # RFC 9110, section 7.8: whoever sends Upgrade names it in Connection.
    426: {"Upgrade": "websocket", "Connection": "close, Upgrade"},
}


@pytest.mark.parametrize(
    "request_, exc_type, message, status", FAILURES.values(), ids=FAILURES.keys()
)
def test_request_is_refused(request_, exc_type, message, status, way):
    server = ServerProtocol()
    for chunk in way.chunks(wire_of(request_), trailing=HELLO):
        server.receive_data(chunk)
    [request] = server.events_received()
    response = server.accept(request)

    exc = server.handshake_exc
    assert type(exc) is exc_type
    assert str(exc) == message
    assert response.status_code == status
    assert response.reason_phrase == http.HTTPStatus(status).phrase
    assert response.body.decode().startswith(f"Failed to open a WebSocket connection: {message}.\n")
    headers = {
        "Date": DATE,
        "Connection": "close",
        "Content-Length": str(len(response.body)),
        "Content-Type": "text/plain; charset=utf-8",
    }
    headers |= EXTRA_HEADERS.get(status, {})
    if getattr(exc, "name", None) == "Sec-WebSocket-Version" and status == 426:
        headers["Sec-WebSocket-Version"] = "13"
    assert response.headers == Headers(headers)
    with pytest.warns(DeprecationWarning, match="use ServerProtocol.handshake_exc instead"):
        assert request.exception is exc

    server.send_response(response)
    head, separator, body = response.serialize().partition(b"\r\n\r\n")
    # RFC 9110, section 9.3.2.
    body = b"" if request.method == "HEAD" else body
    assert server.data_to_send() == [head + separator + body, SEND_EOF]
    assert server.state is State.CONNECTING
    assert server.close_expected()
    assert server.handshake_exc is exc

    # What comes now is dropped.
    server.receive_data(HELLO)
    assert server.events_received() == []
    server.receive_eof()
    assert server.state is State.CLOSED
    assert not server.close_expected()
    assert server.close_code == 1006


@pytest.mark.parametrize("request_", [case[0] for case in FAILURES.values()], ids=FAILURES.keys())
def test_connection_that_was_refused_is_freed_without_the_garbage_collector(request_, freed):
    def make():
        server = ServerProtocol()
        respond(server, request_)
        assert server.handshake_exc is not None
        return server

    assert freed(make)


def test_refused_server_is_freed_before_its_request(without_gc):
    server = ServerProtocol()
    server.receive_data(wire_of(request_with(method="POST")))
    [request] = server.events_received()
    server.send_response(server.accept(request))
    references = [weakref.ref(item) for item in (server, request, server.handshake_exc)]
    del server
    with pytest.warns(DeprecationWarning, match="Request.exception"):
        assert request.exception is None
    del request
    assert [reference() for reference in references] == [None] * 3


def test_request_that_was_accepted_has_no_exception():
    server = ServerProtocol()
    server.receive_data(wire_of(request_with()))
    [request] = server.events_received()
    server.send_response(server.accept(request))
    with pytest.warns(DeprecationWarning, match="Request.exception"):
        assert request.exception is None


def test_browser_is_told_what_is_needed():
    server = ServerProtocol()
    response = respond(server, request_with(("Upgrade", None), ("Connection", "keep-alive")))
    assert response.body.decode() == (
        "Failed to open a WebSocket connection: invalid Connection header: keep-alive.\n"
        "\n"
        "You cannot access a WebSocket server directly with a browser. "
        "You need a WebSocket client.\n"
    )


# Not even a request

LONG = b"a" * MAX_LINE_LENGTH

NOT_REQUESTS = {
    "not HTTP": (b"\x16\x03\x01\r\n\r\n", InvalidMessage, 400),
    "empty line": (b"\r\nGET / HTTP/1.1\r\n", InvalidMessage, 400),
    "lone line feed": (b"GET / HTTP/1.1\nHost: a\n\n", InvalidMessage, 400),
    "space in the target": (b"GET /a b HTTP/1.1\r\n\r\n", InvalidMessage, 400),
    "target that isn't ASCII": (b"GET /\xe9 HTTP/1.1\r\n\r\n", InvalidMessage, 400),
    "space before a colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", InvalidMessage, 400),
    "folded line": (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", InvalidMessage, 400),
    "line without a colon": (b"GET / HTTP/1.1\r\nHost\r\n\r\n", InvalidMessage, 400),
    "NUL": (b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", InvalidMessage, 400),
    "body": (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", InvalidMessage, 400),
    "body of a length that isn't a number": (
        b"GET / HTTP/1.1\r\nContent-Length: +0\r\n\r\n",
        InvalidMessage,
        400,
    ),
    "chunked body": (
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        InvalidMessage,
        400,
    ),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", InvalidProtocol, 505),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\n", InvalidProtocol, 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n", InvalidProtocol, 505),
    "long target": (b"GET /" + LONG + b" HTTP/1.1\r\n", RequestLineTooLong, 414),
    "request line that doesn't end": (b"GET /" + LONG, RequestLineTooLong, 414),
    "long header": (b"GET / HTTP/1.1\r\nX: " + LONG + b"\r\n", HeaderLineTooLong, 431),
    "header that doesn't end": (b"GET / HTTP/1.1\r\nX: " + LONG, HeaderLineTooLong, 431),
    "many headers": (
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (MAX_NUM_HEADERS + 1),
        TooManyHeaders,
        431,
    ),
    "large headers": (
        b"GET / HTTP/1.1\r\n" + (b"X:" + b"a" * 4094 + b"\r\n") * (MAX_HEAD_SIZE // 4096),
        TooManyHeaders,
        431,
    ),
}

SLOW = ["large headers"]


@pytest.mark.parametrize(
    "data, exc_type, status",
    [
        pytest.param(*case, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, case in NOT_REQUESTS.items()
    ],
)
def test_what_is_not_a_request_is_refused_at_once(data, exc_type, status, way):
    server = ServerProtocol()
    for chunk in way.chunks(data, trailing=HELLO):
        server.receive_data(chunk)
    assert server.events_received() == []
    assert type(server.handshake_exc) is exc_type
    phrase = http.HTTPStatus(status).phrase
    response, eof = server.data_to_send()
    assert response.startswith(
        f"HTTP/1.1 {status} {phrase}\r\nDate: {DATE}\r\nConnection: close\r\n".encode()
    )
    assert eof == SEND_EOF
    assert server.state is State.CONNECTING
    assert server.close_expected()

    server.receive_data(HELLO)
    server.receive_eof()
    assert server.data_to_send() == []
    assert server.events_received() == []
    assert server.state is State.CLOSED
    assert type(server.handshake_exc) is exc_type


@pytest.mark.parametrize("data", [case[0] for case in NOT_REQUESTS.values()], ids=NOT_REQUESTS)
def test_what_is_not_a_request_leaves_nothing_for_the_garbage_collector(data, freed):
    def make():
        server = ServerProtocol()
        server.receive_data(data)
        assert server.handshake_exc is not None
        return server

    assert freed(make)


def test_what_is_wrong_with_a_request_is_told():
    server = ServerProtocol()
    server.receive_data(b"GET / HTTP/1.1\r\nHost\r\n")
    assert str(server.handshake_exc) == "did not receive a valid HTTP request"
    assert str(server.handshake_exc.__cause__) == "invalid HTTP header line: 'Host'"
    assert server.data_to_send()[0].endswith(
        b"\r\n\r\nFailed to open a WebSocket connection: "
        b"did not receive a valid HTTP request; invalid HTTP header line: 'Host'.\n"
    )


def test_surrogates_in_what_is_wrong_are_escaped():
    server = ServerProtocol()
    response = server.reject_because(InvalidHeaderValue("Sec-WebSocket-Key", "\udce9"))
    assert response.status_code == 400
    assert b"invalid Sec-WebSocket-Key header: \\udce9.\n" in response.body


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\n"])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_request_or_are_refused(start, data):
    server = ServerProtocol()
    server.receive_data(start + data)
    for event in server.events_received():
        server.send_response(server.accept(event))
    server.receive_eof()
    assert server.state is State.CLOSED


@pytest.mark.parametrize(
    "name", [*HEADERS, "Origin", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"]
)
@given(
    value=st.binary(max_size=30) | st.text(alphabet=' ",;=\\a/0:[]', max_size=30).map(str.encode)
)
@settings(max_examples=50)
def test_any_value_of_a_header_is_accepted_or_refused(name, value):
    server = ServerProtocol(
        origins=[re.compile(".*"), None],
        extensions=[ServerPerMessageDeflateFactory()],
        select_subprotocol=lambda server, subprotocols: None,
    )
    server.receive_data(
        wire_of(request_with((name, None)))[:-2] + name.encode() + b": " + value + b"\r\n\r\n"
    )
    for event in server.events_received():
        server.send_response(server.accept(event))
    # What a value with an empty line leaves is no header, and makes an open connection fail.
    opened = server.state is not State.CONNECTING
    assert opened is (server.handshake_exc is None)
    assert opened or isinstance(server.handshake_exc, InvalidHandshake)
    assert opened or server.data_to_send()[-1] == SEND_EOF


# The end of the stream

REQUEST = wire_of(request_with())


@pytest.mark.parametrize("size", [0, 1, 10, 16, 60, len(REQUEST) - 1])
def test_stream_that_ends_in_the_request(size):
    server = ServerProtocol()
    if size:
        server.receive_data(REQUEST[:size])
    server.receive_eof()
    assert server.state is State.CLOSED
    assert server.data_to_send() == [SEND_EOF]
    assert type(server.handshake_exc) is InvalidMessage
    assert str(server.handshake_exc) == "did not receive a valid HTTP request"
    assert isinstance(server.handshake_exc.__cause__, EOFError)
    assert str(server.handshake_exc.__cause__) == "connection closed while reading HTTP request"
    assert server.close_code == 1006


def test_stream_that_ends_before_the_response():
    server = ServerProtocol()
    request = receive_request(server, request_with())
    server.receive_eof()
    assert server.state is State.CLOSED
    response = server.accept(request)
    with pytest.raises(InvalidState, match="connection is closed"):
        server.send_response(response)
    assert server.data_to_send() == [SEND_EOF]


def test_stream_that_ends_after_a_refusal():
    server = ServerProtocol()
    respond(server, request_with(("Host", None)))
    server.data_to_send()
    server.receive_eof()
    assert server.state is State.CLOSED
    assert server.data_to_send() == []
    assert str(server.handshake_exc) == "missing Host header"


def test_stream_that_ends_after_the_response():
    server = opened()
    server.receive_eof()
    assert server.handshake_exc is None
    assert isinstance(server.parser_exc, EOFError)
    assert server.data_to_send() == [SEND_EOF]


# Data before the response


def early(server, data, way):
    for chunk in way.chunks(REQUEST + data, trailing=b""):
        server.receive_data(chunk)
    [request] = server.events_received()
    return request


def test_data_that_comes_before_the_response_is_kept(way):
    server = ServerProtocol()
    request = early(server, HELLO + HELLO[:3], way)
    server.receive_data(HELLO[3:])
    assert server.events_received() == []
    server.send_response(server.accept(request))
    assert server.events_received() == [Frame(Opcode.TEXT, b"hello")] * 2
    assert server.state is State.OPEN
    server.receive_data(HELLO)
    assert server.events_received() == [Frame(Opcode.TEXT, b"hello")]


def test_early_data_that_is_wrong_fails_the_connection(way):
    server = ServerProtocol()
    request = early(server, b"\x81\x00", way)
    server.send_response(server.accept(request))
    assert server.state is State.CLOSING
    assert server.close_sent.code == 1002
    response, close, eof = server.data_to_send()
    assert response.startswith(b"HTTP/1.1 101 ")
    assert close.startswith(b"\x88")
    assert eof == SEND_EOF


def test_early_ping_is_answered_after_the_response():
    server = ServerProtocol()
    server.receive_data(REQUEST + serialize_frame(0x89, b"ping", True))
    [request] = server.events_received()
    server.send_response(server.accept(request))
    response, pong = server.data_to_send()
    assert response.startswith(b"HTTP/1.1 101 ")
    assert pong == b"\x8a\x04ping"


def test_early_data_does_not_change_a_refusal(way):
    server = ServerProtocol()
    request = early(server, HELLO, way)
    server.send_response(server.reject(403, "no"))
    assert server.events_received() == []
    assert server.data_to_send()[-1] == SEND_EOF
    assert request.path == "/chat"


@pytest.mark.parametrize("size", [1000, MAX_EARLY_DATA, 2 * MAX_EARLY_DATA])
def test_as_much_early_data_as_the_limit_is_kept(size):
    message = serialize_frame(0x82, bytes(10), True)
    number, remainder = divmod(MAX_EARLY_DATA, len(message))
    assert remainder == 0
    server = ServerProtocol()
    data = REQUEST + message * number
    for i in range(0, len(data), size):
        server.receive_data(data[i : i + size])
    [request] = server.events_received()
    server.send_response(server.accept(request))
    assert server.state is State.OPEN
    assert server.events_received() == [Frame(Opcode.BINARY, bytes(10))] * number


@pytest.mark.parametrize("size", [1000, MAX_EARLY_DATA, 2 * MAX_EARLY_DATA])
def test_more_early_data_fails_the_connection(size):
    server = ServerProtocol()
    data = REQUEST + bytes(MAX_EARLY_DATA + 1)
    for i in range(0, len(data), size):
        server.receive_data(data[i : i + size])
    [request] = server.events_received()
    # None of it is kept.
    server.receive_data(bytes(MAX_EARLY_DATA))
    assert server.data_to_send() == []
    server.send_response(server.accept(request))
    assert server.events_received() == []
    response, close, eof = server.data_to_send()
    assert response.startswith(b"HTTP/1.1 101 ")
    assert close == b"\x88\x2c\x03\xf0received data before the opening handshake"
    assert eof == SEND_EOF
    assert server.state is State.CLOSING


def test_more_early_data_does_not_change_a_refusal():
    server = ServerProtocol()
    receive_request(server, request_with())
    server.receive_data(bytes(MAX_EARLY_DATA + 1))
    server.send_response(server.reject(403, "no"))
    response, eof = server.data_to_send()
    assert response.startswith(b"HTTP/1.1 403 ")
    assert eof == SEND_EOF


# Responses of the application


@pytest.mark.parametrize("status", [200, 404, http.HTTPStatus.IM_A_TEAPOT, 503])
def test_connection_is_rejected_by_the_application(status):
    server = ServerProtocol()
    receive_request(server, request_with())
    response = server.reject(status, "¡no!\n")
    assert response == Response(
        int(status),
        http.HTTPStatus(status).phrase,
        Headers(
            {
                "Date": DATE,
                "Connection": "close",
                "Content-Length": "6",
                "Content-Type": "text/plain; charset=utf-8",
            }
        ),
        "¡no!\n".encode(),
    )
    assert server.data_to_send() == []
    assert server.handshake_exc is None

    server.send_response(response)
    assert server.data_to_send() == [response.serialize(), SEND_EOF]
    assert server.state is State.CONNECTING
    assert server.close_expected()
    assert type(server.handshake_exc) is InvalidHandshake
    assert str(server.handshake_exc) == f"rejected connection: HTTP {int(status)}"


@pytest.mark.parametrize("status, length", [(204, None), (304, "1")])
def test_response_that_cannot_have_a_body_has_none(status, length):
    server = ServerProtocol()
    receive_request(server, request_with())
    response = server.reject(status, "a")
    server.send_response(response)
    assert (response.headers["Content-Length"], response.body) == ("1", b"a")
    reader = ResponseReader()
    sent = reader.feed(server.data_to_send()[0])
    assert (sent.status_code, sent.headers.get("Content-Length")) == (status, length)
    assert reader.rest == b""


def test_response_without_content_needs_no_length():
    server = ServerProtocol()
    receive_request(server, request_with())
    server.send_response(Response(204, "No Content", Headers()))
    assert server.data_to_send() == [b"HTTP/1.1 204 No Content\r\n\r\n", SEND_EOF]


def test_connection_may_be_rejected_after_it_was_accepted():
    server = ServerProtocol()
    request = receive_request(server, request_with())
    server.accept(request)
    server.send_response(server.reject(403, ""))
    assert server.data_to_send()[0].startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert server.state is State.CONNECTING


def test_reason_of_a_failure_is_kept_when_the_response_is_another():
    server = ServerProtocol()
    request = receive_request(server, request_with(("Upgrade", None)))
    server.accept(request)
    server.send_response(server.reject(200, "healthy"))
    assert type(server.handshake_exc) is InvalidUpgrade


@pytest.mark.parametrize("first", [101, 403])
@pytest.mark.parametrize("second", [101, 403])
def test_response_is_sent_once(first, second):
    server = ServerProtocol()
    request = receive_request(server, request_with())
    responses = {101: server.accept(request), 403: server.reject(403, "no")}
    server.send_response(responses[first])
    state, data = server.state, server.data_to_send()
    assert data
    with pytest.raises(InvalidState) as raised:
        server.send_response(responses[second])
    assert str(raised.value) == (
        "connection is open" if first == 101 else "opening handshake failed already"
    )
    assert server.state is state
    assert server.data_to_send() == []


def test_response_that_cannot_be_sent_may_be_corrected():
    server = ServerProtocol()
    response = server.accept(receive_request(server, request_with()))
    response.reason_phrase = "a\r\nb"
    with pytest.raises(ValueError, match="invalid reason phrase"):
        server.send_response(response)
    assert server.state is State.CONNECTING
    assert server.data_to_send() == []
    response.reason_phrase = ""
    server.send_response(response)
    assert server.state is State.OPEN


def test_connection_may_fail_before_the_response():
    server = ServerProtocol()
    response = server.accept(receive_request(server, request_with()))
    server.fail(1011)
    assert server.data_to_send() == [SEND_EOF]
    with pytest.raises(InvalidState):
        server.send_response(response)


# Origins

ORIGIN = "https://example.com"
ANY_SUBDOMAIN = re.compile(r"https://.*\.example\.com")


@pytest.mark.parametrize(
    "origins, origin",
    [
        (None, None),
        (None, ORIGIN),
        (None, "null"),
        ([ORIGIN], ORIGIN),
        (["https://other.example", ORIGIN], ORIGIN),
        ([None, ORIGIN], None),
        ([None, ORIGIN], ORIGIN),
        ([None], None),
        (["null"], "null"),
        ([ANY_SUBDOMAIN], "https://a.example.com"),
        ([ANY_SUBDOMAIN, ORIGIN], ORIGIN),
        ([ANY_SUBDOMAIN, None], None),
        ([re.compile("")], ""),
        ((ORIGIN,), ORIGIN),
    ],
)
def test_origin_is_accepted(origins, origin):
    server = ServerProtocol(origins=origins)
    response = respond(server, request_with(("Origin", origin)))
    assert response.status_code == 101
    assert server.origin == origin


@pytest.mark.parametrize(
    "origins, origin",
    [
        ([], None),
        ([], ORIGIN),
        ([ORIGIN], None),
        ([ORIGIN], ""),
        ([ORIGIN], "null"),
        ([ORIGIN], "HTTPS://EXAMPLE.COM"),
        ([ORIGIN], "https://example.com/"),
        ([ORIGIN], "https://example.com:443"),
        ([ORIGIN], "http://example.com"),
        ([ORIGIN], "https://example.com.evil.example"),
        ([None], ORIGIN),
        # The whole value must match.
        ([ANY_SUBDOMAIN], "https://a.example.com.evil.example"),
        ([ANY_SUBDOMAIN], "xhttps://a.example.com"),
        ([ANY_SUBDOMAIN], "https://example.com"),
        ([ANY_SUBDOMAIN], None),
        ([re.compile(".*")], None),
        (["https://.*"], "https://a"),
    ],
)
def test_other_origin_is_forbidden(origins, origin):
    server = ServerProtocol(origins=origins)
    response = respond(server, request_with(("Origin", origin)))
    assert response.status_code == 403
    assert type(server.handshake_exc) is InvalidOrigin
    assert server.handshake_exc.value == origin
    assert server.origin is None


# Extensions


class Noted(Extension):
    def __init__(self, name, params):
        self.name = name
        self.params = params


class NotedFactory(ServerExtensionFactory):
    """Accepts offers that have a parameter, and answers with it and how many came before."""

    def __init__(self, name, required=None):
        self.name = name
        self.required = required

    def process_request_params(self, params, accepted_extensions):
        if self.required is not None and (self.required, None) not in params:
            raise NegotiationError(f"missing {self.required}")
        response = [("n", str(len(accepted_extensions)))]
        if self.required is not None:
            response.append((self.required, None))
        return response, Noted(self.name, params)


@pytest.mark.parametrize(
    "factories, offers, answer, names",
    [
        (None, None, None, []),
        (None, "x", None, []),
        ([], "x", None, []),
        ([NotedFactory("x")], None, None, []),
        ([NotedFactory("x")], "x", "x; n=0", ["x"]),
        ([NotedFactory("x")], "y", None, []),
        ([NotedFactory("x")], "X", None, []),
        ([NotedFactory("x")], "y, x; p", "x; n=0", ["x"]),
        # The order of the client's offers is kept.
        ([NotedFactory("x"), NotedFactory("y")], "y, x", "y; n=0, x; n=1", ["y", "x"]),
        ([NotedFactory("x"), NotedFactory("y")], ["y", "x"], "y; n=0, x; n=1", ["y", "x"]),
        # The first factory that takes an offer makes the extension.
        (
            [NotedFactory("x", "a"), NotedFactory("x", "b")],
            "x; b",
            "x; n=0; b",
            ["x"],
        ),
        ([NotedFactory("x", "a"), NotedFactory("x")], "x; a", "x; n=0; a", ["x"]),
        # An offer that none takes is passed over.
        ([NotedFactory("x", "a")], "x; b", None, []),
        ([NotedFactory("x", "a")], "x; b, x; a", "x; n=0; a", ["x"]),
    ],
)
def test_extensions_are_chosen(factories, offers, answer, names):
    server = ServerProtocol(extensions=factories)
    response = respond(server, request_with(("Sec-WebSocket-Extensions", offers)))
    assert response.status_code == 101
    assert response.headers.get("Sec-WebSocket-Extensions") == answer
    assert [extension.name for extension in server.extensions] == names


def test_extension_gets_the_parameters_of_the_offer():
    server = ServerProtocol(extensions=[NotedFactory("x")])
    respond(server, request_with(("Sec-WebSocket-Extensions", 'x; a; b=1; c="2"')))
    assert server.extensions[0].params == [("a", None), ("b", "1"), ("c", "2")]


@pytest.mark.parametrize(
    "offers, answer",
    [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=11",
        ),
        # RFC 7692, section 5.1: the client falls back to what it offers next.
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            "permessage-deflate; server_max_window_bits=12",
        ),
        # It can't be used twice.
        (
            "permessage-deflate, permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=12",
        ),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; server_max_window_bits=8", None),
    ],
)
def test_compression_is_negotiated(offers, answer):
    server = ServerProtocol(
        extensions=[
            ServerPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=11)
        ]
    )
    response = respond(server, request_with(("Sec-WebSocket-Extensions", offers)))
    assert response.headers.get("Sec-WebSocket-Extensions") == answer
    assert len(server.extensions) == (answer is not None)


def test_compression_is_used():
    server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()])
    respond(server, request_with(("Sec-WebSocket-Extensions", "permessage-deflate")))
    server.data_to_send()
    assert isinstance(server.extensions[0], PerMessageDeflate)
    payload = bytes.fromhex("f248cdc9c90700")
    server.receive_data(serialize_frame(0xC1, payload, True))
    assert server.events_received() == [Frame(Opcode.TEXT, b"Hello")]
    server.send_text(b"Hello")
    assert server.data_to_send() == [b"\xc1\x07" + payload]


# Subprotocols


@pytest.mark.parametrize(
    "subprotocols, offered, chosen",
    [
        (None, None, None),
        (None, "chat", None),
        ([], "chat", None),
        (["chat"], "chat", "chat"),
        (("chat",), "chat", "chat"),
        # The server's order of preference counts.
        (["superchat", "chat"], "chat, superchat", "superchat"),
        (["superchat", "chat"], ["chat", "superchat"], "superchat"),
        (["superchat", "chat"], "other,chat", "chat"),
    ],
)
def test_subprotocol_is_chosen(subprotocols, offered, chosen):
    server = ServerProtocol(subprotocols=subprotocols)
    response = respond(server, request_with(("Sec-WebSocket-Protocol", offered)))
    assert response.status_code == 101
    assert response.headers.get("Sec-WebSocket-Protocol") == chosen
    assert server.subprotocol == chosen


@pytest.mark.parametrize(
    "offered, message",
    [
        (None, "missing subprotocol"),
        ("other", "invalid subprotocol; expected one of superchat, chat"),
        ("CHAT", "invalid subprotocol; expected one of superchat, chat"),
    ],
)
def test_client_without_a_common_subprotocol_is_refused(offered, message):
    server = ServerProtocol(subprotocols=["superchat", "chat"])
    response = respond(server, request_with(("Sec-WebSocket-Protocol", offered)))
    assert response.status_code == 400
    assert type(server.handshake_exc) is NegotiationError
    assert str(server.handshake_exc) == message
    assert server.subprotocol is None


@pytest.mark.parametrize("chosen", ["second", None])
@pytest.mark.parametrize("subprotocols", [None, ["first"]])
def test_application_chooses_the_subprotocol(subprotocols, chosen):
    calls = []

    def select_subprotocol(*args):
        calls.append(args)
        return chosen

    server = ServerProtocol(subprotocols=subprotocols, select_subprotocol=select_subprotocol)
    response = respond(server, request_with(("Sec-WebSocket-Protocol", "first, second")))
    assert calls == [(server, ["first", "second"])]
    assert response.headers.get("Sec-WebSocket-Protocol") == chosen
    assert server.subprotocol == chosen


def test_application_may_refuse_all_subprotocols():
    def select_subprotocol(server, subprotocols):
        raise NegotiationError("none of these")

    server = ServerProtocol(select_subprotocol=select_subprotocol)
    response = respond(server)
    assert response.status_code == 400
    assert str(server.handshake_exc) == "none of these"


def test_client_is_not_told_why_the_application_refuses_all_subprotocols(lines):
    def select_subprotocol(server, subprotocols):
        raise NegotiationError("none of these") from KeyError("secret")

    response = respond(ServerProtocol(select_subprotocol=select_subprotocol))
    assert response.status_code == 400
    assert response.body == b"Failed to open a WebSocket connection: none of these.\n"
    # The log is.
    assert "! none of these; 'secret'" in lines()


@pytest.mark.parametrize("chosen", ["a b", "a\r\nX: b", ""])
def test_subprotocol_of_the_application_must_be_a_token(chosen, caplog):
    server = ServerProtocol(select_subprotocol=lambda server, subprotocols: chosen)
    assert respond(server).status_code == 500
    assert server.subprotocol is None
    assert isinstance(server.handshake_exc, ValueError)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "subprotocols, exc_type, message",
    [
        ("chat", TypeError, "subprotocols must be a list, not a str"),
        (3, TypeError, "subprotocols must be a list"),
        ({"chat"}, TypeError, "subprotocols must be a list"),
        (["a b"], ValueError, "invalid subprotocol: a b"),
        ([""], ValueError, "invalid subprotocol: "),
    ],
)
def test_subprotocols_are_checked(subprotocols, exc_type, message):
    with pytest.raises(exc_type) as raised:
        ServerProtocol(subprotocols=subprotocols)
    assert str(raised.value) == message


# Mistakes of the application


def test_unexpected_exception_is_logged_and_not_told_the_client(caplog):
    def select_subprotocol(server, subprotocols):
        raise RuntimeError("secret")

    server = ServerProtocol(select_subprotocol=select_subprotocol)
    response = respond(server)
    assert response.status_code == 500
    assert response.body == (
        b"Failed to open a WebSocket connection.\nSee server log for more information.\n"
    )
    assert isinstance(server.handshake_exc, RuntimeError)
    assert server.data_to_send()[-1] == SEND_EOF
    [record] = caplog.records
    assert record.getMessage() == "opening handshake failed"
    assert record.levelno == logging.ERROR
    assert record.exc_info[1] is server.handshake_exc


# Logs


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG, "websockets.server")

    def lines():
        assert all(record.levelno == logging.DEBUG for record in caplog.records)
        return [record.getMessage() for record in caplog.records]

    return lines


def test_accepted_handshake_is_logged(lines):
    respond(ServerProtocol())
    assert lines() == [
        "< GET /chat HTTP/1.1",
        "< Host: server.example.com",
        "< Upgrade: websocket",
        "< Connection: Upgrade",
        f"< Sec-WebSocket-Key: {KEY}",
        "< Sec-WebSocket-Version: 13",
        "= connection is OPEN",
        "> HTTP/1.1 101 Switching Protocols",
        f"> Date: {DATE}",
        "> Upgrade: websocket",
        "> Connection: Upgrade",
        f"> Sec-WebSocket-Accept: {ACCEPT}",
    ]


def test_refused_handshake_is_logged(lines):
    server = ServerProtocol(origins=[])
    respond(server)
    server.receive_eof()
    assert lines()[6:] == [
        "! missing Origin header",
        "> HTTP/1.1 403 Forbidden",
        f"> Date: {DATE}",
        "> Connection: close",
        "> Content-Length: 62",
        "> Content-Type: text/plain; charset=utf-8",
        "> [body] (62 bytes)",
        "> EOF",
        "< EOF",
        "= connection is CLOSED",
    ]


def test_credentials_are_not_logged(lines):
    server = ServerProtocol()
    server.receive_data(
        b"GET / HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\ncookie: s=1\r\nX: \x9b2J\r\n\r\n"
    )
    [request] = server.events_received()
    response = server.reject(403, "")
    response.headers["Set-Cookie"] = "s=1"
    server.send_response(response)
    assert lines()[1:4] == ["< Authorization: ***", "< cookie: ***", r"< X: \x9b2J"]
    assert "> Set-Cookie: ***" in lines()
    # Programs get them as they are.
    assert request.headers["Authorization"] == "Basic c2VjcmV0"


def test_request_that_is_not_valid_is_logged_with_what_is_wrong(lines):
    server = ServerProtocol()
    server.receive_data(b"hello\r\n")
    assert lines()[0] == (
        "! did not receive a valid HTTP request; invalid HTTP request line: 'hello'"
    )


# What every response has


def test_responses_of_a_server_have_its_name_and_the_date():
    response = Response(200, "OK", Headers({"X-Custom": "spam"}), b"OK")
    customized = customize_response(response, "Test")
    headers = Headers({"X-Custom": "spam", "Server": "Test", "Date": DATE})
    assert customized == Response(200, "OK", headers, b"OK")
    # It may serve for many connections.
    assert response.headers == Headers({"X-Custom": "spam"})


def test_headers_that_a_response_has_are_kept():
    headers = Headers({"Server": "Mine", "Date": "today"})
    customized = customize_response(Response(200, "OK", headers), "Test")
    assert customized.headers == headers


def test_name_of_a_server_can_be_left_out():
    customized = customize_response(Response(200, "OK", Headers()), None)
    assert "Server" not in customized.headers


def test_date_is_now():
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    text = build_date()
    date = email.utils.parsedate_to_datetime(text)
    assert before <= date <= datetime.datetime.now(datetime.UTC)
    assert text.endswith(" GMT")


def test_date_is_new_each_second(monkeypatch):
    for now, date in [
        (0.0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (0.9, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1.0, "Thu, 01 Jan 1970 00:00:01 GMT"),
        # Somebody set the clock.
        (0.5, "Thu, 01 Jan 1970 00:00:00 GMT"),
    ]:
        monkeypatch.setattr("time.time", lambda now=now: now)
        assert build_date() == date


def test_date_has_the_form_of_http(monkeypatch):
    # Each day of the week, each month.
    for month in range(12):
        now = month * 31 * 86400
        monkeypatch.setattr("time.time", lambda now=now: float(now))
        assert build_date() == email.utils.formatdate(now, usegmt=True)


# Pages of this server, and names that it has


@pytest.mark.parametrize(
    "origins, origin, accepted",
    [
        ("same-origin", "https://server.example.com", True),
        ("same-origin", None, True),
        ("same-origin", "https://evil.example", False),
        ("same-origin", "null", False),
        # It is no value of the header.
        ("same-origin", "same-origin", False),
        (["same-origin"], "https://server.example.com", True),
        (["same-origin"], None, False),
        (["same-origin", "https://friend.example"], "https://friend.example", True),
        (["same-origin", "https://friend.example"], "https://evil.example", False),
    ],
)
def test_origin_can_be_required_to_be_that_of_the_server(origins, origin, accepted):
    server = ServerProtocol(origins=origins)
    response = respond(server, request_with(("Origin", origin)))
    assert response.status_code == (101 if accepted else 403)


@pytest.mark.parametrize(
    "host, status",
    [("server.example.com", 101), ("SERVER.example.com:443", 101), ("evil.example", 400)],
)
def test_host_can_be_required_to_be_that_of_the_server(host, status):
    server = ServerProtocol(allowed_hosts=["server.example.com"])
    assert respond(server, request_with(("Host", host))).status_code == status
    assert respond(ServerProtocol(), request_with(("Host", host))).status_code == 101


@pytest.mark.parametrize(
    "kwargs", [{"origins": "https://a.example"}, {"allowed_hosts": "a.example"}]
)
def test_one_string_is_no_list(kwargs):
    with pytest.raises(TypeError, match="must be a list"):
        ServerProtocol(**kwargs)


@pytest.mark.parametrize(
    "target, host",
    [
        ("http://server.example.com/chat", "server.example.com"),
        ("https://server.example.com:8443?a=b", "server.example.com:8443"),
        ("HTTP://[::1]", "[::1]"),
        ("http://", ""),
        ("http://user@server.example.com/", "user@server.example.com"),
        ("/http://server.example.com/", "other.example.com"),
    ],
)
def test_host_of_an_absolute_target_counts(target, host):
    server = ServerProtocol()
    request = request_with(("Host", "other.example.com"))
    request.path = target
    assert receive_request(server, request).headers["Host"] == host


@pytest.mark.parametrize("hosts", [[], ["a.example", "b.example"]])
def test_absolute_target_is_no_host_header(hosts):
    request = request_with(("Host", hosts))
    request.path = "http://server.example.com/"
    server = ServerProtocol()
    assert respond(server, request).status_code == 400


def test_host_of_an_absolute_target_must_be_allowed():
    request = request_with()
    for host, status in [("server.example.com", 101), ("evil.example", 400)]:
        request.path = f"http://{host}/"
        server = ServerProtocol(allowed_hosts=["server.example.com"])
        assert respond(server, request).status_code == status


def test_host_that_is_no_host_is_refused():
    with pytest.raises(ValueError, match=r"^invalid host: 'https://a\.example'$"):
        ServerProtocol(allowed_hosts=[re.compile("a"), "https://a.example"])
