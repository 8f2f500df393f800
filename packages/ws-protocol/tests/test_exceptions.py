import copy
import linecache
import pickle
import re

import pytest

from ws_protocol import exceptions
from ws_protocol.client import ClientProtocol
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    DuplicateParameter,
    HeaderLineTooLong,
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidMethod,
    InvalidOrigin,
    InvalidParameterName,
    InvalidParameterValue,
    InvalidProtocol,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidState,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
    ProxyError,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyFragments,
    TooManyHeaders,
    WebSocketException,
)
from ws_protocol.frames import Close, CloseCode
from ws_protocol.http11 import Request, Response
from ws_protocol.uri import parse_uri


def sized(size, max_size, current_size=None):
    """Make the exception as extensions do, which learn later how much had arrived."""
    exc = PayloadTooBig(size, max_size)
    exc.set_current_size(current_size)
    return exc


TEXTS = [
    (WebSocketException("something went wrong"), "something went wrong"),
    (ConnectionClosed(None, None), "no close frame received or sent"),
    (
        ConnectionClosed(Close(CloseCode.NORMAL_CLOSURE, ""), None),
        "received 1000 (OK); no close frame sent",
    ),
    (
        ConnectionClosed(None, Close(CloseCode.GOING_AWAY, "bye")),
        "sent 1001 (going away) bye; no close frame received",
    ),
    (
        ConnectionClosedOK(
            Close(CloseCode.NORMAL_CLOSURE, ""), Close(CloseCode.NORMAL_CLOSURE, ""), True
        ),
        "received 1000 (OK); then sent 1000 (OK)",
    ),
    (
        ConnectionClosedOK(
            Close(CloseCode.NORMAL_CLOSURE, ""), Close(CloseCode.NORMAL_CLOSURE, ""), False
        ),
        "sent 1000 (OK); then received 1000 (OK)",
    ),
    (
        ConnectionClosedError(
            Close(3000, ""), Close(CloseCode.INTERNAL_ERROR, "keepalive ping timeout"), False
        ),
        "sent 1011 (internal error) keepalive ping timeout; then received 3000 (registered)",
    ),
    (ConnectionClosedError(None, None), "no close frame received or sent"),
    (
        InvalidURI("http://localhost/", "scheme isn't ws or wss"),
        "http://localhost/ isn't a valid URI: scheme isn't ws or wss",
    ),
    (
        InvalidURI("ws://user:pass@localhost/#a", "no"),
        "ws://***@localhost/#a isn't a valid URI: no",
    ),
    (
        InvalidProxy("ftp://localhost/", "scheme ftp isn't supported"),
        "ftp://localhost/ isn't a valid proxy: scheme ftp isn't supported",
    ),
    (InvalidProxy("http://user:pass@proxy/a", "no"), "http://***@proxy/a isn't a valid proxy: no"),
    (InvalidHandshake("invalid request"), "invalid request"),
    (SecurityError("redirect from WSS to WS"), "redirect from WSS to WS"),
    (RequestLineTooLong("too long"), "too long"),
    (StatusLineTooLong("too long"), "too long"),
    (HeaderLineTooLong("too long"), "too long"),
    (TooManyHeaders("too many"), "too many"),
    (ProxyError("failed to connect to SOCKS proxy"), "failed to connect to SOCKS proxy"),
    (InvalidProxyMessage("malformed HTTP message"), "malformed HTTP message"),
    (
        InvalidProxyStatus(Response(407, "Proxy Authentication Required", Headers())),
        "proxy rejected connection: HTTP 407",
    ),
    (InvalidMessage("malformed HTTP message"), "malformed HTTP message"),
    (InvalidMethod("HEAD"), "unsupported HTTP method: HEAD"),
    (InvalidProtocol("HTTP/2.0"), "unsupported HTTP version: HTTP/2.0"),
    (
        InvalidStatus(Response(401, "Unauthorized", Headers())),
        "server rejected WebSocket connection: HTTP 401",
    ),
    (InvalidHeader("Name"), "missing Name header"),
    (InvalidHeader("Name", None), "missing Name header"),
    (InvalidHeader("Name", ""), "empty Name header"),
    (InvalidHeader("Name", "Value"), "invalid Name header: Value"),
    (
        InvalidHeaderFormat("Sec-WebSocket-Protocol", "expected token", "a=|", 3),
        "invalid Sec-WebSocket-Protocol header: expected token at 3 in a=|",
    ),
    (
        InvalidHeaderValue("Sec-WebSocket-Version", "42"),
        "invalid Sec-WebSocket-Version header: 42",
    ),
    (InvalidHeaderValue("Sec-WebSocket-Version"), "missing Sec-WebSocket-Version header"),
    (InvalidOrigin("http://bad.origin"), "invalid Origin header: http://bad.origin"),
    (InvalidOrigin(""), "empty Origin header"),
    (InvalidOrigin(None), "missing Origin header"),
    (InvalidUpgrade("Upgrade"), "missing Upgrade header"),
    (InvalidUpgrade("Connection", "websocket"), "invalid Connection header: websocket"),
    (NegotiationError("unsupported subprotocol: spam"), "unsupported subprotocol: spam"),
    (DuplicateParameter("a"), "duplicate parameter: a"),
    (InvalidParameterName("|"), "invalid parameter name: |"),
    (InvalidParameterValue("a", None), "missing value for parameter a"),
    (InvalidParameterValue("a", ""), "empty value for parameter a"),
    (InvalidParameterValue("a", "|"), "invalid value for parameter a: |"),
    (ProtocolError("invalid opcode: 7"), "invalid opcode: 7"),
    (PayloadTooBig(None, 4), "frame exceeds limit of 4 bytes"),
    (PayloadTooBig(6, 4), "frame with 6 bytes exceeds limit of 4 bytes"),
    (PayloadTooBig(0, 0), "frame with 0 bytes exceeds limit of 0 bytes"),
    (
        PayloadTooBig(6, 4, 16),
        "frame with 6 bytes after reading 16 bytes exceeds limit of 20 bytes",
    ),
    (PayloadTooBig(None, 4, 16), "frame after reading 16 bytes exceeds limit of 20 bytes"),
    (sized(6, 4, 16), "frame with 6 bytes after reading 16 bytes exceeds limit of 20 bytes"),
    (sized(None, 4), "frame exceeds limit of 4 bytes"),
    (TooManyFragments("message with more than 4 frames"), "message with more than 4 frames"),
    (InvalidState("connection is closed"), "connection is closed"),
    (ConcurrencyError("get() is already running"), "get() is already running"),
]

HARMFUL = "\x1b[2J\x85\x9b2J\x9d"

TEXTS += [
    (InvalidHeader("Name", HARMFUL), r"invalid Name header: \x1b[2J\x85\x9b2J\x9d"),
    (InvalidHeaderValue("Name", HARMFUL), r"invalid Name header: \x1b[2J\x85\x9b2J\x9d"),
    (InvalidUpgrade("Upgrade", "\xe9\x9b"), "invalid Upgrade header: \xe9\\x9b"),
    (
        InvalidHeaderFormat("Name", "expected token", HARMFUL, 0),
        r"invalid Name header: expected token at 0 in \x1b[2J\x85\x9b2J\x9d",
    ),
]

IDS = [f"{type(exc).__name__}-{text}" for exc, text in TEXTS]


@pytest.mark.parametrize("exc, text", TEXTS, ids=IDS)
def test_exception_has_exactly_this_text(exc, text):
    assert str(exc) == text


def test_every_exception_is_in_the_table():
    assert {type(exc).__name__ for exc, _ in TEXTS} == set(exceptions.__all__)


def test_docstring_of_the_module_draws_the_tree_of_exceptions():
    stack, drawn = [], {}
    for indent, name in re.findall(r"^( *)\* :exc:`(\w+)`$", exceptions.__doc__, re.MULTILINE):
        del stack[len(indent) // 4 :]
        drawn[name] = stack[-1] if stack else None
        stack.append(name)
    assert set(drawn) == set(exceptions.__all__)
    for name, parent in drawn.items():
        cls = getattr(exceptions, name)
        assert cls.__base__.__name__ == (parent or "Exception")


@pytest.mark.parametrize(
    "exception, builtin",
    [(InvalidState, AssertionError), (ConcurrencyError, RuntimeError)],
)
def test_exceptions_for_mistakes_of_the_caller_are_builtin_ones_too(exception, builtin):
    assert issubclass(exception, builtin)


def test_no_exception_of_a_peer_is_a_value_error_or_an_os_error():
    # Those who catch ValueError for malformed HTTP, or OSError for networks, must not get them.
    for name in exceptions.__all__:
        assert not issubclass(getattr(exceptions, name), (ValueError, OSError, LookupError))


def by_pickle(protocol):
    return lambda exc: pickle.loads(pickle.dumps(exc, protocol))


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle-{number}": by_pickle(number) for number in range(2, pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("make_copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("exc, text", TEXTS, ids=IDS)
def test_exception_survives_copying_and_pickling(exc, text, make_copy):
    copied = make_copy(exc)
    assert copied is not exc
    assert type(copied) is type(exc)
    assert copied.args == exc.args
    assert vars(copied) == vars(exc)
    assert str(copied) == text


@pytest.mark.parametrize("make_copy", COPIES.values(), ids=COPIES)
def test_exception_of_an_opening_handshake_survives_copying_and_pickling(make_copy):
    client = ClientProtocol(parse_uri("ws://localhost/"))
    client.receive_data(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    exc = client.handshake_exc
    copied = make_copy(exc)
    assert type(copied) is InvalidStatus
    assert str(copied) == str(exc)
    assert copied.response == exc.response


@pytest.mark.parametrize(
    "url, shown",
    [
        ("ws://localhost/", "ws://localhost/"),
        ("ws://user:pass@localhost/", "ws://***@localhost/"),
        ("ws://user@localhost/", "ws://***@localhost/"),
        ("ws://:pass@localhost/", "ws://***@localhost/"),
        ("WSS://user:pass@localhost/", "WSS://***@localhost/"),
        ("//user:pass@localhost/", "//***@localhost/"),
        # Not valid, which is why there is a message at all.
        ("user:pass@localhost:80", "***@localhost:80"),
        ("ws:user:pass@localhost", "***@localhost"),
        ("ws:/user:pass@localhost", "***@localhost"),
        ("ws://user:pa/ss@localhost/", "ws://***@localhost/"),
        ("ws://user:pa?ss@localhost/", "ws://***@localhost/"),
        ("ws://user:pa#ss@localhost/", "ws://***@localhost/"),
        ("ws://user:pa@ss@localhost/", "ws://***@localhost/"),
        ("ws://user:pa//ss@localhost/", "ws://***@localhost/"),
        ("ws://user:pa\nss@localhost/", "ws://***@localhost/"),
        # Neither headers nor terminals must be led astray.
        ("ws://localhost/\r\nSet-Cookie: a=1", r"ws://localhost/\r\nSet-Cookie: a=1"),
        ("ws://localhost/\x1b[2J\x00\x7f\x9b", r"ws://localhost/\x1b[2J\x00\x7f\x9b"),
        ("ws://localhost/\ud800", r"ws://localhost/\ud800"),
        ("ws://localhost/\u202e\u2028", r"ws://localhost/\u202e\u2028"),
        ("ws://localhost/caf\xe9", "ws://localhost/caf\xe9"),
    ],
)
@pytest.mark.parametrize("exception, what", [(InvalidURI, "URI"), (InvalidProxy, "proxy")])
def test_urls_are_shown_without_credentials_and_control_characters(exception, what, url, shown):
    exc = exception(url, "no")
    assert str(exc) == f"{shown} isn't a valid {what}: no"
    assert repr(exc) == f"{exception.__name__}({shown!r}, 'no')"
    # Programs get it as it is.
    assert exc.args == (url, "no")
    assert exc.msg == "no"


def test_exceptions_about_urls_have_them_as_attributes():
    assert InvalidURI("ws:", "no").uri == "ws:"
    assert InvalidProxy("http:", "no").proxy == "http:"


CLOSE = Close(CloseCode.NORMAL_CLOSURE, "")


@pytest.mark.parametrize(
    "rcvd, sent, rcvd_then_sent",
    [
        (CLOSE, CLOSE, None),
        (CLOSE, None, True),
        (None, CLOSE, False),
        (None, None, True),
        (None, None, False),
    ],
)
def test_order_of_close_frames_is_given_when_there_are_two(rcvd, sent, rcvd_then_sent):
    with pytest.raises(ValueError, match="rcvd_then_sent must be given if, and only if"):
        ConnectionClosed(rcvd, sent, rcvd_then_sent)


def test_connection_closed_has_the_close_frames_as_attributes():
    rcvd, sent = Close(1000, "a"), Close(1001, "b")
    exc = ConnectionClosed(rcvd, sent, True)
    assert (exc.rcvd, exc.sent, exc.rcvd_then_sent) == (rcvd, sent, True)


def test_header_exceptions_have_name_and_value_as_attributes():
    exc = InvalidHeaderFormat("Name", "expected token", "|", 0)
    assert (exc.name, exc.value) == ("Name", "expected token at 0 in |")
    assert exc.args == ("Name", "expected token", "|", 0)
    origin = InvalidOrigin("null")
    assert (origin.name, origin.value) == ("Origin", "null")
    assert origin.args == ("null",)


def test_payload_too_big_has_the_sizes_as_attributes():
    exc = PayloadTooBig(6, 4)
    assert (exc.size, exc.max_size, exc.current_size, exc.message) == (6, 4, None, None)
    exc.set_current_size(16)
    assert (exc.size, exc.max_size, exc.current_size) == (6, 4, 16)
    assert exc.args == (6, 4, 16)


@pytest.mark.parametrize("size", [6, None])
def test_payload_too_big_needs_the_limit(size):
    with pytest.raises(TypeError, match="max_size is required"):
        PayloadTooBig(size)


@pytest.mark.parametrize(
    "rcvd, code, reason", [(Close(1001, "bye"), 1001, "bye"), (None, 1006, "")]
)
def test_deprecated_code_and_reason_are_those_received(rcvd, code, reason):
    exc = ConnectionClosed(rcvd, None)
    with pytest.warns(DeprecationWarning, match="ConnectionClosed.code is deprecated"):
        assert exc.code == code
    with pytest.warns(DeprecationWarning, match="ConnectionClosed.reason is deprecated"):
        assert exc.reason == reason


def use_code():
    return ConnectionClosed(None, None).code


def use_reason():
    return ConnectionClosed(None, None).reason


def use_message():
    return PayloadTooBig("payload length exceeds limit: 2 > 1 bytes")


def use_request_exception():
    return Request("/", Headers()).exception


def use_response_exception():
    return Response(200, "OK", Headers()).exception


@pytest.mark.parametrize(
    "use, text",
    [
        (
            use_code,
            (
                "ConnectionClosed.code is deprecated; "
                "use Protocol.close_code or ConnectionClosed.rcvd.code"
            ),
        ),
        (
            use_reason,
            (
                "ConnectionClosed.reason is deprecated; "
                "use Protocol.close_reason or ConnectionClosed.rcvd.reason"
            ),
        ),
        (
            use_message,
            "PayloadTooBig(message) is deprecated; change to PayloadTooBig(size, max_size)",
        ),
        (
            use_request_exception,
            "Request.exception is deprecated; use ServerProtocol.handshake_exc instead",
        ),
        (
            use_response_exception,
            "Response.exception is deprecated; use ClientProtocol.handshake_exc instead",
        ),
    ],
)
def test_deprecation_warnings_point_at_the_line_of_the_caller(use, text):
    with pytest.warns(DeprecationWarning, match=re.escape(text)) as record:
        use()
    (warning,) = record
    assert str(warning.message) == text
    assert warning.filename == __file__
    first_line = use.__code__.co_firstlineno
    assert warning.lineno == first_line + 1, linecache.getline(__file__, warning.lineno)


def test_payload_too_big_with_a_message_shows_it():
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        exc = PayloadTooBig("payload length exceeds limit: 2 > 1 bytes")
    assert str(exc) == "payload length exceeds limit: 2 > 1 bytes"
    assert exc.message == "payload length exceeds limit: 2 > 1 bytes"
    assert (exc.size, exc.max_size, exc.current_size) == (None, None, None)
