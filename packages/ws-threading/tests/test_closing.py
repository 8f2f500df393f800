"""The closing handshake, and other ends of a connection."""

import contextlib
import gc
import signal
import socket
import ssl
import subprocess
import sys
import threading
import weakref

import pytest

from ws_protocol.exceptions import ConnectionClosedError, ConnectionClosedOK, ProtocolError
from ws_protocol.frames import Close, Opcode
from ws_protocol.protocol import Protocol, Side, State
from ws_threading import Connection
from ws_threading._stream import Stream

from .conftest import TIMEOUT, wait_until


def get_exception(connection):
    """Return the exception that receiving and sending raise, which is the same."""
    with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as received:
        connection.recv()
    with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as sent:
        connection.send("a")
    assert type(received.value) is type(sent.value)
    assert received.value.args == sent.value.args
    assert received.value.__cause__ is sent.value.__cause__
    return received.value


@pytest.mark.parametrize("code, reason", [(1000, ""), (1001, "bye"), (1011, "ü" * 61)])
def test_close_performs_the_closing_handshake(connection, peer, start, code, reason):
    answering = start(peer.receive_until_end)
    connection.close(code, reason)
    assert connection.state is State.CLOSED
    assert (connection.close_code, connection.close_reason) == (code, reason)
    assert [frame.opcode for frame in answering.result(TIMEOUT)] == [Opcode.CLOSE]
    assert connection.socket.fileno() == -1
    exc = get_exception(connection)
    assert type(exc) is (ConnectionClosedError if code == 1011 else ConnectionClosedOK)
    assert exc.rcvd == exc.sent == Close(code, reason)
    assert exc.__cause__ is None


def test_close_of_the_peer_is_answered(connection, peer):
    peer.protocol.send_close(1001, "bye")
    peer.flush()
    assert [frame.opcode for frame in peer.receive_until_end()] == [Opcode.CLOSE]
    exc = get_exception(connection)
    assert exc.rcvd == exc.sent == Close(1001, "bye")
    assert exc.rcvd_then_sent is True


@pytest.mark.parametrize(
    "arguments", [(1006,), (999,), (1000, "ü" * 62)], ids=["reserved", "invalid", "too long"]
)
def test_impossible_close_frame_is_refused(connection, peer, arguments):
    with pytest.raises(ProtocolError):
        connection.close(*arguments)
    connection.send("a")
    assert peer.receive()[0].data == b"a"


def test_close_again_waits_for_the_same(connection, peer, start):
    closing = [start(connection.close, 1000, "first")]
    peer.receive()
    closing += [start(connection.close, 1011, "second"), start(connection.wait_closed)]
    with pytest.raises(TimeoutError):
        closing[2].result(0.01)
    assert not any(future.done() for future in closing)
    peer.flush()
    peer.socket.close()
    for future in closing:
        future.result(TIMEOUT)
    assert connection.close_reason == "first"
    connection.close(1011)
    assert connection.close_code == 1000


def test_silent_peer_is_given_up_after_close_timeout(join):
    connection, _ = join(close_timeout=0.01)
    connection.close()
    exc = get_exception(connection)
    assert exc.sent == Close(1000, "")
    assert exc.rcvd is None
    assert isinstance(exc.__cause__, TimeoutError)


def test_peer_that_does_not_read_is_given_up_after_close_timeout(join, start):
    connection, _ = join(close_timeout=0.01)
    sending = start(connection.send, bytes(2**22))
    with pytest.raises(TimeoutError):
        sending.result(0.01)
    connection.close()
    with pytest.raises(ConnectionClosedError):
        sending.result(TIMEOUT)


def test_close_waits_for_ever_without_a_timeout(join, start):
    connection, peer = join(close_timeout=None)
    closing = start(connection.close)
    with pytest.raises(TimeoutError):
        closing.result(0.01)
    assert connection.close_timeout is None
    peer.receive_until_end()
    closing.result(TIMEOUT)


def test_messages_that_arrive_before_the_answer_can_be_received(connection, peer, start):
    closing = start(connection.close)
    peer.receive()
    # Before the answer, which waits to be sent.
    answer = peer.protocol.data_to_send()
    masked = connection.protocol.side is Side.SERVER
    peer.socket.sendall(b"\x81\x81\0\0\0\0a" if masked else b"\x81\x01a")
    for data in answer:
        peer.socket.sendall(data)
    peer.socket.close()
    closing.result(TIMEOUT)
    assert connection.recv() == "a"
    with pytest.raises(ConnectionClosedOK):
        connection.recv()


# The context manager


@pytest.mark.parametrize(
    "exception, code", [(None, 1000), (ValueError("oops"), 1011), (KeyboardInterrupt(), 1011)]
)
def test_context_manager_closes_the_connection(connection, peer, start, exception, code):
    answering = start(peer.receive_until_end)
    raised = None
    try:
        with connection as same:
            assert same is connection
            if exception is not None:
                raise exception
    except BaseException as exc:
        raised = exc
    assert raised is exception
    answering.result(TIMEOUT)
    assert connection.state is State.CLOSED
    assert peer.protocol.close_rcvd.code == code


# Lost connections


def test_reset_connection_tells_the_cause(join):
    connection, peer = join()
    connection.send("unread")
    peer.send("a")
    peer.socket.close()
    connection.wait_closed()
    assert connection.recv() == "a"
    exc = get_exception(connection)
    assert isinstance(exc.__cause__, ConnectionResetError)
    assert connection.close_code == 1006


def test_peer_that_closes_its_side_ends_the_connection(connection, peer):
    peer.send("a")
    peer.socket.shutdown(socket.SHUT_WR)
    connection.wait_closed()
    assert connection.recv() == "a"
    assert isinstance(get_exception(connection).__cause__, EOFError)


def test_what_the_peer_sent_can_be_received_after_an_error_in_sending(join):
    connection, peer = join(max_queue=2)
    messages = [str(number) for number in range(20)]
    peer.send(*messages[:3])
    wait_until(lambda: connection._reading_paused)
    # These wait in the socket, because there is no room for them.
    peer.send(*messages[3:])
    peer.socket.close()
    with pytest.raises(ConnectionClosedError):
        while True:
            connection.send("a")
    assert [connection.recv() for _ in messages] == messages
    get_exception(connection)


def test_mistake_of_the_peer_makes_the_connection_fail(connection, peer):
    peer.send("a")
    peer.socket.sendall(b"\xff\xff")
    peer.receive_until_end()
    peer.socket.close()
    connection.wait_closed()
    assert connection.recv() == "a"
    exc = get_exception(connection)
    assert exc.sent.code == 1002
    assert isinstance(exc.__cause__, ProtocolError)
    assert peer.protocol.close_rcvd.code == 1002


def test_aborted_connection_waits_for_nothing(connection):
    connection.abort()
    connection.wait_closed()
    assert connection.close_code == 1006
    # It has no use any more.
    connection.abort()
    connection.start_closing(1000, "")


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython counts references")
@pytest.mark.parametrize("lose", ["abort", "reset", "close"])
def test_nothing_is_left_of_a_connection_that_was_lost(side, lose):
    def use():
        mine, theirs = socket.socketpair()
        with theirs:
            connection = Connection(mine, Protocol(side))
            connection.send("unread")
            if lose == "close":
                theirs.shutdown(socket.SHUT_WR)
            elif lose == "reset":
                theirs.close()
            else:
                connection.abort()
            with contextlib.suppress(ConnectionClosedError), connection:
                connection.recv()
        return weakref.ref(connection)

    # A reference cycle would be left to the garbage collector.
    gc.disable()
    try:
        assert use()() is None
    finally:
        gc.enable()


def test_connection_that_is_not_open_is_aborted_by_close(join):
    mine, theirs = socket.socketpair()
    with theirs:
        connection = Connection(mine, Protocol(Side.CLIENT, state=State.CONNECTING))
        connection.close()
    assert connection.state is State.CLOSED


def test_nothing_is_left_of_a_connection_that_gets_no_thread(monkeypatch):
    def fail(thread):
        raise RuntimeError("can't start new thread")

    make_pair = socket.socketpair
    pairs = []
    monkeypatch.setattr(threading.Thread, "start", fail)
    monkeypatch.setattr(socket, "socketpair", lambda: pairs.append(make_pair()) or pairs[-1])
    with socket.socket() as sock, pytest.raises(RuntimeError, match="new thread"):
        Connection(sock, Protocol(Side.CLIENT))
    assert [end.fileno() for pair in pairs for end in pair] == [-1, -1]


def test_peer_that_is_gone_has_no_address():
    with socket.socket() as sock:
        connection = Connection(sock, Protocol(Side.CLIENT))
        connection.wait_closed()
    assert connection.remote_address is None
    assert connection.local_address is not None


def test_socket_must_be_without_tls():
    context = ssl.create_default_context()
    with socket.socket() as sock, context.wrap_socket(sock, server_hostname="localhost") as tls:
        with pytest.raises(TypeError, match="sock must be without TLS"):
            Connection(tls, Protocol(Side.CLIENT))


def test_error_in_the_thread_of_the_connection_ends_it(connection, peer, monkeypatch):
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    monkeypatch.setattr(connection.session, "receive_data", lambda *_: 1 / 0)
    peer.send("a")
    connection.wait_closed()
    assert failures[0].exc_type is ZeroDivisionError
    assert isinstance(get_exception(connection).__cause__, ZeroDivisionError)


# Keepalive


def test_pings_are_sent_and_latency_is_measured(join):
    connection, peer = join(ping_interval=0.01, ping_timeout=TIMEOUT)
    connection._start_keepalive()
    for _ in range(3):
        assert [frame.opcode for frame in peer.receive()] == [Opcode.PING]
    peer.flush()
    # It is received before this message.
    peer.send("a")
    assert connection.recv(TIMEOUT) == "a"
    assert connection.latency > 0
    assert (connection.ping_interval, connection.ping_timeout) == (0.01, TIMEOUT)


@pytest.mark.parametrize("name", ["ping_interval", "close_timeout"])
@pytest.mark.parametrize("seconds", [1e7, float("inf")])
def test_times_may_be_longer_than_the_system_can_wait(join, name, seconds):
    connection, peer = join(**{name: seconds})
    connection._start_keepalive()
    if name == "close_timeout":
        connection.start_closing(1000, "")
    # Another message makes sure that the connection's thread has begun to wait.
    for message in ("a", "b"):
        peer.send(message)
        assert connection.recv(TIMEOUT) == message


def test_peer_that_vanishes_is_given_up(join):
    connection, _ = join(ping_interval=0.01, ping_timeout=0.01, close_timeout=0.01)
    connection._start_keepalive()
    exc = get_exception(connection)
    assert exc.sent == Close(1011, "keepalive ping timeout")
    assert isinstance(exc.__cause__, TimeoutError)


# Signals

_PROGRAM = """
import os, signal, socket, threading, time
from ws_protocol.protocol import Protocol, Side
from ws_threading import Connection

# Python leaves it ignored where whatever started the tests does.
signal.signal(signal.SIGINT, signal.default_int_handler)
mine, theirs = socket.socketpair()
connection = Connection(mine, Protocol(Side.CLIENT), close_timeout=0.1)

def interrupt():
    while not {waiting}:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    connection.{call}
except KeyboardInterrupt:
    print("interrupted")
connection.close()
theirs.close()
print(connection.state.name, threading.active_count())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "call, waiting",
    [
        ("recv()", "connection.session.messages.joining"),
        ("send(bytes(2**22))", "connection.protocol.congested"),
        ("close()", "connection.state.name == 'CLOSING'"),
    ],
)
def test_interrupted_call_does_not_wedge_the_connection(call, waiting):
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(call=call, waiting=waiting)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert run.stdout.split("\n") == ["interrupted", "CLOSED 1", ""]


def test_signal_handlers_may_use_the_connection(connection, peer):
    def handle(signum, frame):
        connection.send("from the handler")

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        # As when the signal interrupts a method.
        with connection._mutex:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert peer.receive()[0].data == b"from the handler"


def test_signal_handlers_may_close_the_connection(connection, peer, start):
    answering = start(peer.receive_until_end)
    previous = signal.signal(signal.SIGTERM, lambda *_: connection.close())
    try:
        with connection._mutex:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert connection.state is State.CLOSED
    answering.result(TIMEOUT)


def test_interrupted_write_ends_the_connection(connection, peer, monkeypatch):
    def interrupt(data):
        raise KeyboardInterrupt

    # Some of it may have been encrypted, or sent.
    monkeypatch.setattr(connection._stream, "encrypt", interrupt)
    with pytest.raises(KeyboardInterrupt):
        connection.send("a")
    connection.wait_closed()
    assert isinstance(get_exception(connection).__cause__, KeyboardInterrupt)


class InterruptedSocket:
    """A socket whose method send() is interrupted by a signal as it returns.

    Args:
        sock: The socket.

    """

    def __init__(self, sock):
        self.sock = sock

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def send(self, data):
        self.sock.send(data)
        raise KeyboardInterrupt


def test_what_may_have_been_sent_when_a_signal_interrupts_is_not_sent_again(connection, peer):
    connection.socket = InterruptedSocket(connection.socket)
    with pytest.raises(KeyboardInterrupt):
        connection.send("a")
    assert [bytes(frame.data) for frame in peer.receive_until_end()] == [b"a"]
    connection.wait_closed()


def test_large_message_can_be_received_after_an_error_in_sending(join):
    connection, peer = join(max_queue=None)
    large = 150_000 * "a"
    # The error is there before all of the message is read.
    with connection._mutex:
        peer.send(large)
        peer.socket.close()
        with pytest.raises(ConnectionClosedError) as raised:
            connection.send("a")
    assert isinstance(raised.value.__cause__, BrokenPipeError)
    assert connection.recv() == large


def test_what_is_not_tls_after_the_tls_handshake_ends_the_connection():
    def fail(data):
        raise ssl.SSLError("wrong version number")

    mine, theirs = socket.socketpair()
    stream = Stream(mine)
    stream.decrypt = fail
    with theirs:
        connection = Connection(stream, Protocol(Side.CLIENT))
        connection.wait_closed()
    assert isinstance(get_exception(connection).__cause__, ssl.SSLError)
