"""Sending messages, pings and pongs."""

import contextlib
import socket
import ssl
import threading

import pytest

from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    ProtocolError,
)
from ws_protocol.frames import Opcode
from ws_protocol.limits import MAX_UNSENT_PONGS
from ws_protocol.protocol import Protocol, Side, State
from ws_protocol.shared import SharedMessage
from ws_protocol.uri import parse_uri
from ws_threading import ClientConnection, Connection, broadcast
from ws_threading._deadline import Deadline
from ws_threading._stream import Stream

from .conftest import TIMEOUT, Peer, wait_until

# More than sockets take.
LARGE = 2**22 * b"a"


def receive_frames(peer, number):
    """Return what arrives, when it is as many frames as that; answer nothing."""
    frames = []
    while len(frames) < number:
        received = peer.receive()
        assert received
        frames += received
    return frames


def receive_data(peer, number):
    """Return the payloads of as many frames."""
    return [bytes(frame.data) for frame in receive_frames(peer, number)]


def is_waiting(future):
    """Tell whether a call has neither returned nor raised an exception, a moment later."""
    with pytest.raises(TimeoutError):
        future.result(0.01)
    return True


def send_large(connection, start):
    """Send more than the socket takes; return the call, which waits."""
    future = start(connection.send, LARGE)
    wait_until(lambda: connection.protocol.congested)
    return future


@pytest.mark.parametrize(
    "message, text, opcode",
    [
        ("café", None, Opcode.TEXT),
        (b"caf\xc3\xa9", None, Opcode.BINARY),
        (bytearray(b"caf\xc3\xa9"), True, Opcode.TEXT),
        (memoryview(b"caf\xc3\xa9"), False, Opcode.BINARY),
        ("café", False, Opcode.BINARY),
    ],
)
def test_message_is_sent(connection, peer, message, text, opcode):
    connection.send(message, text=text)
    (frame,) = receive_frames(peer, 1)
    assert (frame.opcode, frame.data, frame.fin) == (opcode, b"caf\xc3\xa9", True)


@pytest.mark.parametrize("make", [list, iter])
def test_fragments_are_sent(connection, peer, make):
    connection.send(make(["Hel", "lo"]))
    connection.send(make([b"by", b"e"]), text=True)
    connection.send(make([]))
    frames = receive_frames(peer, 6)
    assert [frame.data for frame in frames] == [b"Hel", b"lo", b"", b"by", b"e", b""]
    assert [frame.opcode for frame in frames] == 2 * [Opcode.TEXT, Opcode.CONT, Opcode.CONT]
    assert [frame.fin for frame in frames] == 2 * [False, False, True]


async def asynchronous():
    """An asynchronous iterator."""
    yield "a"


@pytest.mark.parametrize(
    "message, text",
    [
        (42, "message must be str, bytes-like, an iterable"),
        ({"a": 1}, "message is a mapping"),
        ([1], "fragments must be str or bytes-like, not int"),
        (asynchronous(), "not asynchronous"),
    ],
)
def test_other_types_are_refused(connection, peer, message, text):
    with pytest.raises(TypeError, match=text):
        connection.send(message)
    connection.send("next")
    assert receive_data(peer, 1) == [b"next"]


def test_fragments_of_two_kinds_make_the_connection_fail(connection, peer):
    with pytest.raises(TypeError, match="all str, or all bytes-like"):
        connection.send(["a", b"b"])
    frames = peer.receive_until_end()
    connection.wait_closed()
    assert [frame.opcode for frame in frames] == [Opcode.TEXT, Opcode.CLOSE]
    assert connection.protocol.close_sent.code == 1011


def test_messages_do_not_come_between_fragments(connection, peer, start):
    goes_on = threading.Event()

    def items():
        yield "a"
        goes_on.wait(TIMEOUT)
        yield "b"

    future = start(connection.send, items())
    assert receive_data(peer, 1) == [b"a"]
    others = [start(connection.send, message) for message in ("c", ["d", "e"])]
    assert is_waiting(others[0])
    goes_on.set()
    for waiting in (future, *others):
        waiting.result(TIMEOUT)
    data = receive_data(peer, 6)
    assert data[:2] == [b"b", b""]
    assert data[2:] in ([b"c", b"d", b"e", b""], [b"d", b"e", b"", b"c"])


def test_message_can_not_be_sent_in_the_middle_of_another(connection, peer):
    def items():
        yield "a"
        with pytest.raises(ConcurrencyError, match="in the middle of another"):
            connection.send("b")
        with pytest.raises(ConcurrencyError, match="in the middle of another"):
            connection.send(["b"])
        yield "c"

    connection.send(items())
    assert receive_data(peer, 3) == [b"a", b"c", b""]


def test_control_frames_come_between_fragments(connection, peer):
    def items():
        yield "a"
        connection.ping(b"ping")
        connection.pong("pong")
        yield "b"

    connection.send(items())
    opcodes = [frame.opcode for frame in receive_frames(peer, 5)]
    assert opcodes == [Opcode.TEXT, Opcode.PING, Opcode.PONG, Opcode.CONT, Opcode.CONT]


def test_fragments_of_many_threads_do_not_mix(connection, peer, start):
    piece = 2**16 * b"a"
    futures = [start(connection.send, [b"%d" % number, piece]) for number in range(12)]
    data = receive_data(peer, 36)
    for future in futures:
        future.result(TIMEOUT)
    assert data[1::3] == 12 * [piece]
    assert data[2::3] == 12 * [b""]
    assert sorted(data[::3], key=int) == [b"%d" % number for number in range(12)]


# Backpressure


def test_send_waits_while_the_peer_does_not_read(connection, peer, start):
    large = send_large(connection, start)
    small = start(connection.send, b"b")
    # Meanwhile, messages are received, and pings are answered.
    peer.protocol.send_ping(b"ping")
    peer.send("one")
    assert connection.recv(TIMEOUT) == "one"
    assert is_waiting(large)
    assert is_waiting(small)
    frames = receive_frames(peer, 3)
    large.result(TIMEOUT)
    small.result(TIMEOUT)
    assert sorted(frame.data for frame in frames) == [LARGE, b"b", b"ping"]


@pytest.mark.parametrize("operation", ["send", "wait_closed"])
def test_waiting_threads_are_not_woken_before_their_time(
    connection, peer, start, monkeypatch, operation
):
    waits = []
    wait = threading.Condition.wait

    def count(condition, timeout=None):
        waits.append(threading.get_ident())
        return wait(condition, timeout)

    monkeypatch.setattr(threading.Condition, "wait", count)

    def use():
        if operation == "send":
            connection.send(LARGE)
        else:
            connection.wait_closed()
        return waits.count(threading.get_ident())

    using = start(use)
    wait_until(lambda: waits)
    for number in range(20):
        peer.send(str(number))
        assert connection.recv(TIMEOUT) == str(number)
    assert is_waiting(using)
    if operation == "send":
        receive_frames(peer, 1)
    else:
        connection.abort()
    assert using.result(TIMEOUT) <= 1


class SlowSocket:
    """A socket that takes few bytes at a time, and remembers which objects they belong to.

    Args:
        sock: The socket.

    """

    def __init__(self, sock):
        self.sock = sock
        self.sent = []

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def send(self, data):
        self.sent.append(memoryview(data).obj)
        return self.sock.send(data[:1000])


def test_large_message_is_not_copied_each_time_a_part_of_it_leaves(connection, peer):
    connection.socket = sock = SlowSocket(connection.socket)
    message = bytes(range(250)) * 40
    connection.send(message)
    assert receive_data(peer, 1) == [message]
    assert len(sock.sent) > 10
    assert all(data is sock.sent[0] for data in sock.sent)


def test_peer_that_pings_and_does_not_read_fills_no_memory(connection, peer, start):
    large = send_large(connection, start)
    for number in range(1000):
        peer.protocol.send_ping(b"%d" % number)
        peer.flush()
    peer.send("last")
    # All that came before has been received then.
    assert connection.recv(TIMEOUT) == "last"
    frames = receive_frames(peer, 2)
    while frames[-1].data != b"999":
        frames += receive_frames(peer, 1)
    large.result(TIMEOUT)
    assert len(frames) <= MAX_UNSENT_PONGS + 2


@pytest.mark.parametrize("operation", ["send", "ping", "fragments"])
def test_waiting_to_send_ends_with_the_connection(connection, peer, start, operation):
    futures = [send_large(connection, start)]
    if operation == "send":
        futures += [start(connection.send, b"b") for _ in range(2)]
    elif operation == "ping":
        futures.append(start(connection.ping))
    else:
        futures.append(start(connection.send, [b"b"]))
    assert is_waiting(futures[-1])
    peer.socket.close()
    for future in futures:
        with pytest.raises(ConnectionClosedError) as raised:
            future.result(TIMEOUT)
        assert isinstance(raised.value.__cause__, ConnectionError)


def test_sending_of_fragments_ends_with_the_connection(connection, peer, start):
    goes_on = threading.Event()

    def items():
        yield "a"
        goes_on.wait(TIMEOUT)
        yield "b"

    fragments = start(connection.send, items())
    receive_frames(peer, 1)
    other = start(connection.send, "c")
    assert is_waiting(other)
    peer.socket.close()
    with pytest.raises(ConnectionClosedError):
        other.result(TIMEOUT)
    goes_on.set()
    with pytest.raises(ConnectionClosedError):
        fragments.result(TIMEOUT)


def test_fragments_that_raise_make_the_connection_fail(connection, peer):
    def items():
        yield "a"
        raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        connection.send(items())
    peer.receive_until_end()
    connection.wait_closed()
    assert connection.protocol.close_sent.code == 1011
    assert connection.protocol.close_sent.reason == "error in fragmented message"


def test_fragments_that_raise_before_the_first_leave_the_connection_open(connection, peer):
    def items():
        raise ValueError("oops")
        yield

    with pytest.raises(ValueError, match="oops"):
        connection.send(items())
    connection.send("next")
    assert receive_data(peer, 1) == [b"next"]


@pytest.mark.parametrize("rest", [["b"], []])
def test_close_makes_fragments_fail(connection, peer, start, rest):
    answering = start(peer.receive_until_end)

    def items():
        yield "a"
        connection.close()
        yield from rest

    with pytest.raises(ConnectionClosedError):
        connection.send(items())
    opcodes = [frame.opcode for frame in answering.result(TIMEOUT)]
    assert opcodes == [Opcode.TEXT, Opcode.CLOSE]
    assert connection.protocol.close_sent.code == 1011
    assert connection.protocol.close_sent.reason == "close during fragmented message"


# Pings


def test_pong_sets_the_event_of_the_ping(connection, peer):
    first = connection.ping()
    second = connection.ping("two")
    frames = receive_frames(peer, 2)
    assert frames[1].data == b"two"
    assert not first.is_set()
    assert connection.latency == 0
    peer.flush()
    assert second.wait(TIMEOUT)
    assert first.is_set()
    assert connection.latency > 0


def test_impossible_pings_are_refused(connection):
    connection.ping("a")
    with pytest.raises(ConcurrencyError):
        connection.ping(b"a")
    with pytest.raises(ProtocolError, match="too long"):
        connection.ping(bytes(126))
    with pytest.raises(TypeError, match="data must be str or bytes-like"):
        connection.ping(1)
    with pytest.raises(TypeError, match="data must be str or bytes-like"):
        connection.pong(1)


def test_lost_connection_sets_the_events_that_ask_for_it(connection, peer):
    asking = connection.ping(ack_on_close=True)
    other = connection.ping()
    peer.socket.close()
    assert asking.wait(TIMEOUT)
    connection.wait_closed()
    assert not other.is_set()


# States


def test_nothing_can_be_sent_before_the_opening_handshake():
    mine, theirs = socket.socketpair()
    connection = ClientConnection(mine, ClientProtocol(parse_uri("ws://localhost/")))
    with contextlib.closing(connection), theirs:
        for operation in (connection.send, connection.ping, connection.pong):
            with pytest.raises(InvalidState, match="connection is connecting"):
                operation("a")


def test_nothing_can_be_sent_once_the_connection_is_closed(connection, peer):
    peer.protocol.send_close(1000)
    peer.flush()
    peer.receive_until_end()
    peer.socket.close()
    connection.wait_closed()
    for operation in (connection.send, connection.ping, connection.pong):
        with pytest.raises(ConnectionClosedOK):
            operation("a")


def test_sending_waits_until_it_is_known_how_the_connection_closes(connection, peer, start):
    closing = start(connection.close)
    receive_frames(peer, 1)
    sending = start(connection.send, "a")
    assert is_waiting(sending)
    peer.flush()
    peer.socket.close()
    with pytest.raises(ConnectionClosedOK):
        sending.result(TIMEOUT)
    closing.result(TIMEOUT)


# Broadcast


def test_broadcast_sends_without_waiting(join, start, caplog):
    (slow, slow_peer), (closed, closed_peer), (busy, busy_peer), (other, peer) = (
        join() for _ in range(4)
    )
    large = send_large(slow, start)
    closing = start(closed.close)
    assert [frame.opcode for frame in receive_frames(closed_peer, 1)] == [Opcode.CLOSE]
    closed_peer.flush()
    closed_peer.socket.close()
    closing.result(TIMEOUT)
    assert closed.state is State.CLOSED

    def items():
        yield "a"
        broadcast([slow, closed, busy, other], "b")
        with pytest.raises(ExceptionGroup, match="skipped broadcast"):
            broadcast([slow, busy], b"c", raise_exceptions=True)

    busy.send(items())
    with pytest.raises(TypeError):
        broadcast([], ["a"])
    # It needs no pool of threads.
    broadcast([], "a", max_workers=4)
    assert receive_data(slow_peer, 3) == [LARGE, b"b", b"c"]
    large.result(TIMEOUT)
    assert receive_data(busy_peer, 2) == [b"a", b""]
    assert receive_data(peer, 1) == [b"b"]
    assert caplog.messages == ["skipped broadcast: sending a fragmented message"]


def test_broadcast_leaves_out_connections_that_are_too_slow(join, start):
    connection, peer = join()
    large = send_large(connection, start)
    broadcast([connection], "a", max_buffer=1000)
    broadcast([connection], "b", max_buffer=2 * len(LARGE))
    assert connection.state is State.OPEN
    broadcast([connection], "c", max_buffer=1000, slow="close")
    assert connection.protocol.close_sent.reason == "too slow"
    *messages, last = receive_data(peer, 3)
    assert messages == [LARGE, b"b"]
    assert last[2:] == b"too slow"
    large.result(TIMEOUT)


def test_broadcast_knows_its_arguments():
    with pytest.raises(TypeError, match="unexpected keyword argument 'spam'"):
        broadcast([], "a", spam=1)


def test_signal_handler_may_send_in_the_middle_of_sending(join, monkeypatch):
    connection, peer = join()
    encrypt = connection._stream.encrypt
    interrupted = []

    def interrupt(data):
        # As a signal handler would, in the thread that has the lock.
        if not interrupted:
            interrupted.append(data)
            connection.send_shared(SharedMessage("b"))
        return encrypt(data)

    monkeypatch.setattr(connection._stream, "encrypt", interrupt)
    connection.send("a")
    assert receive_data(peer, 2) == [b"a", b"b"]


class RenegotiatingTLS:
    """TLS that must read before it can write: the peer has asked for another handshake.

    Args:
        tls: The TLS.

    """

    def __init__(self, tls):
        self.tls = tls
        self.done = False
        self.refused = threading.Event()

    def __getattr__(self, name):
        return getattr(self.tls, name)

    def read(self, size):
        data = self.tls.read(size)
        self.done = True
        return data

    def write(self, data):
        if not self.done:
            self.refused.set()
            raise ssl.SSLWantReadError
        return self.tls.write(data)


def test_sending_waits_while_the_peer_renegotiates_tls(start, client_tls, server_tls):
    mine, theirs = socket.socketpair()
    accepting = start(server_tls.wrap_socket, theirs, server_side=True)
    stream = Stream(mine)
    stream.start_tls(client_tls, Deadline(TIMEOUT), server_hostname="localhost")
    (layer,) = stream._layers
    layer.object = RenegotiatingTLS(layer.object)
    with accepting.result(TIMEOUT) as sock:
        peer = Peer(sock, Protocol(Side.SERVER))
        connection = Connection(stream, Protocol(Side.CLIENT))
        sending = [start(connection.send, "a")]
        assert layer.object.refused.wait(TIMEOUT)
        sending.append(start(connection.send, "b"))
        assert is_waiting(sending[0])
        peer.send("c")
        for future in sending:
            future.result(TIMEOUT)
        assert receive_data(peer, 2) == [b"a", b"b"]
        assert connection.recv(TIMEOUT) == "c"
        connection.abort()
        connection.wait_closed()
