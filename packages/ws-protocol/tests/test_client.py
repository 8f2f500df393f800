import base64
import http
import logging
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_protocol.client import ClientProtocol, backoff, customize_request, process_exception
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidState,
    InvalidStatus,
    InvalidUpgrade,
    NegotiationError,
    SecurityError,
)
from ws_protocol.extensions import ClientExtensionFactory, Extension
from ws_protocol.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from ws_protocol.frames import Frame, Opcode
from ws_protocol.handshake import accept_key
from ws_protocol.http11 import Request, Response
from ws_protocol.limits import MAX_BODY_SIZE, MAX_LINE_LENGTH, MAX_NUM_HEADERS
from ws_protocol.protocol import SEND_EOF, Side, State
from ws_protocol.uri import parse_uri

URI = parse_uri("ws://example.com/chat?room=1")

HELLO = b"\x81\x05hello"

# What a server makes of the key is put in its place.
ACCEPT = object()

HEADERS = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}


def response_to(client, *changes, status=101):
    """Return a response with other headers: a value to set, a list of values, None to leave out."""
    headers = Headers()
    for key, value in (HEADERS | dict(changes)).items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                headers[key] = accept_key(client.key) if item is ACCEPT else item
    return Response(status, http.HTTPStatus(status).phrase, headers)


def connecting(**kwargs):
    """Return a client that sent its request."""
    client = ClientProtocol(URI, **kwargs)
    client.send_request(client.connect())
    client.data_to_send()
    return client


def receive_response(client, *changes, status=101):
    response = response_to(client, *changes, status=status)
    client.receive_data(response.serialize())
    return response


# Requests


def test_connection_is_connecting_at_first():
    client = ClientProtocol(URI)
    assert client.side is Side.CLIENT
    assert client.state is State.CONNECTING
    assert client.uri is URI
    assert client.origin is None
    assert client.available_extensions is None
    assert client.available_subprotocols is None
    assert client.handshake_exc is None
    assert client.data_to_send() == []
    assert not client.close_expected()


def test_settings_are_those_of_the_protocol():
    logger = logging.getLogger("test")
    client = ClientProtocol(URI, state=State.OPEN, max_size=(10, 5), logger=logger)
    assert client.state is State.OPEN
    assert (client.max_message_size, client.max_fragment_size) == (10, 5)
    assert client.logger is logger
    client.receive_data(HELLO)
    assert client.events_received() == [Frame(Opcode.TEXT, b"hello")]


def test_uri_may_be_given_by_either_of_its_names():
    for client in (ClientProtocol(URI), ClientProtocol(uri=URI), ClientProtocol(wsuri=URI)):
        assert client.uri is URI


@pytest.mark.parametrize(
    "args, kwargs",
    [((URI,), {"wsuri": URI}), ((), {"uri": URI, "wsuri": URI}), ((), {}), ((URI, None), {})],
)
def test_uri_must_be_given_once(args, kwargs):
    with pytest.raises(TypeError):
        ClientProtocol(*args, **kwargs)


def test_constructor_has_its_name_and_documentation():
    assert ClientProtocol.__init__.__name__ == "__init__"
    assert "uri" in ClientProtocol.__init__.__annotations__


def test_each_connection_has_a_key_of_its_own():
    keys = {ClientProtocol(URI).key for _ in range(10)}
    assert len(keys) == 10
    assert all(len(base64.b64decode(key, validate=True)) == 16 for key in keys)


def test_request():
    client = ClientProtocol(URI)
    request = client.connect()
    assert request == Request(
        "/chat?room=1",
        Headers(
            {
                "Host": "example.com",
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Key": client.key,
                "Sec-WebSocket-Version": "13",
            }
        ),
    )
    assert client.data_to_send() == []
    client.send_request(request)
    assert client.data_to_send() == [
        b"GET /chat?room=1 HTTP/1.1\r\n"
        b"Host: example.com\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + client.key.encode() + b"\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    ]
    assert client.state is State.CONNECTING


@pytest.mark.parametrize(
    "uri, path, host",
    [
        ("ws://example.com", "/", "example.com"),
        ("ws://example.com/?a=b", "/?a=b", "example.com"),
        ("ws://example.com:80/", "/", "example.com"),
        ("ws://example.com:443/", "/", "example.com:443"),
        ("wss://example.com:443/", "/", "example.com"),
        ("wss://example.com:80/", "/", "example.com:80"),
        ("ws://[::1]:8080/", "/", "[::1]:8080"),
        ("ws://[::1]/", "/", "[::1]"),
    ],
)
def test_request_depends_on_the_uri(uri, path, host):
    request = ClientProtocol(parse_uri(uri)).connect()
    assert request.path == path
    assert request.headers["Host"] == host


def test_user_information_of_the_uri_is_sent():
    request = ClientProtocol(parse_uri("ws://user:p%40ss@example.com/")).connect()
    assert request.headers["Authorization"] == ("Basic " + base64.b64encode(b"user:p@ss").decode())
    assert request.headers["Host"] == "example.com"


@pytest.mark.parametrize("origin", ["https://example.com", ""])
def test_origin_is_sent(origin):
    client = ClientProtocol(URI, origin=origin)
    assert client.origin == origin
    assert client.connect().headers["Origin"] == origin


@pytest.mark.parametrize(
    "subprotocols, header",
    [
        (None, None),
        ([], None),
        (["chat"], "chat"),
        (("superchat", "chat"), "superchat, chat"),
        (["b", "a", "b", "c", "a"], "b, a, c"),
    ],
)
def test_subprotocols_are_offered(subprotocols, header):
    client = ClientProtocol(URI, subprotocols=subprotocols)
    assert client.connect().headers.get("Sec-WebSocket-Protocol") == header


@pytest.mark.parametrize(
    "subprotocols, exc_type, message",
    [
        ("chat", TypeError, "subprotocols must be a list, not a str"),
        (3, TypeError, "subprotocols must be a list"),
        (["a b"], ValueError, "invalid subprotocol: a b"),
        (["a\r\nX: b"], ValueError, "invalid subprotocol: a\r\nX: b"),
    ],
)
def test_subprotocols_are_checked(subprotocols, exc_type, message):
    with pytest.raises(exc_type) as raised:
        ClientProtocol(URI, subprotocols=subprotocols)
    assert str(raised.value) == message


class Noted(Extension):
    def __init__(self, name, params):
        self.name = name
        self.params = params


class NotedFactory(ClientExtensionFactory):
    """Offers an extension with parameters, and accepts answers that have one of them."""

    def __init__(self, name, params=(), required=None):
        self.name = name
        self.params = params
        self.required = required

    def get_request_params(self):
        return self.params

    def process_response_params(self, params, accepted_extensions):
        if self.required is not None and (self.required, None) not in params:
            raise NegotiationError(f"missing {self.required}")
        return Noted(self.name, [*params, len(accepted_extensions)])


@pytest.mark.parametrize(
    "factories, header",
    [
        (None, None),
        ([], None),
        ([NotedFactory("x")], "x"),
        ([NotedFactory("x", [("a", None), ("b", "1")]), NotedFactory("y")], "x; a; b=1, y"),
        (
            [ClientPerMessageDeflateFactory()],
            "permessage-deflate; client_max_window_bits",
        ),
    ],
)
def test_extensions_are_offered(factories, header):
    client = ClientProtocol(URI, extensions=factories)
    assert client.connect().headers.get("Sec-WebSocket-Extensions") == header


def test_request_may_be_changed():
    client = ClientProtocol(URI)
    request = client.connect()
    request.headers["Cookie"] = "a=b"
    client.send_request(request)
    assert b"\r\nCookie: a=b\r\n" in b"".join(client.data_to_send())


@pytest.mark.parametrize("path", ["/a b", "/é", "/a\r\nX: b", ""])
def test_impossible_target_is_refused(path):
    client = ClientProtocol(URI)
    request = client.connect()
    request.path = path
    with pytest.raises(ValueError, match="invalid request target"):
        client.send_request(request)
    assert client.data_to_send() == []


# Successful opening handshakes


def test_response_opens_the_connection(way):
    client = connecting()
    response = response_to(client)
    for chunk in way.chunks(response.serialize(), trailing=HELLO):
        assert client.events_received() == []
        assert client.state is State.CONNECTING
        client.receive_data(chunk)
    assert client.state is State.OPEN
    expected = [response]
    if way.trailing:
        expected.append(Frame(Opcode.TEXT, b"hello"))
    assert client.events_received() == expected
    assert client.handshake_exc is None
    assert client.extensions == []
    assert client.subprotocol is None
    assert client.data_to_send() == []
    assert not client.close_expected()


def test_example_of_rfc6455_is_accepted():
    client = connecting()
    client.key = "dGhlIHNhbXBsZSBub25jZQ=="
    client.receive_data(
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )
    assert client.state is State.OPEN


def test_frames_come_after_the_handshake(sent, way):
    client = connecting()
    receive_response(client)
    client.events_received()
    for chunk in way.chunks(HELLO, trailing=HELLO):
        client.receive_data(chunk)
    assert client.events_received()[0] == Frame(Opcode.TEXT, b"hello")
    client.send_text(b"hello")
    assert sent(client) == [(0x81, b"hello")]


def test_frames_may_be_cut_by_the_end_of_the_response():
    client = connecting()
    client.receive_data(response_to(client).serialize() + HELLO[:3])
    client.receive_data(HELLO[3:])
    assert client.events_received()[1:] == [Frame(Opcode.TEXT, b"hello")]


def test_frames_with_the_response_may_fail_the_connection(sent):
    client = connecting()
    client.receive_data(response_to(client).serialize() + b"\x83\x00")
    assert client.state is State.CLOSING
    assert client.handshake_exc is None
    assert sent(client) == [(0x88, b"\x03\xeainvalid opcode")]


@pytest.mark.parametrize(
    "change",
    [
        ("Upgrade", "WebSocket"),
        ("Connection", "upgrade"),
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", ["keep-alive", "Upgrade"]),
        # RFC 9110, section 8.6: a server must not send it, and it means nothing.
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Set-Cookie", ["a=b", "c=d"]),
    ],
    ids=str,
)
def test_equivalent_responses_are_accepted(change):
    client = connecting()
    receive_response(client, change)
    assert client.handshake_exc is None
    assert client.state is State.OPEN


def test_interim_response_is_passed_over(way):
    client = connecting()
    response = response_to(client)
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response.serialize()
    for chunk in way.chunks(data, trailing=HELLO):
        client.receive_data(chunk)
    assert client.events_received()[0] == response
    assert client.state is State.OPEN


# Failed opening handshakes

FAILURES = {
    "no Upgrade": (("Upgrade", None), InvalidUpgrade, "missing Upgrade header"),
    "empty Upgrade": (("Upgrade", ""), InvalidUpgrade, "empty Upgrade header"),
    "Upgrade to something else": (
        ("Upgrade", "h2c"),
        InvalidUpgrade,
        "invalid Upgrade header: h2c",
    ),
    "two Upgrades": (
        ("Upgrade", ["websocket", "websocket"]),
        InvalidUpgrade,
        "invalid Upgrade header: websocket, websocket",
    ),
    "Upgrade that can't be parsed": (
        ("Upgrade", "web socket"),
        InvalidHeaderFormat,
        "invalid Upgrade header: expected comma at 4 in web socket",
    ),
    "no Connection": (("Connection", None), InvalidUpgrade, "missing Connection header"),
    "Connection for something else": (
        ("Connection", "close"),
        InvalidUpgrade,
        "invalid Connection header: close",
    ),
    "Connection that has the word in another": (
        ("Connection", "notupgrade"),
        InvalidUpgrade,
        "invalid Connection header: notupgrade",
    ),
    "Connection that can't be parsed": (
        ("Connection", "keep alive"),
        InvalidHeaderFormat,
        "invalid Connection header: expected comma at 5 in keep alive",
    ),
    "no Accept": (
        ("Sec-WebSocket-Accept", None),
        InvalidHeader,
        "missing Sec-WebSocket-Accept header",
    ),
    "two Accepts": (
        ("Sec-WebSocket-Accept", [ACCEPT, ACCEPT]),
        InvalidHeader,
        "invalid Sec-WebSocket-Accept header: multiple values",
    ),
    "empty Accept": (
        ("Sec-WebSocket-Accept", ""),
        InvalidHeaderValue,
        "empty Sec-WebSocket-Accept header",
    ),
    "Accept of another key": (
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        InvalidHeaderValue,
        "invalid Sec-WebSocket-Accept header: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ),
    "extension": (
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        NegotiationError,
        "no extensions supported",
    ),
    "subprotocol": (
        ("Sec-WebSocket-Protocol", "chat"),
        NegotiationError,
        "no subprotocols supported",
    ),
}


@pytest.mark.parametrize("change, exc_type, message", FAILURES.values(), ids=FAILURES.keys())
def test_response_is_refused(change, exc_type, message, way):
    client = connecting()
    response = response_to(client, change)
    for chunk in way.chunks(response.serialize(), trailing=HELLO):
        client.receive_data(chunk)
    exc = client.handshake_exc
    assert type(exc) is exc_type
    assert str(exc) == message
    assert client.state is State.CONNECTING
    assert client.data_to_send() == [SEND_EOF]
    assert client.close_expected()
    # Frames that came with it aren't.
    [received] = client.events_received()
    assert received == response
    with pytest.warns(DeprecationWarning, match="use ClientProtocol.handshake_exc instead"):
        assert received.exception is exc

    client.receive_data(HELLO)
    assert client.events_received() == []
    client.receive_eof()
    assert client.state is State.CLOSED
    assert client.handshake_exc is exc
    assert client.close_code == 1006


@pytest.mark.parametrize("change", [case[0] for case in FAILURES.values()], ids=FAILURES.keys())
def test_connection_that_was_refused_is_freed_without_the_garbage_collector(change, freed):
    def make():
        client = connecting()
        receive_response(client, change)
        assert client.handshake_exc is not None
        return client

    assert freed(make)


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 403, 404, 426, 500, 503])
def test_other_status_is_refused(status, way):
    client = connecting()
    body = b"" if status in (204, 304) else b"sorry"
    data = b"HTTP/1.1 %d Text\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
    for chunk in way.chunks(data, trailing=b"more"):
        assert client.events_received() == []
        client.receive_data(chunk)
    [response] = client.events_received()
    assert response == Response(status, "Text", Headers({"Content-Length": str(len(body))}), body)
    exc = client.handshake_exc
    assert type(exc) is InvalidStatus
    assert exc.response is response
    assert str(exc) == f"server rejected WebSocket connection: HTTP {status}"
    assert client.state is State.CONNECTING
    assert client.close_expected()
    assert client.data_to_send() == [SEND_EOF]


def test_body_that_ends_with_the_connection(way):
    client = connecting()
    for chunk in way.chunks(b"HTTP/1.1 403 Forbidden\r\n\r\nsor", trailing=b"ry"):
        client.receive_data(chunk)
    assert client.events_received() == []
    assert client.handshake_exc is None
    client.receive_eof()
    [response] = client.events_received()
    assert response.body == (b"sorry" if way.trailing else b"sor")
    assert type(client.handshake_exc) is InvalidStatus
    assert client.state is State.CLOSED
    assert client.data_to_send() == [SEND_EOF]


def test_chunked_body(way):
    client = connecting()
    data = (
        b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nsor\r\n2;a=b\r\nry\r\n0\r\n\r\n"
    )
    for chunk in way.chunks(data, trailing=b"more"):
        client.receive_data(chunk)
    [response] = client.events_received()
    assert response.body == b"sorry"


# Not even a response

LONG = b"a" * MAX_LINE_LENGTH

NOT_RESPONSES = {
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n", ValueError),
    "status that isn't a number": (b"HTTP/1.1 OK\r\n", ValueError),
    "HTTP/1.0": (b"HTTP/1.0 101 Switching Protocols\r\n", ValueError),
    "HTTP/2": (b"HTTP/2.0 101 Switching Protocols\r\n", ValueError),
    "lone line feed": (b"HTTP/1.1 101 Switching Protocols\n", ValueError),
    "space before a colon": (b"HTTP/1.1 101 OK\r\nUpgrade : websocket\r\n", ValueError),
    "folded line": (b"HTTP/1.1 101 OK\r\nUpgrade: a\r\n b\r\n", ValueError),
    "NUL": (b"HTTP/1.1 101 OK\r\nUpgrade: a\x00\r\n", ValueError),
    "length that isn't a number": (
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: x\r\n\r\n",
        ValueError,
    ),
    "unknown transfer coding": (
        b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: gzip\r\n\r\n",
        ValueError,
    ),
    "chunk that isn't one": (
        b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ValueError,
    ),
    "long status line": (b"HTTP/1.1 101 " + LONG + b"\r\n", SecurityError),
    "status line that doesn't end": (b"HTTP/1.1 101 " + LONG, SecurityError),
    "long header": (b"HTTP/1.1 101 OK\r\nX: " + LONG + b"\r\n", SecurityError),
    "many headers": (
        b"HTTP/1.1 101 OK\r\n" + b"X: a\r\n" * (MAX_NUM_HEADERS + 1),
        SecurityError,
    ),
    "large body": (
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_SIZE + 1),
        SecurityError,
    ),
}


@pytest.mark.parametrize("data, cause", NOT_RESPONSES.values(), ids=NOT_RESPONSES.keys())
def test_what_is_not_a_response_is_refused_at_once(data, cause, way):
    client = connecting()
    for chunk in way.chunks(data, trailing=HELLO):
        client.receive_data(chunk)
    assert type(client.handshake_exc) is InvalidMessage
    assert str(client.handshake_exc) == "did not receive a valid HTTP response"
    assert isinstance(client.handshake_exc.__cause__, cause)
    assert client.events_received() == []
    assert client.data_to_send() == [SEND_EOF]
    assert client.state is State.CONNECTING
    assert client.close_expected()
    exc = client.handshake_exc

    client.receive_data(HELLO)
    client.receive_eof()
    assert client.events_received() == []
    assert client.data_to_send() == []
    assert client.state is State.CLOSED
    assert client.handshake_exc is exc


@pytest.mark.parametrize("data", [case[0] for case in NOT_RESPONSES.values()], ids=NOT_RESPONSES)
def test_what_is_not_a_response_leaves_nothing_for_the_garbage_collector(data, freed):
    def make():
        client = connecting()
        client.receive_data(data)
        assert client.handshake_exc is not None
        return client

    assert freed(make)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 101 OK\r\n", b"HTTP/1.1 403 No\r\n"])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_response_or_are_refused(start, data):
    client = connecting()
    client.receive_data(start + data)
    client.receive_eof()
    assert client.state is State.CLOSED
    assert isinstance(client.handshake_exc, InvalidHandshake)
    assert client.data_to_send() == [SEND_EOF]


@pytest.mark.parametrize(
    "name",
    ["Upgrade", "Connection", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Cookie"],
)
@given(value=st.binary(max_size=30) | st.text(alphabet=' ",;=\\a/0', max_size=30).map(str.encode))
@settings(max_examples=50)
def test_any_value_of_a_header_is_accepted_or_refused(name, value):
    client = connecting(extensions=[ClientPerMessageDeflateFactory()], subprotocols=["a"])
    client.receive_data(
        response_to(client, (name, None)).serialize()[:-2]
        + name.encode()
        + b": "
        + value
        + b"\r\n\r\n"
    )
    # What a value with an empty line leaves is no header, and makes an open connection fail.
    assert (client.state is not State.CONNECTING) is (client.handshake_exc is None)


# The end of the stream


@pytest.mark.parametrize(
    "data, cause",
    [
        (b"", "connection closed while reading HTTP status line"),
        (b"HTTP/1.1 101", "connection closed while reading HTTP status line"),
        (b"HTTP/1.1 101 OK\r\n", "connection closed while reading HTTP headers"),
        (b"HTTP/1.1 101 OK\r\nUpgrade: w", "connection closed while reading HTTP headers"),
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nsor",
            "connection closed while reading HTTP body",
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsor\r\n",
            "connection closed while reading HTTP body",
        ),
    ],
)
def test_stream_that_ends_in_the_response(data, cause):
    client = connecting()
    if data:
        client.receive_data(data)
    client.receive_eof()
    assert client.state is State.CLOSED
    assert client.events_received() == []
    assert client.data_to_send() == [SEND_EOF]
    assert type(client.handshake_exc) is InvalidMessage
    assert str(client.handshake_exc) == "did not receive a valid HTTP response"
    assert isinstance(client.handshake_exc.__cause__, EOFError)
    assert str(client.handshake_exc.__cause__) == cause
    with pytest.raises(EOFError):
        client.receive_data(HELLO)


def test_stream_that_ends_before_the_request():
    client = ClientProtocol(URI)
    client.receive_eof()
    assert client.state is State.CLOSED
    assert type(client.handshake_exc) is InvalidMessage


def test_stream_that_ends_after_the_response():
    client = connecting()
    receive_response(client)
    client.receive_eof()
    assert client.handshake_exc is None
    assert isinstance(client.parser_exc, EOFError)
    assert client.data_to_send() == [SEND_EOF]


def test_connection_may_fail_before_the_response():
    client = connecting()
    client.fail(1006)
    assert client.close_expected()
    receive_response(client)
    assert client.events_received() == []
    client.receive_eof()
    assert client.state is State.CLOSED


@pytest.mark.parametrize("method", ["send_text", "send_ping"])
def test_nothing_is_sent_before_the_response(method):
    client = connecting()
    with pytest.raises(InvalidState, match="connection is connecting"):
        getattr(client, method)(b"")
    assert client.data_to_send() == []


# Extensions

X, Y = NotedFactory("x"), NotedFactory("y")


@pytest.mark.parametrize(
    "factories, header, expected",
    [
        ([X, Y], None, []),
        ([X, Y], "x", [("x", [0])]),
        ([X, Y], "x, y", [("x", [0]), ("y", [1])]),
        # Order is the server's: it is that in which they encode.
        ([X, Y], "y; a, x; b=1", [("y", [("a", None), 0]), ("x", [("b", "1"), 1])]),
        ([X, Y], ["y", "x"], [("y", [0]), ("x", [1])]),
        # The first factory that accepts the parameters makes the extension.
        (
            [NotedFactory("x", required="a"), NotedFactory("x", required="b")],
            "x; b",
            [("x", [("b", None), 0])],
        ),
    ],
)
def test_extensions_of_the_response_are_used(factories, header, expected):
    client = connecting(extensions=factories)
    receive_response(client, ("Sec-WebSocket-Extensions", header))
    assert client.handshake_exc is None
    assert [(extension.name, extension.params) for extension in client.extensions] == expected


@pytest.mark.parametrize(
    "factories, header, message, cause",
    [
        ([], "x", "no extensions supported", None),
        ([X], "y", "unsupported extension: y", None),
        ([X], "X", "unsupported extension: X", None),
        ([X], "x, y; a; b=1", "unsupported extension: y; a; b=1", None),
        (
            [NotedFactory("x", required="a")],
            "x; b",
            "unsupported extension: x; b",
            "missing a",
        ),
        (
            [NotedFactory("x", required="a"), NotedFactory("x", required="b"), Y],
            "x",
            "unsupported extension: x",
            "missing b",
        ),
        (
            [ClientPerMessageDeflateFactory()],
            "permessage-deflate, permessage-deflate",
            "unsupported extension: permessage-deflate",
            "received duplicate permessage-deflate",
        ),
        (
            [ClientPerMessageDeflateFactory(server_max_window_bits=10)],
            "permessage-deflate; server_max_window_bits=12",
            "unsupported extension: permessage-deflate; server_max_window_bits=12",
            "unsupported server_max_window_bits",
        ),
        (
            [ClientPerMessageDeflateFactory()],
            "permessage-deflate; unknown",
            "unsupported extension: permessage-deflate; unknown",
            "invalid parameter name: unknown",
        ),
    ],
)
def test_extension_that_was_not_offered_is_refused(factories, header, message, cause):
    client = connecting(extensions=factories)
    receive_response(client, ("Sec-WebSocket-Extensions", header))
    exc = client.handshake_exc
    assert type(exc) is NegotiationError
    assert str(exc) == message
    assert (exc.__cause__ and str(exc.__cause__)) == cause
    assert client.data_to_send() == [SEND_EOF]


def test_extension_that_was_not_offered_leaves_nothing_for_the_garbage_collector(freed):
    def make():
        client = connecting(extensions=[NotedFactory("x", required="a")])
        receive_response(client, ("Sec-WebSocket-Extensions", "x"))
        assert client.handshake_exc.__cause__ is not None
        return client

    assert freed(make)


def test_extensions_that_cannot_be_parsed_are_refused():
    client = connecting(extensions=[X])
    receive_response(client, ("Sec-WebSocket-Extensions", "x; a="))
    assert type(client.handshake_exc) is InvalidHeaderFormat


class FailingFactory(ClientExtensionFactory):
    """A factory of somebody else, with a bug."""

    name = "x"

    def get_request_params(self):
        return []

    def process_response_params(self, params, accepted_extensions):
        raise ZeroDivisionError


def test_exception_of_an_extension_refuses_the_response():
    client = connecting(extensions=[FailingFactory()])
    response = receive_response(client, ("Sec-WebSocket-Extensions", "x"))
    assert type(client.handshake_exc) is ZeroDivisionError
    assert client.events_received() == [response]
    assert client.data_to_send() == [SEND_EOF]
    assert client.state is State.CONNECTING


def test_compression_is_used(sent):
    client = connecting(extensions=[ClientPerMessageDeflateFactory()])
    receive_response(client, ("Sec-WebSocket-Extensions", "permessage-deflate"))
    assert isinstance(client.extensions[0], PerMessageDeflate)
    payload = bytes.fromhex("f248cdc9c90700")
    client.receive_data(b"\xc1\x07" + payload)
    assert client.events_received()[1:] == [Frame(Opcode.TEXT, b"Hello")]
    client.send_text(b"Hello")
    assert sent(client) == [(0xC1, payload)]


# Subprotocols


@pytest.mark.parametrize(
    "offered, header", [(["chat"], None), (["chat"], "chat"), (["superchat", "chat"], "chat")]
)
def test_subprotocol_of_the_response_is_used(offered, header):
    client = connecting(subprotocols=offered)
    receive_response(client, ("Sec-WebSocket-Protocol", header))
    assert client.handshake_exc is None
    assert client.subprotocol == header


@pytest.mark.parametrize(
    "offered, header, exc_type, message",
    [
        (None, "chat", NegotiationError, "no subprotocols supported"),
        ([], "chat", NegotiationError, "no subprotocols supported"),
        (["chat"], "other", NegotiationError, "unsupported subprotocol: other"),
        (["chat"], "CHAT", NegotiationError, "unsupported subprotocol: CHAT"),
        (
            ["a", "b"],
            "a, b",
            InvalidHeader,
            "invalid Sec-WebSocket-Protocol header: multiple values: a, b",
        ),
        (
            ["a", "b"],
            ["a", "b"],
            InvalidHeader,
            "invalid Sec-WebSocket-Protocol header: multiple values: a, b",
        ),
        (
            ["a"],
            "",
            InvalidHeaderFormat,
            "invalid Sec-WebSocket-Protocol header: expected token at 0 in ",
        ),
        (
            ["a"],
            "a b",
            InvalidHeaderFormat,
            "invalid Sec-WebSocket-Protocol header: expected comma at 2 in a b",
        ),
    ],
)
def test_subprotocol_that_was_not_offered_is_refused(offered, header, exc_type, message):
    client = connecting(subprotocols=offered)
    receive_response(client, ("Sec-WebSocket-Protocol", header))
    assert type(client.handshake_exc) is exc_type
    assert str(client.handshake_exc) == message
    assert client.subprotocol is None


# customize_request()


def customized(additional_headers=None, user_agent_header=None, uri=URI, **kwargs):
    request = ClientProtocol(uri, **kwargs).connect()
    customize_request(request, additional_headers, user_agent_header)
    return request.headers


def test_request_is_not_changed_without_a_reason():
    headers = customized()
    assert "User-Agent" not in headers
    assert len(headers) == 5


@pytest.mark.parametrize(
    "additional_headers",
    [
        {"X-A": "1", "X-B": "2"},
        [("X-A", "1"), ("X-B", "2")],
        Headers({"X-A": "1", "X-B": "2"}),
        iter([("X-A", "1"), ("X-B", "2")]),
    ],
    ids=["dict", "list", "Headers", "iterator"],
)
def test_headers_are_added(additional_headers):
    headers = customized(additional_headers, "me")
    assert (headers["X-A"], headers["X-B"]) == ("1", "2")
    assert headers["User-Agent"] == "me"
    assert headers["Host"] == "example.com"


@pytest.mark.parametrize("name", ["Cookie", "cookie"])
def test_headers_may_be_repeated(name):
    headers = customized([(name, "a=b"), (name, "c=d")])
    assert headers.get_all("Cookie") == ["a=b", "c=d"]


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("name", ["Authorization", "Host", "Origin", "User-Agent"])
def test_headers_that_a_request_has_once_are_replaced(name, lower):
    headers = customized(
        {name.lower() if lower else name: "theirs"},
        "me",
        uri=parse_uri("ws://user:pass@example.com/"),
        origin="https://example.com",
    )
    assert headers[name] == "theirs"
    for other in {"Authorization", "Host", "Origin", "User-Agent"} - {name}:
        assert headers[other] != "theirs"


def test_headers_that_a_request_has_once_may_be_added():
    headers = customized({"Authorization": "Bearer a", "Origin": "null", "User-Agent": "me"})
    assert headers["Authorization"] == "Bearer a"
    assert headers["Origin"] == "null"
    assert headers["User-Agent"] == "me"


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\x00", "\N{EURO SIGN}"])
def test_headers_cannot_be_injected(value):
    with pytest.raises(InvalidHeaderValue):
        customized({"X-A": value})
    with pytest.raises(InvalidHeaderValue):
        customized(None, value)


# Names that stand here for users of the public library


def test_names_of_reconnection_stand_here_too():
    delays = backoff()
    assert next(delays) >= 0
    assert process_exception(ValueError()) is not None


# Logs


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG, "websockets.client")

    def lines():
        assert all(record.levelno == logging.DEBUG for record in caplog.records)
        return [record.getMessage() for record in caplog.records]

    return lines


def test_accepted_handshake_is_logged(lines):
    client = connecting()
    receive_response(client)
    assert lines() == [
        "> GET /chat?room=1 HTTP/1.1",
        "> Host: example.com",
        "> Upgrade: websocket",
        "> Connection: Upgrade",
        f"> Sec-WebSocket-Key: {client.key}",
        "> Sec-WebSocket-Version: 13",
        "< HTTP/1.1 101 Switching Protocols",
        "< Upgrade: websocket",
        "< Connection: Upgrade",
        f"< Sec-WebSocket-Accept: {accept_key(client.key)}",
        "= connection is OPEN",
    ]


def test_refused_handshake_is_logged(lines):
    client = connecting()
    client.receive_data(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nsorry")
    client.receive_eof()
    assert lines()[6:] == [
        "< HTTP/1.1 403 Forbidden",
        "< Content-Length: 5",
        "< [body] (5 bytes)",
        "> EOF",
        "< EOF",
        "= connection is CLOSED",
    ]


def test_credentials_are_not_logged(lines):
    client = ClientProtocol(parse_uri("ws://user:secret@example.com/"))
    request = client.connect()
    request.headers["cookie"] = "secret"
    request.headers["Proxy-Authorization"] = "secret"
    client.send_request(request)
    client.receive_data(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nSet-Cookie: s=1\r\n\r\n")
    assert {"> Authorization: ***", "> cookie: ***", "> Proxy-Authorization: ***"} < set(lines())
    assert lines()[-2:] == ["< Set-Cookie: ***", "> EOF"]


def test_response_cannot_steer_the_terminal_that_shows_the_log(lines):
    client = connecting()
    client.receive_data(b"HTTP/1.1 403 \x9b2J\r\nContent-Length: 0\r\nX: \xe9\x9d0;\x85\r\n\r\n")
    assert lines()[6] == r"< HTTP/1.1 403 \x9b2J"
    assert lines()[8] == "< X: \xe9\\x9d0;\\x85"


# Memory


def test_refused_client_is_freed_without_the_garbage_collector(without_gc):
    client = connecting()
    client.receive_data(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    [response] = client.events_received()
    exc = client.handshake_exc
    assert exc.response is response
    references = [weakref.ref(item) for item in (client, response, exc)]
    del client
    # The exception is all that is left of the protocol.
    with pytest.warns(DeprecationWarning, match="Response.exception"):
        assert response.exception is None
    del response, exc
    assert [reference() for reference in references] == [None] * 3
