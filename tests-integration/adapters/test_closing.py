"""How connections and servers end.

Pairs of packages: either side closes, both do at once, with messages on the way; handlers that
return or fail, clients that fail; servers that are closed, with their connections or without.
Each package: peers that reset the TCP connection, close their side of it, never answer, or break
the protocol; servers that are closed while connections are opening or closing.
"""

from __future__ import annotations

import pytest

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, ProtocolError
from websockets.frames import Close, Opcode

from .driver import TIMEOUT
from .raw import connect_raw

feature = pytest.mark.feature

CODES = [(1000, ""), (1001, "adieu — ça va"), (1011, "oops"), (4321, "x" * 123)]


@feature("closing with a code and a reason")
@pytest.mark.parametrize("code, reason", CODES)
def test_either_side_closes(ends, code, reason):
    acting, other = ends
    acting.close(code, reason)
    close = Close(code, reason)
    expected = ConnectionClosedOK if code in {1000, 1001} else ConnectionClosedError
    for end, rcvd_then_sent in [(acting, False), (other, True)]:
        exc = end.ended()
        assert type(exc) is expected
        assert (exc.rcvd, exc.sent, exc.rcvd_then_sent) == (close, close, rcvd_then_sent)
        assert (end.connection.close_code, end.connection.close_reason) == (code, reason)
        for method, args in [("send", ["too late"]), ("ping", [])]:
            with pytest.raises(expected):
                end.start(method, *args).result(TIMEOUT)
        # Nothing is left to be done.
        end.close(1002, "ignored")
        assert end.ended().sent == close


@feature("closing with a code and a reason")
def test_close_frame_that_is_not_possible_is_refused(ends):
    acting, other = ends
    for code, reason in [(1005, ""), (999, ""), (1000, "x" * 124)]:
        with pytest.raises(ProtocolError):
            acting.close(code, reason)
    acting.send("still open")
    assert other.recv() == "still open"


@feature("closing with a code and a reason")
def test_messages_before_the_close_frame_are_delivered(ends):
    acting, other = ends
    for number in range(3):
        acting.send(str(number))
    acting.close()
    assert other.messages() == ["0", "1", "2"]


@feature("closing with a code and a reason")
def test_both_sides_close_at_the_same_time(pair):
    client, server = pair
    closing = [client.start("close", 4001, "one"), server.start("close", 4002, "two")]
    for future in closing:
        future.result(TIMEOUT)
    of_client, of_server = client.ended(), server.ended()
    # Each sent its own close frame, or answered the other's.
    assert of_client.sent == of_server.rcvd
    assert of_client.rcvd == of_server.sent


@feature("closing with a code and a reason")
def test_what_waits_ends_with_the_connection(ends):
    acting, other = ends
    receiving = other.start("recv")
    closing = [acting.start("close") for _ in range(3)]
    assert type(receiving.exception(TIMEOUT)) is ConnectionClosedOK
    for future in closing:
        future.result(TIMEOUT)


@feature("closing with a code and a reason")
def test_iteration_raises_when_the_connection_is_closed_with_an_error(ends):
    acting, other = ends
    acting.close(1011)
    with pytest.raises(ConnectionClosedError):
        other.messages()


# Peers that don't close as they should


@feature("closing with a code and a reason")
def test_close_frames_may_cross(driver, meet):
    end, peer = meet()
    closing = end.start("close", 4001, "mine")
    assert peer.receive_close() == Close(4001, "mine")
    peer.send_close(4002, "yours")
    peer.end()
    closing.result(TIMEOUT)
    exc = end.ended()
    assert (exc.rcvd, exc.sent, exc.rcvd_then_sent) == (
        Close(4002, "yours"),
        Close(4001, "mine"),
        False,
    )


@feature("closing with a code and a reason")
def test_messages_that_arrive_while_closing_are_delivered(driver, meet):
    end, peer = meet()
    closing = end.start("close")
    assert peer.receive_close() == Close(1000, "")
    peer.send(Opcode.TEXT, b"one more")
    peer.send_close(1000)
    peer.end()
    closing.result(TIMEOUT)
    assert end.messages() == ["one more"]


@feature("closing with a code and a reason")
def test_messages_before_a_lost_connection_are_delivered(driver, meet):
    end, peer = meet()
    for data in (b"one", b"two"):
        peer.send(Opcode.TEXT, data)
    peer.end()
    assert [end.recv(), end.recv()] == ["one", "two"]
    assert type(end.ended()) is ConnectionClosedError


@feature("closing with a code and a reason")
@pytest.mark.parametrize("way", ["end", "reset"])
def test_lost_connection_is_an_error_with_its_cause(driver, meet, way):
    end, peer = meet()
    receiving = end.start("recv")
    getattr(peer, way)()
    assert type(receiving.exception(TIMEOUT)) is ConnectionClosedError
    exc = end.ended()
    assert type(exc) is ConnectionClosedError
    assert (exc.rcvd, exc.sent) == (None, None)
    assert isinstance(exc.__cause__, EOFError if way == "end" else OSError)
    assert end.connection.close_code == 1006
    with pytest.raises(ConnectionClosedError):
        end.send("too late")


@feature("closing with a code and a reason")
def test_peer_that_never_answers_the_close_frame_is_left(driver, meet):
    end, peer = meet(close_timeout=0.05)
    end.close(1000, "bye")
    exc = end.ended()
    assert (exc.rcvd, exc.sent) == (None, Close(1000, "bye"))
    assert peer.receive_close() == Close(1000, "bye")
    peer.receive_end()


@feature("closing with a code and a reason")
def test_peer_that_never_closes_the_tcp_connection_is_left(driver, meet):
    end, peer = meet(close_timeout=0.05)
    peer.send_close(1000, "bye")
    assert peer.receive_close() == Close(1000, "bye")
    assert end.ended().rcvd == Close(1000, "bye")
    peer.receive_end()


@feature("closing with a code and a reason")
@pytest.mark.parametrize(
    "opcode, data, code",
    [
        (Opcode.CONT, b"of nothing", 1002),
        (Opcode.TEXT, b"\xff", 1007),
        (Opcode.CLOSE, b"\x03", 1002),
        (Opcode.PING, b"x" * 126, 1002),
    ],
)
def test_peer_that_breaks_the_protocol_is_told(driver, meet, opcode, data, code):
    end, peer = meet()
    peer.send(Opcode.TEXT, b"before")
    if len(data) > 125:
        # RFC 6455, section 5.5: control frames are shorter.
        header = bytes([0x80 | opcode, 126 | (0x80 if peer.masks else 0)])
        peer.sock.sendall(header + len(data).to_bytes(2) + bytes(4 if peer.masks else 0) + data)
    else:
        peer.send(opcode, data)
    assert peer.receive_close().code == code
    peer.end()
    assert end.recv() == "before"
    exc = end.ended()
    assert type(exc) is ConnectionClosedError
    assert exc.sent.code == code


# Handlers and blocks


@feature("closing with a code and a reason")
def test_handler_returns(client_driver, server_driver, start_server, start_client):
    service = start_server(server_driver, lambda end: end.send("that's all"))
    client = start_client(client_driver, service.uri())
    assert client.messages() == ["that's all"]
    assert client.ended().rcvd == Close(1000, "")


@feature("closing with a code and a reason")
def test_handler_fails(client_driver, server_driver, start_server, start_client, expected_errors):
    def handler(end):
        raise ValueError("this handler is broken")

    service = start_server(server_driver, handler)
    client = start_client(client_driver, service.uri())
    assert client.ended().rcvd == Close(1011, "")
    expected_errors.append("connection handler failed")


@feature("handlers that may let the end of their connection through")
def test_handler_that_lets_the_end_of_its_connection_through_has_not_failed(
    client_driver, server_driver, start_server, start_client
):
    service = start_server(server_driver, lambda end: end.recv())
    client = start_client(client_driver, service.uri())
    client.close(4000, "bye")
    assert client.ended().rcvd == Close(4000, "bye")


@feature("closing with a code and a reason")
def test_block_of_the_client_ends(client_driver, server_driver, start_server, accepted):
    service = start_server(server_driver)
    connector = client_driver.connector(service.uri())
    client_driver.use(connector, lambda end: end.send("hello")).result(TIMEOUT)
    server = accepted.get(timeout=TIMEOUT)
    assert server.messages() == ["hello"]
    assert server.ended().rcvd == Close(1000, "")


@feature("telling the server of a failing client")
def test_block_of_the_client_fails(client_driver, server_driver, start_server, accepted):
    def body(end):
        raise ValueError("this client is broken")

    service = start_server(server_driver)
    using = client_driver.use(client_driver.connector(service.uri()), body)
    with pytest.raises(ValueError, match="this client is broken"):
        using.result(TIMEOUT)
    assert accepted.get(timeout=TIMEOUT).ended().rcvd == Close(1011, "")


# Servers


@feature("graceful shutdown")
def test_server_that_is_closed_closes_its_connections(
    client_driver, server_driver, start_server, start_client, accepted
):
    service = start_server(server_driver)
    client = start_client(client_driver, service.uri())
    server = accepted.get(timeout=TIMEOUT)
    server.send("before")
    stopping = service.start_stopping()
    assert client.recv() == "before"
    assert client.ended().rcvd == Close(1001, "")
    assert server.ended().sent == Close(1001, "")
    # It waits for the handler.
    assert not stopping.done()
    server.released.set()
    stopping.result(TIMEOUT)
    with pytest.raises(OSError, match=r"refused|failed|could not connect"):
        client_driver.connect(service.uri())


@feature("choosing the code of a shutdown")
def test_server_is_closed_with_a_code_and_a_reason(
    client_driver, server_driver, start_server, start_client, accepted, park
):
    service = start_server(server_driver)
    client = start_client(client_driver, service.uri())
    accepted.get(timeout=TIMEOUT)
    stopping = service.start_stopping(code=1012, reason="back soon")
    assert client.ended().rcvd == Close(1012, "back soon")
    park.release()
    stopping.result(TIMEOUT)


@feature("closing a server without its connections")
def test_server_that_is_closed_may_leave_its_connections(
    client_driver, server_driver, start_server, start_client, accepted, park
):
    service = start_server(server_driver)
    client = start_client(client_driver, service.uri())
    server = accepted.get(timeout=TIMEOUT)
    stopping = service.start_stopping(close_connections=False)
    client.send("after")
    assert server.recv() == "after"
    assert not stopping.done()
    park.release()
    assert client.ended().rcvd == Close(1000, "")
    stopping.result(TIMEOUT)


@feature("graceful shutdown")
def test_connection_that_is_about_to_open_is_refused(driver, start_server, stack, park):
    service = start_server(driver)
    peer = connect_raw(service, handshake=False)
    stack.callback(peer.sock.close)
    # Servers accept in order: the first is there when the second has been answered.
    other = connect_raw(service)
    stack.callback(other.sock.close)
    stopping = service.start_stopping()
    assert peer.receive_end().startswith(b"HTTP/1.1 503 ")
    assert other.receive_close() == Close(1001, "")
    other.send_close(1001)
    for sock in (peer.sock, other.sock):
        sock.close()
    park.release()
    stopping.result(TIMEOUT)


@feature("graceful shutdown")
def test_connection_that_never_answers_does_not_keep_a_server_from_closing(
    driver, start_server, accepted, stack, park
):
    service = start_server(driver, close_timeout=0.05)
    peer = connect_raw(service)
    stack.callback(peer.sock.close)
    server = accepted.get(timeout=TIMEOUT)
    stopping = service.start_stopping()
    assert peer.receive_close() == Close(1001, "")
    park.release()
    stopping.result(TIMEOUT)
    assert server.ended().sent == Close(1001, "")


@feature("graceful shutdown")
def test_connection_that_is_closing_ends_as_it_began(driver, start_server, accepted, stack, park):
    service = start_server(driver)
    peer = connect_raw(service)
    stack.callback(peer.sock.close)
    closing = accepted.get(timeout=TIMEOUT).start("close", 4000, "bye")
    assert peer.receive_close() == Close(4000, "bye")
    stopping = service.start_stopping()
    peer.send_close(4000, "bye")
    peer.end()
    closing.result(TIMEOUT)
    park.release()
    stopping.result(TIMEOUT)


@feature("graceful shutdown")
def test_server_can_be_closed_again_and_at_the_same_time(driver, start_server):
    service = start_server(driver)
    for stopping in [service.start_stopping() for _ in range(3)]:
        stopping.result(TIMEOUT)
    assert service.start_stopping().result(TIMEOUT) is None
