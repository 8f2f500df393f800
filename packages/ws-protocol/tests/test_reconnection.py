import errno
import itertools
import logging
import socket
import ssl

import pytest

from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    ConnectionClosedError,
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    ProtocolError,
    ProxyError,
    SecurityError,
)
from ws_protocol.http11 import Response
from ws_protocol.limits import MIN_CONNECTION_LIFE
from ws_protocol.protocol import Protocol, Side
from ws_protocol.reconnection import Reconnection, backoff, process_exception
from ws_protocol.session import Session


def delays(count, *args, **kwargs):
    return list(itertools.islice(backoff(*args, **kwargs), count))


@pytest.fixture
def one_half(monkeypatch):
    """Replace chance by one half."""
    monkeypatch.setattr("random.random", lambda: 0.5)


@pytest.mark.usefixtures("one_half")
def test_default_delays_grow_from_three_seconds_to_ninety():
    first, *others = delays(12)
    assert first == 2.5
    assert others[0] == 3.1
    for shorter, longer in itertools.pairwise(others[:8]):
        assert longer == pytest.approx(shorter * 1.618)
    assert others[8:] == [90.0, 90.0, 90.0]


@pytest.mark.usefixtures("one_half")
@pytest.mark.parametrize(
    "arguments, expected",
    [
        ((1, 1, 10, 2), [0.5, 1, 2, 4, 8, 10, 10]),
        # The longest delay is met exactly.
        ((1, 1, 8, 2), [0.5, 1, 2, 4, 8, 8, 8]),
        ((0, 1, 10, 3), [0, 1, 3, 9, 10, 10]),
        ((4, 2, 2, 2), [2, 2, 2, 2]),
        ((4, 20, 2, 2), [2, 2, 2, 2]),
        ((4, 2, 10, 1), [2, 2, 2, 2]),
        ((0, 0, 10, 2), [0, 0, 0, 0]),
        ((0, 1, 10, float("inf")), [0, 1, 10, 10]),
        ((0, 1, float("inf"), 10), [0, 1, 10, 100]),
    ],
)
def test_delays_follow_the_arguments(arguments, expected):
    assert delays(len(expected), *arguments) == expected


def test_arguments_have_names():
    assert delays(3, initial_delay=0, min_delay=1, max_delay=10, factor=2) == [0, 1, 2]


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_only_the_first_delay_is_left_to_chance(chance, monkeypatch):
    monkeypatch.setattr("random.random", lambda: chance)
    assert delays(4, 8, 1, 10, 2) == [8 * chance, 1, 2, 4]


def test_first_delays_are_spread_and_never_longer_than_the_first_may_be():
    firsts = [next(backoff(initial_delay=5)) for _ in range(100)]
    assert len(set(firsts)) > 1
    assert all(0 <= first <= 5 for first in firsts)


@pytest.mark.usefixtures("one_half")
def test_there_is_always_another_delay():
    assert delays(10_000)[-1] == 90.0


def caused_by(exc, cause):
    exc.__cause__ = cause
    return exc


def socks_failure(message, error_code=None):
    """Return what a failure of python-socks becomes."""
    cause = Exception(message)
    cause.error_code = error_code
    return caused_by(ProxyError("failed to connect through SOCKS proxy"), cause)


def refused(exception, status_code):
    return exception(Response(status_code, "", Headers()))


RETRIED = [
    OSError("network is down"),
    OSError(errno.EHOSTUNREACH, "no route to host"),
    ConnectionRefusedError(),
    ConnectionResetError(),
    BrokenPipeError(),
    FileNotFoundError("no Unix socket yet"),
    TimeoutError(),
    socket.gaierror(socket.EAI_NONAME, "name or service not known"),
    ssl.SSLError("tlsv1 alert internal error"),
    ssl.SSLEOFError(),
    caused_by(InvalidMessage("no response"), EOFError()),
    caused_by(InvalidProxyMessage("no response"), EOFError()),
    *(
        refused(exception, status_code)
        for exception in (InvalidStatus, InvalidProxyStatus)
        for status_code in (500, 502, 503, 504)
    ),
    # RFC 1928, section 6, and SOCKS 4.
    *(socks_failure("no", error_code) for error_code in (1, 3, 4, 5, 6, 0x5B)),
    socks_failure("Connection closed unexpectedly"),
]

RAISED = [
    ssl.SSLCertVerificationError("certificate verify failed: self-signed certificate"),
    Exception(),
    ValueError("bad argument"),
    TypeError("bad argument"),
    RuntimeError(),
    EOFError(),
    UnicodeError("label too long"),
    InvalidURI("http://localhost/", "scheme isn't ws or wss"),
    InvalidProxy("ftp://localhost/", "scheme ftp isn't supported"),
    SecurityError("too many redirects"),
    ProxyError("failed to connect"),
    InvalidHandshake(),
    InvalidHeader("Sec-WebSocket-Accept"),
    InvalidUpgrade("Upgrade"),
    NegotiationError("unsupported subprotocol"),
    ProtocolError("reserved bits must be 0"),
    InvalidMessage("not HTTP"),
    InvalidProxyMessage("not HTTP"),
    caused_by(InvalidMessage("not HTTP"), ValueError()),
    caused_by(InvalidProxyMessage("not HTTP"), SecurityError()),
    caused_by(InvalidHandshake(), EOFError()),
    *(socks_failure("no", error_code) for error_code in (2, 7, 8, 0x5C, 0x5D)),
    socks_failure("Username and password authentication failure"),
    *(
        refused(exception, status_code)
        for exception in (InvalidStatus, InvalidProxyStatus)
        for status_code in (200, 301, 400, 401, 403, 404, 407, 426, 429, 501, 505, 511)
    ),
]


@pytest.mark.parametrize("exc", RETRIED, ids=repr)
def test_what_may_be_gone_next_time_is_tried_again(exc):
    assert process_exception(exc) is None


@pytest.mark.parametrize("exc", RAISED, ids=repr)
def test_what_would_fail_again_is_raised(exc):
    assert process_exception(exc) is exc


# Reconnection


def reconnection(*delays, process_exception=process_exception):
    return Reconnection(process_exception, lambda: iter(delays))


def in_vain():
    """Return a connection that the server ended at once."""
    session = Session(Protocol(Side.CLIENT))
    session.lose_connection()
    return session


def of_use():
    """Return a connection that this side closed."""
    session = Session(Protocol(Side.CLIENT))
    session.close()
    session.lose_connection()
    return session


def test_failures_are_followed_by_delays_until_they_end():
    policy = reconnection(1, 2)
    assert policy.delay_after_failure(OSError()) == 1
    assert policy.delay_after_failure(OSError()) == 2
    error = OSError("third")
    with pytest.raises(OSError, match="third") as raised:
        policy.delay_after_failure(error)
    assert raised.value is error


def test_failure_that_would_be_repeated_is_raised():
    error = InvalidURI("nonsense", "isn't valid")
    with pytest.raises(InvalidURI) as raised:
        reconnection(1).delay_after_failure(error)
    assert raised.value is error
    assert raised.value.__cause__ is None


def test_another_exception_may_be_raised_instead():
    error = OSError()
    policy = reconnection(1, process_exception=lambda exc: LookupError("mine"))
    with pytest.raises(LookupError, match="mine") as raised:
        policy.delay_after_failure(error)
    assert raised.value.__cause__ is error


def test_delays_begin_anew_after_a_connection_that_was_of_use():
    policy = reconnection(1, 2)
    policy.delay_after_failure(OSError())
    assert policy.delay_after_connection(of_use(), 10.0, 10.0) == 0
    assert policy.delay_after_failure(OSError()) == 1


def test_delays_begin_anew_after_a_connection_that_lasted():
    policy = reconnection(1, 2)
    policy.delay_after_failure(OSError())
    assert policy.delay_after_connection(in_vain(), 10.0, 10.0 + MIN_CONNECTION_LIFE) == 0
    assert policy.delay_after_failure(OSError()) == 1


def test_connection_that_was_in_vain_is_followed_by_a_delay():
    policy = reconnection(1, 2, 3)
    assert policy.delay_after_connection(in_vain(), 10.0, 10.0) == 1
    assert policy.delay_after_failure(OSError()) == 2
    assert policy.delay_after_connection(in_vain(), 20.0, 24.0) == 3
    with pytest.raises(ConnectionClosedError):
        policy.delay_after_connection(in_vain(), 30.0, 31.0)


def test_default_delays_are_those_of_backoff():
    assert 0 <= Reconnection().delay_after_failure(OSError()) <= 5


def test_delays_are_logged(caplog):
    caplog.set_level(logging.DEBUG, "spam")
    policy = Reconnection(
        reconnect_delays=lambda: iter([1, 2.25]), logger=logging.getLogger("spam")
    )
    policy.delay_after_failure(OSError("no way"))
    policy.delay_after_connection(in_vain(), 10.0, 10.0)
    policy.delay_after_connection(of_use(), 10.0, 10.0)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "connect failed; reconnecting in 1.0 seconds: OSError: no way"),
        ("DEBUG", "connect failed"),
        ("INFO", "connection ended at once; reconnecting in 2.2 seconds"),
    ]
    assert str(caplog.records[1].exc_info[1]) == "no way"


def test_delays_are_logged_for_clients(caplog):
    caplog.set_level(logging.INFO, "websockets.client")
    Reconnection().delay_after_failure(OSError("no way"))
    assert [record.name for record in caplog.records] == ["websockets.client"]
