"""What travels on open connections: messages, pings and pongs.

Pairs of packages: every kind of message, in fragments, as a stream, in both directions at once, up
to the limit of its size and beyond, with backpressure; timeouts of receiving, two that receive,
many that send; pings.
Each package: what a raw peer sends in pieces, or never reads; broadcasts; the server's
connections; keepalive.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import socket
import threading

import pytest

from websockets.exceptions import ConcurrencyError, ConnectionClosedError
from websockets.frames import Close, Opcode

from .driver import TIMEOUT, start_in_thread

feature = pytest.mark.feature

MESSAGES = {
    "text": "naïve café — 你好 👋🏽\n\0",
    "empty text": "",
    "1 MiB of text": "é" * 2**19,
    "bytes": bytes(range(256)),
    "empty bytes": b"",
    "1 MiB of bytes": bytes(i * i % 251 for i in range(2**20)),
}
COMPRESSION = [{"compression": "deflate"}, {"compression": None}]


def both_ways(pair):
    """Return the sender and the receiver, for both directions."""
    return [pair, pair[::-1]]


@feature("text and binary messages")
@pytest.mark.parametrize("options", COMPRESSION, ids=["compressed", "plain"])
def test_messages_arrive(make_pair, options):
    pair = make_pair(options, options)
    for sender, receiver in both_ways(pair):
        for message in MESSAGES.values():
            sender.send(message)
            assert receiver.recv() == message


@feature("sending messages in fragments")
@pytest.mark.parametrize("options", COMPRESSION, ids=["compressed", "plain"])
def test_messages_in_fragments_arrive(make_pair, options):
    pair = make_pair(options, options)
    for sender, receiver in both_ways(pair):
        for fragments in (["naïve ", "", "café — " * 999, "👋🏽"], [b"\0", b"", b"\1"]):
            for iterable in (fragments, iter(fragments)):
                sender.send(iterable)
                assert receiver.recv() == type(fragments[0])().join(fragments)


@feature("receiving messages in fragments")
def test_message_is_received_as_a_stream(pair):
    for sender, receiver in both_ways(pair):
        sender.send(["one ", "", "two"])
        sender.send(b"whole")
        assert "".join(receiver.stream()) == "one two"
        assert b"".join(receiver.stream()) == b"whole"


@feature("receiving messages in fragments")
def test_characters_cut_by_fragments_are_whole_in_a_stream(driver, meet):
    end, peer = meet()
    data = "é👋🏽".encode()
    for i in range(len(data)):
        opcode = Opcode.CONT if i else Opcode.TEXT
        peer.send(opcode, data[i : i + 1], fin=i == len(data) - 1)
    assert "".join(end.stream()) == "é👋🏽"


@feature("choosing the type of messages")
def test_type_of_messages_can_be_chosen(pair):
    for sender, receiver in both_ways(pair):
        sender.send("é")
        assert receiver.recv(decode=False) == b"\xc3\xa9"
        sender.send(b"\xc3\xa9")
        assert receiver.recv(decode=True) == "é"
        sender.send("é", text=False)
        assert receiver.recv() == b"\xc3\xa9"
        sender.send(b"\xc3\xa9", text=True)
        assert receiver.recv() == "é"


@feature("text and binary messages")
def test_message_of_another_type_is_refused(ends):
    acting, other = ends
    for message in (None, 42, {"a": 1}, [42]):
        with pytest.raises(TypeError):
            acting.send(message)
    acting.send("still open")
    assert other.recv() == "still open"


@feature("sending messages in fragments")
def test_fragments_of_both_types_fail_the_connection(ends):
    acting, other = ends
    with pytest.raises(TypeError):
        acting.send(["one", b"two"])
    # What was sent can't be taken back.
    assert other.ended().rcvd.code == 1011


@feature("text and binary messages")
def test_messages_that_arrive_byte_by_byte_are_whole(driver, meet):
    end, peer = meet()
    receiving = end.start("recv")
    peer.send(Opcode.TEXT, b"once", fin=False)
    peer.send(Opcode.PING, b"between")
    # The connection has seen what came before.
    while peer.receive().opcode is not Opcode.PONG:
        pass
    assert not receiving.done()
    peer.send(Opcode.CONT, b" more")
    assert receiving.result(TIMEOUT) == "once more"


# Limits


@feature("limiting the size of messages")
@pytest.mark.parametrize("options", COMPRESSION, ids=["compressed", "plain"])
def test_message_as_large_as_the_limit_is_received(make_pair, options):
    options = {**options, "max_size": 1000}
    for sender, receiver in both_ways(make_pair(options, options)):
        for message in ("x" * 998 + "é", bytes(1000)):
            sender.send(message)
            assert receiver.recv() == message


@feature("limiting the size of messages")
@pytest.mark.parametrize("options", COMPRESSION, ids=["compressed", "plain"])
@pytest.mark.parametrize("fragments", [1, 3])
def test_message_larger_than_the_limit_fails_the_connection(make_ends, options, fragments):
    acting, other = make_ends(options, {**options, "max_size": 1000})
    # Compressed, it is small.
    message = "x" * 999 + "é"
    with contextlib.suppress(ConnectionClosedError):  # before all of it was sent
        acting.send([message[i::fragments] for i in range(fragments)])
    assert other.ended().sent.code == 1009
    exc = acting.ended()
    assert type(exc) is ConnectionClosedError
    assert exc.rcvd.code == 1009


MEBIBYTE = bytes(2**20)
# More than all buffers between the two ends can grow to.
ENDLESS = 2**8


@pytest.mark.slow
@feature("backpressure")
def test_sender_waits_for_a_receiver_that_does_not_receive(make_pair):
    options = {"compression": None, "max_queue": 1, "ping_interval": None}
    acting, other = make_pair(options, options)
    progress = queue.SimpleQueue()
    enough = threading.Event()

    def send():
        for count in range(ENDLESS):
            if enough.is_set():
                acting.send("that's all")
                return count
            acting.send(MEBIBYTE)
            progress.put(count)
        raise AssertionError("nothing stops the sender")

    sending = start_in_thread(send)
    with contextlib.suppress(queue.Empty):
        # Until it doesn't get on.
        while progress.get(timeout=0.1) is not None:
            pass
    enough.set()
    # Now it does.
    received = 0
    while (message := other.recv()) != "that's all":
        assert message == MEBIBYTE
        received += 1
    assert sending.result(TIMEOUT) == received


@pytest.mark.slow
@feature("backpressure")
def test_both_sides_can_send_more_than_the_buffers_hold_at_the_same_time(make_pair):
    options = {"max_queue": 1, "compression": None}
    client, server = make_pair(options, options)
    messages = [bytes([number]) * 2**20 for number in range(8)]

    def send(end):
        for message in messages:
            end.send(message)

    def receive(end):
        return [end.recv() for _ in messages]

    sending = [start_in_thread(send, end) for end in (client, server)]
    receiving = [start_in_thread(receive, end) for end in (client, server)]
    assert [future.result(TIMEOUT) for future in receiving] == [messages] * 2
    for future in sending:
        future.result(TIMEOUT)


@pytest.mark.slow
@feature("backpressure")
def test_peer_that_never_reads_stops_the_sender(driver, meet):
    end, peer = meet(compression=None, ping_interval=None, close_timeout=0.05)
    # Or its buffer would grow.
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    sending = [end.start("send", MEBIBYTE) for _ in range(24)]
    # They have begun.
    assert peer.sock.recv(1)
    peer.reset()
    outcomes = {type(future.exception(TIMEOUT)) for future in sending}
    # The first may have been done before.
    assert outcomes in ({ConnectionClosedError}, {ConnectionClosedError, type(None)})


# Interruptions


@feature("timeouts of receiving that lose no message")
def test_timeout_of_receiving_loses_nothing(driver, meet):
    end, peer = meet()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            end.recv_within(0.001)
    peer.send(Opcode.TEXT, b"once", fin=False)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            end.recv_within(0.001)
    peer.send(Opcode.CONT, b" more")
    assert end.recv_within(TIMEOUT) == "once more"


@feature("timeouts of receiving that lose no message")
def test_short_timeouts_lose_none_of_many_messages(pair):
    for sender, receiver in both_ways(pair):
        messages = [str(number) for number in range(50)]
        received = []

        def send(sender=sender, messages=messages):
            for message in messages:
                sender.send(message)

        sending = start_in_thread(send)
        while len(received) < len(messages):
            with contextlib.suppress(TimeoutError):
                received.append(receiver.recv_within(0.0005))
        sending.result(TIMEOUT)
        assert received == messages


@feature("text and binary messages")
def test_only_one_can_receive(pair):
    for sender, receiver in both_ways(pair):
        receiving = [receiver.start("recv") for _ in range(2)]
        (refused,), (waiting,) = concurrent.futures.wait(
            receiving, TIMEOUT, concurrent.futures.FIRST_COMPLETED
        )
        assert isinstance(refused.exception(), (ConcurrencyError, RuntimeError))
        sender.send("for the other")
        assert waiting.result(TIMEOUT) == "for the other"


@feature("sending messages in fragments")
def test_fragments_of_several_senders_are_not_mixed(pair):
    size, count, senders = 2**14, 8, range(6)
    for sender, receiver in both_ways(pair):
        sending = [
            sender.start("send", [bytes([number]) * size] * count if number else b"whole")
            for number in senders
        ]
        received = [receiver.recv() for _ in senders]
        for future in sending:
            future.result(TIMEOUT)
        expected = [b"whole", *(bytes([number]) * size * count for number in senders if number)]
        assert sorted(received) == sorted(expected)


# To many


@feature("broadcast")
def test_broadcast_reaches_all(driver, start_server, start_client, accepted):
    service = start_server(driver)
    clients = [
        start_client(driver, service.uri(), **options) for options in COMPRESSION for _ in range(2)
    ]
    servers = [accepted.get(timeout=TIMEOUT) for _ in clients]
    # One that is closed doesn't matter.
    clients.pop().close()
    driver.broadcast(servers, "to all of you")
    driver.broadcast(servers, b"bytes")
    for client in clients:
        assert [client.recv(), client.recv()] == ["to all of you", b"bytes"]


@feature("the connections of a server")
def test_server_knows_its_connections(driver, start_server, start_client, accepted):
    service = start_server(driver)
    assert service.server.connections == set()
    clients = [start_client(driver, service.uri()) for _ in range(2)]
    servers = [accepted.get(timeout=TIMEOUT) for _ in clients]
    assert service.server.connections == {end.connection for end in servers}
    server = next(
        end
        for end in servers
        if end.path and end.connection.remote_address == clients[0].connection.local_address
    )
    clients[0].close()
    server.ended()
    (other,) = service.server.connections
    assert other is not server.connection


# Pings


@feature("pings and latency")
def test_pings_are_answered(pair):
    for sender, receiver in both_ways(pair):
        # A pong that nobody asked for.
        receiver.pong("hello")
        for payload in ("one", b"two", None):
            assert sender.ping(payload).result(TIMEOUT) > 0
        assert sender.connection.latency > 0


@feature("pings and latency")
def test_pong_answers_all_pings_before(driver, meet):
    end, peer = meet(ping_interval=None)
    pings = [end.ping(payload) for payload in (b"1", b"2", b"3")]
    payloads = [peer.receive().data for _ in pings]
    assert sorted(payloads) == [b"1", b"2", b"3"]
    # One that isn't the answer to anything.
    peer.send(Opcode.PONG, b"4")
    peer.send(Opcode.PONG, payloads[1])
    answered = [pings[int(payload) - 1] for payload in payloads]
    for ping in answered[:2]:
        ping.result(TIMEOUT)
    assert not answered[2].done()
    peer.send(Opcode.PONG, payloads[2])
    answered[2].result(TIMEOUT)


@feature("pings and latency")
def test_pings_of_the_peer_are_answered_while_nobody_receives(driver, meet):
    end, peer = meet(ping_interval=None)
    peer.send(Opcode.TEXT, b"unread")
    for payload in (b"", b"x" * 125):
        peer.send(Opcode.PING, payload)
        pong = peer.receive()
        assert (pong.opcode, pong.data) == (Opcode.PONG, payload)
    assert end.recv() == "unread"


@feature("keepalive")
def test_keepalive_measures_the_latency(driver, meet):
    end, peer = meet(ping_interval=0.01, ping_timeout=TIMEOUT)
    for _ in range(2):
        ping = peer.receive()
        assert ping.opcode is Opcode.PING
        assert ping.data
        peer.send(Opcode.PONG, ping.data)
    # The second was sent after the first was answered.
    assert end.connection.latency > 0


@feature("keepalive")
def test_peer_that_does_not_answer_pings_is_given_up(driver, meet):
    end, peer = meet(ping_interval=0.02, ping_timeout=0.02, close_timeout=0.02)
    exc = end.ended()
    assert type(exc) is ConnectionClosedError
    assert (exc.rcvd, exc.sent) == (None, Close(1011, "keepalive ping timeout"))
    assert peer.receive_close() == Close(1011, "keepalive ping timeout")


@feature("keepalive")
def test_peer_that_is_only_slow_to_receive_is_not_given_up(make_pair):
    options = {"ping_interval": 0.01, "ping_timeout": TIMEOUT}
    for sender, receiver in both_ways(make_pair(options, options)):
        sender.send("unread")
        # Several times as long.
        for _ in range(5):
            sender.ping().result(TIMEOUT)
        assert receiver.recv() == "unread"
