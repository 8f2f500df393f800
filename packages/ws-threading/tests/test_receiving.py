"""Receiving messages, whole and in fragments."""

import threading

import pytest

from ws_protocol.exceptions import ConcurrencyError, ConnectionClosedError, ConnectionClosedOK
from ws_protocol.frames import CloseCode
from ws_protocol.protocol import State

from .conftest import TIMEOUT, wait_until


@pytest.mark.parametrize(
    "message, decode, received",
    [
        ("héllo", None, "héllo"),
        ("héllo", True, "héllo"),
        ("héllo", False, "héllo".encode()),
        (b"\xff", None, b"\xff"),
        (b"\xff", False, b"\xff"),
        (b"hello", True, "hello"),
        ("", None, ""),
    ],
)
def test_message_is_received(connection, peer, message, decode, received):
    peer.send(message)
    assert connection.recv(decode=decode) == received


def test_messages_are_received_in_order(connection, peer):
    peer.send("a", b"b", "c")
    assert [connection.recv() for _ in range(3)] == ["a", b"b", "c"]


def test_fragments_are_joined(connection, peer, start):
    received = start(connection.recv)
    peer.protocol.send_text(b"a", fin=False)
    peer.flush()
    peer.protocol.send_ping(b"")
    peer.flush()
    peer.receive()  # the pong: the fragment was received
    peer.protocol.send_continuation(b"b", fin=True)
    peer.flush()
    assert received.result(TIMEOUT) == "ab"


def test_nothing_is_lost_when_it_times_out(connection, peer):
    with pytest.raises(TimeoutError, match="timed out while waiting for a message"):
        connection.recv(timeout=0)
    peer.protocol.send_text(b"a", fin=False)
    peer.flush()
    with pytest.raises(TimeoutError):
        connection.recv(timeout=0.01)
    peer.protocol.send_continuation(b"b", fin=True)
    peer.flush()
    assert connection.recv(timeout=TIMEOUT) == "ab"


def test_message_that_is_there_needs_no_time(connection, peer):
    peer.send("a")
    wait_until(lambda: connection.session.messages.complete)
    assert connection.recv(timeout=0) == "a"


def receive_meanwhile(connection):
    """Try to receive until another thread does."""
    while True:
        try:
            connection.recv(timeout=0)
        except TimeoutError:
            continue


def test_one_thread_receives_at_a_time(connection, peer, start):
    received = start(connection.recv)
    with pytest.raises(ConcurrencyError) as raised:
        receive_meanwhile(connection)
    assert str(raised.value) == (
        "cannot call recv while another thread is already running recv or recv_streaming"
    )
    with pytest.raises(ConcurrencyError, match="cannot call recv_streaming while"):
        next(connection.recv_streaming())
    peer.send("a")
    assert received.result(TIMEOUT) == "a"


def test_iteration_ends_with_the_connection(connection, peer):
    peer.send("a", "b")
    peer.protocol.send_close(1000)
    peer.flush()
    peer.receive_until_end()
    assert list(connection) == ["a", "b"]
    with pytest.raises(ConnectionClosedOK):
        connection.recv()


def test_iteration_fails_with_the_connection(connection, peer):
    peer.send("a")
    peer.protocol.fail(1002, "oops")
    peer.flush()
    peer.receive_until_end()
    messages = iter(connection)
    assert next(messages) == "a"
    with pytest.raises(ConnectionClosedError, match="oops"):
        next(messages)


def test_binary_message_that_is_no_text_makes_the_connection_fail(connection, peer, start):
    peer.send(b"\xff")
    events = start(peer.receive_until_end)
    with pytest.raises(ConnectionClosedError) as raised:
        connection.recv(decode=True)
    assert isinstance(raised.value.__cause__, UnicodeDecodeError)
    assert raised.value.sent.code == CloseCode.INVALID_DATA
    assert events.result(TIMEOUT)[-1].data[:2] == (1007).to_bytes(2, "big")


def test_binary_message_that_is_no_text_is_told_after_the_end(connection, peer):
    peer.send(b"\xff", b"\xff")
    peer.protocol.send_close(1000)
    peer.flush()
    wait_until(lambda: connection.state is not State.OPEN)
    with pytest.raises(UnicodeDecodeError):
        connection.recv(decode=True)
    with pytest.raises(UnicodeDecodeError):
        list(connection.recv_streaming(decode=True))


def test_failure_to_decode_loses_nothing_that_waits_for_room_in_the_queue(join):
    connection, peer = join(max_queue=0)
    # So large that what follows isn't looked at before there is room for it. Sockets would cut it.
    peer.protocol.send_binary(b"\xff" * 50_000)
    peer.protocol.send_text(b"last")
    connection.session.receive_data(b"".join(peer.protocol.data_to_send()), 0)
    connection.abort()
    connection.wait_closed()
    with pytest.raises(UnicodeDecodeError):
        connection.recv(decode=True)
    assert list(connection.recv_streaming()) == ["last"]


# Fragments


def test_fragments_are_received_one_by_one(connection, peer):
    peer.protocol.send_text("hé".encode()[:2], fin=False)
    peer.protocol.send_continuation("hé".encode()[2:], fin=False)
    peer.protocol.send_continuation(b"llo", fin=True)
    peer.flush()
    assert list(connection.recv_streaming()) == ["h", "é", "llo"]


def test_fragments_can_be_waited_for(connection, peer, start):
    received = start(lambda: list(connection.recv_streaming(decode=False)))
    peer.protocol.send_text(b"a", fin=False)
    peer.flush()
    peer.protocol.send_continuation(b"b", fin=True)
    peer.flush()
    assert b"".join(received.result(TIMEOUT)) == b"ab"


def test_rest_of_the_fragments_must_be_received_first(connection, peer):
    peer.protocol.send_text(b"a", fin=False)
    peer.protocol.send_continuation(b"b", fin=True)
    peer.flush()
    fragments = connection.recv_streaming()
    assert next(fragments) == "a"
    with pytest.raises(ConcurrencyError, match="the rest of them must be received first"):
        connection.recv()
    assert list(connection.recv_streaming()) == ["b"]
    with pytest.raises(ConcurrencyError):
        next(fragments)
    peer.send("c")
    assert connection.recv() == "c"


def test_fragments_end_with_the_connection(connection, peer):
    peer.protocol.send_text(b"a", fin=False)
    peer.flush()
    fragments = connection.recv_streaming()
    assert next(fragments) == "a"
    peer.socket.close()
    with pytest.raises(ConnectionClosedError):
        next(fragments)


# Backpressure


def count_waiting(connection):
    return len(connection.session.messages.frames)


def test_reading_stops_when_enough_waits_and_goes_on(join):
    connection, peer = join(max_queue=(2, 1), ping_interval=None)
    message = b"x" * 65536
    finished = threading.Event()

    def flood():
        peer.send(*[message] * 100)
        finished.set()

    sender = threading.Thread(target=flood)
    sender.start()
    wait_until(lambda: connection._reading_paused)
    # There are 6 MiB to send, of which what the operating system keeps is a fraction.
    assert count_waiting(connection) < 10
    assert not finished.is_set()
    assert [connection.recv() for _ in range(100)] == [message] * 100
    sender.join()


def test_message_of_more_fragments_than_may_wait_is_received(join, start):
    connection, peer = join(max_queue=2)
    peer.protocol.send_binary(b"", fin=False)
    for _ in range(10):
        peer.protocol.send_continuation(b"a", fin=False)
    peer.protocol.send_continuation(b"b", fin=True)
    peer.flush()
    wait_until(lambda: connection._reading_paused)
    assert connection.recv(timeout=TIMEOUT) == b"a" * 10 + b"b"


@pytest.mark.parametrize("max_queue", [(1, 2), (1, -1)])
def test_limits_must_be_possible(join, max_queue):
    with pytest.raises(ValueError, match="low"):
        join(max_queue=max_queue)


@pytest.mark.parametrize("ending", ["open", "lost"])
def test_what_one_chunk_holds_is_decoded_when_there_is_room(join, ending):
    # Much more than is decoded at a time.
    count = 100_000
    connection, peer = join(max_queue=2)
    for _ in range(count):
        peer.protocol.send_text(b"a")
    data = b"".join(peer.protocol.data_to_send())
    # As one chunk, which a socket may cut otherwise.
    with connection._mutex:
        connection._receive(data)
    assert 2 < count_waiting(connection) < count / 2
    if ending == "lost":
        connection.abort()
        connection.wait_closed()
    for _ in range(count):
        assert connection.recv(timeout=TIMEOUT) == "a"
