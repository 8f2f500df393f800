"""Messages, pings and closing: what both sides have in common."""

import asyncio
import logging
import uuid
import zlib

import pytest

from ws_legacy import WebSocketClientProtocol, WebSocketCommonProtocol, broadcast
from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    PayloadTooBig,
    ProtocolError,
)
from ws_protocol.frames import Close, serialize_frame
from ws_protocol.protocol import State

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

MASK = b"\0\0\0\0"


async def generate(items):
    for item in items:
        yield item


async def until(condition):
    """Let the event loop run until something is true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what tells of it would be private
            await asyncio.sleep(0)


# Attributes


async def test_attributes_of_an_open_connection(pair):
    async with pair(path="/p?x=1") as (client, server):
        for websocket in (client, server):
            assert websocket.open
            assert not websocket.closed
            assert websocket.state is State.OPEN
            assert websocket.close_code is None
            assert websocket.close_reason is None
            assert websocket.path == "/p?x=1"
            assert websocket.request_headers["Upgrade"] == "websocket"
            assert "Sec-WebSocket-Accept" in websocket.response_headers
            assert websocket.subprotocol is None
            assert len(websocket.extensions) == 1
            assert websocket.latency == 0
            assert isinstance(websocket.id, uuid.UUID)
            assert websocket.loop is asyncio.get_running_loop()
            assert not websocket.messages
            assert not websocket.close_connection_task.done()
            assert not websocket.transfer_data_task.done()
            assert websocket.transfer_data_exc is None
            assert (websocket.max_size, websocket.max_queue) == (2**20, 32)
            assert (websocket.read_limit, websocket.write_limit) == (2**16, 2**16)
            assert (websocket.ping_interval, websocket.ping_timeout) == (20, 20)
            assert websocket.close_timeout == 10
        assert (client.is_client, client.side) == (True, "client")
        assert (server.is_client, server.side) == (False, "server")
        assert client.local_address == server.remote_address
        assert client.remote_address == server.local_address


async def test_attributes_of_a_closed_connection(pair):
    async with pair() as (client, server):
        task = client.close_connection_task
        await client.close(4000, "bye")
        await server.wait_closed()
        await task
        for websocket in (client, server):
            assert not websocket.open
            assert websocket.closed
            assert websocket.state is State.CLOSED
            assert (websocket.close_code, websocket.close_reason) == (4000, "bye")
            assert websocket.close_rcvd == websocket.close_sent == Close(4000, "bye")
        assert client.close_rcvd_then_sent is False
        assert server.close_rcvd_then_sent is True


async def test_connection_before_it_is_made():
    websocket = WebSocketClientProtocol()
    assert not websocket.open
    assert not websocket.closed
    assert websocket.state is State.CONNECTING
    assert websocket.local_address is None
    assert websocket.remote_address is None
    for method in ("recv", "ensure_open", "ping", "pong", "close"):
        with pytest.raises(InvalidState, match=r"^WebSocket connection isn't established yet$"):
            await getattr(websocket, method)()
    with pytest.raises(InvalidState):
        await websocket.send("")
    websocket.fail_connection()


async def test_common_protocol_opens_when_it_is_told():
    websocket = WebSocketCommonProtocol(ping_interval=None)
    assert websocket.side == "undefined"
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with server:
        await asyncio.get_running_loop().create_connection(
            lambda: websocket, *server.sockets[0].getsockname()
        )
        websocket.connection_open()
        assert websocket.open
        websocket.fail_connection()
        await websocket.wait_closed()


async def test_id_can_be_set(pair):
    async with pair() as (client, server):
        assert client.id != server.id
        client.id = name = uuid.uuid4()
        assert client.id == name


async def test_logger_adds_the_connection(pair, caplog):
    caplog.set_level(logging.DEBUG)
    async with pair() as (client, server):
        await client.send("Hello!")
        await server.recv()
        assert client.logger.extra == {"websocket": client}
    assert client.logger.extra == {"websocket": client}
    frames = [record for record in caplog.records if "Hello!" in record.getMessage()]
    assert [(record.name, record.websocket) for record in frames] == [
        ("websockets.client", client),
        ("websockets.server", server),
    ]
    assert {record.name for record in caplog.records if "sockets" in record.name} == {
        "websockets.client",
        "websockets.server",
    }


async def test_logger_can_be_set(pair):
    logger = logging.getLogger("mine")
    async with pair() as (client, _):
        client.logger = logger
        assert client.logger is logger


# Receiving


@pytest.mark.parametrize("message", ["text", "é" * 70000, b"bytes", b"\0" * 70000, "", b""])
async def test_message_goes_both_ways(pair, message):
    async with pair() as (client, server):
        await client.send(message)
        assert await server.recv() == message
        await server.send(message)
        assert await client.recv() == message


async def test_recv_refuses_while_another_task_receives(pair):
    async with pair() as (client, server):
        task = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError) as raised:
            await client.recv()
        assert str(raised.value) == (
            "cannot call recv while another coroutine is already waiting for the next message"
        )
        await server.send("a")
        assert await task == "a"


async def test_cancelled_recv_loses_nothing(pair):
    async with pair() as (client, server):
        task = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        await server.send(["a", "b"])
        await until(lambda: client.messages)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.recv() == "ab"


@pytest.mark.parametrize("closer", ["client", "server"])
async def test_messages_that_arrived_are_received_after_closing(pair, closer):
    async with pair() as (client, server):
        await server.send("a")
        await server.send("b")
        await until(lambda: len(client.messages) == 2)
        await {"client": client, "server": server}[closer].close(1001)
        assert [await client.recv(), await client.recv()] == ["a", "b"]
        with pytest.raises(ConnectionClosedOK):
            await client.recv()


async def test_iterator_ends_when_the_connection_is_closed_normally(pair):
    async with pair() as (client, server):
        await server.send("a")
        await server.send(b"b")
        await server.close()
        assert [message async for message in client] == ["a", b"b"]


@pytest.mark.parametrize("max_queue", [4, None])
async def test_iterator_gives_many_messages_that_wait_in_order(pair, max_queue):
    messages = [str(i) for i in range(1000)]
    async with pair(client={"max_queue": max_queue}) as (client, server):
        for message in messages:
            await server.send(message)
        closing = asyncio.create_task(server.close())
        await until(lambda: len(client.messages) > 4)
        assert [message async for message in client] == messages
        await closing


async def test_iterator_calls_recv_where_that_is_overridden(pair):
    class Protocol(WebSocketClientProtocol):
        async def recv(self):
            return f"class {await super().recv()}"

    async with pair(client={"create_protocol": Protocol}) as (client, server):
        for message in "abc":
            await server.send(message)
        # So that one could be taken without receiving.
        await until(lambda: len(client.messages) == 3)
        client.messages.extend("defghijklmnopqrstuvwxyz" * 2)
        assert await anext(aiter(client)) == "class a"

        async def recv():
            return f"instance {client.messages.popleft()}"

        client.recv = recv
        assert await anext(aiter(client)) == "instance b"


async def test_iterator_refuses_while_another_task_receives(pair):
    async with pair() as (client, server):
        task = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        client.messages.extend("a" * 100)
        with pytest.raises(RuntimeError, match=r"^cannot call recv while another coroutine"):
            await anext(aiter(client))
        client.messages.clear()
        await server.send("b")
        assert await task == "b"


async def test_iterator_raises_when_the_connection_is_closed_with_an_error(pair):
    async with pair() as (client, server):
        await server.close(1011)
        with pytest.raises(ConnectionClosedError):
            async for _ in client:
                pass


async def test_waiting_recv_is_told_of_closing(pair):
    async with pair() as (client, _):
        task = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        await client.close(3000, "x")
        with pytest.raises(ConnectionClosedError, match=r"^sent 3000 .* x; then received 3000"):
            await task


@pytest.mark.parametrize("max_queue, sent", [(1, 1000), (4, 1000)])
async def test_reading_pauses_when_more_than_max_queue_messages_wait(pair, max_queue, sent):
    # Large enough for several chunks, small enough for the buffers of the sockets.
    message = b"\0" * 5000
    async with pair(
        client={"max_queue": max_queue, "compression": None}, server={"compression": None}
    ) as (client, server):
        sender = asyncio.create_task(send_many(server, message, sent))
        await until(lambda: not client.transport.is_reading())
        assert max_queue < len(client.messages) < sent
        for _ in range(sent):
            assert await client.recv() == message
        await sender


async def test_reading_goes_on_while_no_more_than_max_queue_messages_wait(pair):
    async with pair(client={"max_queue": 4}) as (client, server):
        for count in range(1, 6):
            assert client.transport.is_reading()
            await server.send("a")
            await until(lambda count=count: len(client.messages) == count)
        assert not client.transport.is_reading()
        assert await client.recv() == "a"
        assert client.transport.is_reading()


async def send_many(websocket, message, count):
    for _ in range(count):
        await websocket.send(message)


@pytest.mark.parametrize("ending", ["abort", "close"])
async def test_messages_of_one_chunk_count(pair, ending):
    # Much more than is decoded at a time.
    count = 30000
    chunk = (b"\x81\x81" + MASK + b"a") * count
    async with pair(server={"max_queue": 4, "compression": None}) as (client, server):
        client.transport.write(chunk)
        await until(lambda: not server.transport.is_reading())
        assert 4 < len(server.messages) < 10000
        if ending == "abort":
            server.transport.abort()
            await server.wait_closed()
        else:
            closing = asyncio.create_task(client.close())
        # What was read before the connection ends isn't lost, however it ends.
        received = 0
        with pytest.raises(ConnectionClosed):
            while True:
                assert await server.recv() == "a"
                received += 1
        if ending == "abort":
            assert received >= 1000
        else:
            assert received == count
            await closing


@pytest.mark.parametrize("max_queue", [0, 2])
async def test_no_more_of_a_chunk_is_inflated_than_may_wait(pair, max_queue):
    compressor = zlib.compressobj(wbits=-15)
    payload = compressor.compress(bytes(100_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    frame = serialize_frame(0xC2, payload[:-4], True)
    async with pair(server={"max_queue": max_queue}) as (client, server):
        client.transport.write(frame * 500)
        await until(lambda: not server.transport.is_reading())
        assert max_queue < len(server.messages) < 60
        server.transport.abort()
        await server.wait_closed()
        received = 0
        while server.messages:
            assert await server.recv() == bytes(100_000)
            received += 1
            assert len(server.messages) < 60
        # Those that had arrived: nothing of them is lost.
        assert received > 60


async def test_fragments_between_messages_do_not_stop_reading(pair):
    chunk = b"".join(serialize_frame(head, b"a", True) for head in [0x82, 0x02, *[0x00] * 20, 0x80])
    async with pair(server={"max_queue": 4}) as (client, server):
        client.transport.write(chunk * 300)
        for _ in range(300):
            assert await server.recv() == b"a"
            assert await server.recv() == b"a" * 22


async def test_max_queue_counts_messages_not_fragments(pair):
    async with pair(client={"max_queue": 1}) as (client, server):
        await server.send(["a"] * 100)
        assert await client.recv() == "a" * 100


async def test_max_queue_may_be_none(pair):
    async with pair(client={"max_queue": None}) as (client, server):
        for _ in range(100):
            await server.send("a")
        await until(lambda: len(client.messages) == 100)
        assert client.transport.is_reading()


# Sending


async def test_send_accepts_all_kinds_of_messages(pair):
    async with pair() as (client, server):
        for message, received in [
            (bytearray(b"a"), b"a"),
            (memoryview(b"abcd")[::2], b"ac"),
            (["a", "b"], "ab"),
            ((b"a", bytearray(b"b")), b"ab"),
            (generate(["a", "b"]), "ab"),
            (generate([b"a"]), b"a"),
        ]:
            await client.send(message)
            assert await server.recv() == received
        await client.send([])
        await client.send(generate([]))
        await client.send("last")
        assert await server.recv() == "last"


@pytest.mark.parametrize(
    "make",
    [lambda: 1, lambda: None, lambda: {"a": 1}, lambda: [1], lambda: generate([1]), object],
    ids=["int", "none", "mapping", "iterable", "async", "object"],
)
async def test_send_refuses_what_is_no_message(pair, make):
    async with pair() as (client, server):
        with pytest.raises(TypeError):
            await client.send(make())
        await client.send("fine")
        assert await server.recv() == "fine"


@pytest.mark.parametrize("make", [list, generate], ids=["iterable", "async"])
async def test_error_in_the_middle_of_a_message_fails_the_connection(pair, make):
    async with pair() as (client, server):
        with pytest.raises(TypeError):
            await client.send(make(["a", b"b"]))
        with pytest.raises(ConnectionClosedError, match="received 1011"):
            await server.recv()


async def test_cancelling_in_the_middle_of_a_message_fails_the_connection(pair):
    async def endless():
        yield "a"
        await asyncio.get_running_loop().create_future()

    async with pair() as (client, server):
        task = asyncio.create_task(client.send(endless()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionClosedError, match="received 1011"):
            await server.recv()


async def test_send_waits_for_the_end_of_a_fragmented_message(pair):
    go_on = asyncio.Event()

    async def slow():
        yield "a"
        await go_on.wait()
        yield "b"

    async with pair() as (client, server):
        first = asyncio.create_task(client.send(slow()))
        await asyncio.sleep(0)
        second = asyncio.create_task(client.send("c"))
        await asyncio.sleep(0.01)
        assert not second.done()
        go_on.set()
        assert [await server.recv(), await server.recv()] == ["ab", "c"]
        await asyncio.gather(first, second)


async def test_end_of_a_fragmented_message_wakes_who_is_next(pair, monkeypatch):
    async with pair() as (client, server):
        woken = []
        ensure_open = server.ensure_open

        async def count():
            woken.append(asyncio.current_task())
            await ensure_open()

        async def two(number):
            yield f"{number}-"
            await asyncio.sleep(0)
            yield "b"

        monkeypatch.setattr(server, "ensure_open", count)
        tasks = [asyncio.create_task(server.send(two(number))) for number in range(20)]
        for number in range(20):
            assert await client.recv() == f"{number}-b"
        await asyncio.gather(*tasks)
        # For each of their frames, and once more for those that waited.
        assert len(woken) == 20 * 3 + 19


async def test_task_that_is_cancelled_at_its_turn_gives_it_to_the_next(pair):
    async with pair() as (client, server):
        ending = asyncio.Event()

        async def fragments():
            yield "a"
            await ending.wait()

        async def send_and_cancel():
            await server.send(fragments())
            # The first was woken, and hasn't run.
            tasks[0].cancel()
            tasks[1].cancel()

        sending = asyncio.create_task(send_and_cancel())
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(server.send(message)) for message in "1234"]
        await asyncio.sleep(0)
        ending.set()
        for message in "a34":
            assert await client.recv() == message
        await asyncio.gather(sending, *tasks, return_exceptions=True)


async def test_sender_of_fragments_is_told_that_the_connection_is_lost(pair):
    go_on = asyncio.Event()

    async def slow():
        yield "a"
        await go_on.wait()
        yield "b"

    async with pair() as (client, _):
        first = asyncio.create_task(client.send(slow()))
        await asyncio.sleep(0)
        second = asyncio.create_task(client.send("c"))
        await asyncio.sleep(0)
        client.transport.abort()
        with pytest.raises(ConnectionClosed):
            await second
        go_on.set()
        with pytest.raises(ConnectionClosed):
            await first


async def test_send_waits_while_the_peer_does_not_read(pair):
    message = b"\0" * 2**24
    async with pair(
        client={"write_limit": 1024, "compression": None},
        server={"compression": None, "max_size": None},
    ) as (client, server):
        server.transport.pause_reading()
        task = asyncio.create_task(client.send(message))
        await asyncio.sleep(0.01)
        assert not task.done()
        pong_waiter = asyncio.create_task(client.ping())
        pong = asyncio.create_task(client.pong())
        await asyncio.sleep(0)
        server.transport.resume_reading()
        assert await server.recv() == message
        await asyncio.gather(task, pong, await pong_waiter)


async def test_send_that_waits_is_told_that_the_connection_is_lost(pair):
    async with pair(
        client={"write_limit": 1024, "compression": None, "max_size": None},
        server={"compression": None, "max_size": None},
    ) as (client, server):
        server.transport.pause_reading()
        task = asyncio.create_task(client.send(b"\0" * 2**24))
        cancelled = asyncio.create_task(client.send("a"))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        client.transport.abort()
        with pytest.raises(ConnectionClosedError):
            await task
        server.transport.abort()


async def test_send_without_a_pause_notices_that_the_connection_is_lost(pair):
    async with pair(client={"compression": None}) as (client, server):
        server.transport.abort()
        with pytest.raises(ConnectionClosedError):
            async with asyncio.timeout(10):
                while True:
                    await client.send(b"\0" * 100000)


@pytest.mark.parametrize("method", ["send", "ping", "pong"])
async def test_methods_refuse_when_the_connection_is_closed(pair, method):
    async with pair() as (client, server):
        await server.close()
        with pytest.raises(ConnectionClosedOK):
            await getattr(client, method)("")
        with pytest.raises(ConnectionClosedOK):
            await client.ensure_open()


# Pings


async def test_ping_gives_the_latency(pair):
    async with pair() as (client, _):
        pong_waiter = await client.ping()
        latency = await pong_waiter
        # uvloop's clock counts in milliseconds.
        assert 0 <= latency == client.latency < 10
        await (await client.ping("text"))
        await (await client.ping(b"bytes"))


async def test_later_pong_answers_earlier_pings(pair):
    async with pair() as (client, server):
        server.transport.pause_reading()
        first, second = await client.ping(), await client.ping()
        first.cancel()
        third = await client.ping("x")
        with pytest.raises(RuntimeError, match=r"^already waiting for a pong with the same data$"):
            await client.ping("x")
        server.transport.resume_reading()
        await asyncio.gather(second, third)


async def test_ping_is_told_that_the_connection_is_lost(pair):
    async with pair() as (client, server):
        server.transport.pause_reading()
        cancelled = await client.ping()
        cancelled.cancel()
        pong_waiter = await client.ping()
        client.transport.abort()
        with pytest.raises(ConnectionClosedError, match=r"^no close frame received or sent$"):
            await pong_waiter
        server.transport.abort()


@pytest.mark.parametrize("method", ["ping", "pong"])
async def test_payload_of_control_frames_is_checked(pair, method):
    async with pair() as (client, _):
        with pytest.raises(ProtocolError, match="control frame too long"):
            await getattr(client, method)("a" * 126)
        with pytest.raises(TypeError, match="data must be str or bytes-like"):
            await getattr(client, method)(1)


async def test_keepalive_sends_pings(pair, caplog):
    caplog.set_level(logging.DEBUG, "websockets.client")
    async with pair(client={"ping_interval": 0.01}):
        await until(lambda: "< PONG" in caplog.text)


async def test_no_interval_is_no_keepalive(pair, caplog):
    caplog.set_level(logging.DEBUG)
    settings = {"ping_interval": 0}
    async with pair(settings, settings) as (client, server):
        assert client.ping_interval == server.ping_interval == 0
        await client.send("hello")
        assert await server.recv() == "hello"
    assert "PING" not in caplog.text


async def test_keepalive_gives_up_a_peer_that_is_silent(pair):
    async with pair(
        client={"ping_interval": 0.01, "ping_timeout": 0.01, "close_timeout": 0.01}
    ) as (
        client,
        server,
    ):
        server.transport.pause_reading()
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert client.close_sent == Close(1011, "keepalive ping timeout")
        assert client.close_code == 1006
        assert isinstance(raised.value.__cause__, TimeoutError)
        server.transport.abort()


# Closing


async def test_close_gives_up_waiting_for_the_peer(pair):
    async with pair(client={"close_timeout": 0.01}) as (client, server):
        server.transport.pause_reading()
        await client.close(1000, "bye")
        assert (client.close_code, client.close_reason) == (1006, "")
        assert client.close_sent == Close(1000, "bye")
        server.transport.abort()


async def test_close_can_be_called_again_and_cancelled(pair):
    async with pair() as (client, server):
        server.transport.pause_reading()
        task = asyncio.create_task(client.close())
        await asyncio.sleep(0.01)
        assert client.state is State.CLOSING
        assert not client.open
        assert client.close_code is None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.transport.resume_reading()
        await client.close(1001)
        await client.close()
        assert client.close_code == 1000


@pytest.mark.parametrize("code, reason", [(999, ""), (1005, ""), (1006, ""), (1000, "a" * 124)])
async def test_close_refuses_what_cannot_be_sent(pair, code, reason):
    async with pair() as (client, _):
        with pytest.raises(ProtocolError):
            await client.close(code, reason)
        assert client.open


async def test_close_in_the_middle_of_a_message_fails_the_connection(pair):
    async def endless():
        yield "a"
        await asyncio.get_running_loop().create_future()

    async with pair() as (client, server):
        task = asyncio.create_task(client.send(endless()))
        await asyncio.sleep(0.01)
        await client.close()
        assert server.close_rcvd is None or server.close_rcvd.code == 1011
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_fail_connection_with_a_code_sends_it(pair):
    async with pair() as (client, server):
        client.fail_connection(1011, "oops")
        with pytest.raises(ConnectionClosedError, match=r"received 1011 .* oops"):
            await server.recv()


async def test_fail_connection_without_a_code_closes_the_tcp_connection(pair):
    async with pair() as (client, server):
        client.fail_connection()
        for websocket in (client, server):
            with pytest.raises(ConnectionClosedError, match=r"^no close frame received or sent$"):
                await websocket.recv()


async def test_peer_that_vanishes_is_the_cause(pair):
    async with pair() as (client, server):
        server.transport.abort()
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert raised.value.__cause__ is not None
        assert (client.close_code, client.close_reason) == (1006, "")


@pytest.mark.parametrize(
    "data, code, cause",
    [
        (b"\x81\x01a", 1002, ProtocolError),
        (b"\x83\x80" + MASK, 1002, ProtocolError),
        (b"\x88\x81" + MASK + b"a", 1002, ProtocolError),
        (b"\x81\x81" + MASK + b"\xff", 1007, UnicodeDecodeError),
        (b"\x82\xff\0\0\0\0\xff\0\0\0" + MASK, 1009, PayloadTooBig),
    ],
)
async def test_mistake_of_the_peer_is_the_cause(pair, data, code, cause):
    async with pair() as (client, server):
        client.transport.write(data)
        with pytest.raises(ConnectionClosedError) as raised:
            await server.recv()
        assert isinstance(raised.value.__cause__, cause)
        assert isinstance(server.transfer_data_exc, cause)
        assert server.close_sent.code == code
        assert server.close_code == 1006


@pytest.mark.parametrize("sent", ["a" * 1001, ["a" * 501, "a" * 501]], ids=["frame", "fragments"])
async def test_max_size_holds_while_inflating(pair, sent):
    async with pair(server={"max_size": 1000}) as (client, server):
        await client.send(sent)
        with pytest.raises(ConnectionClosedError):
            await server.recv()
        assert server.close_sent.code == 1009


# TLS


async def test_connection_over_tls(pair, server_tls, client_tls):
    async with pair(client={"ssl": client_tls}, server={"ssl": server_tls}) as (client, server):
        await client.send("Hello!")
        assert await server.recv() == "Hello!"
        await server.close(1001, "bye")
        with pytest.raises(ConnectionClosedOK, match=r"received 1001 .* bye"):
            await client.recv()


# broadcast()


@pytest.mark.parametrize("message", ["text", b"bytes", bytearray(b"bytes")])
async def test_broadcast_sends_to_all_that_are_open(pair, message):
    async with pair() as (client, server), pair() as (other, closed):
        await other.close()
        await closed.wait_closed()
        broadcast([server, closed, WebSocketClientProtocol()], message)
        assert await client.recv() == message


@pytest.mark.parametrize("message", [1, ["a"], None])
async def test_broadcast_refuses_what_is_no_message(message):
    with pytest.raises(TypeError, match=r"^data must be str or bytes-like, not "):
        broadcast([], message)


async def test_broadcast_skips_connections_that_send_fragments(pair, records):
    go_on = asyncio.Event()

    async def slow():
        yield "a"
        await go_on.wait()

    async with pair() as (client, server):
        task = asyncio.create_task(server.send(slow()))
        await asyncio.sleep(0.01)
        broadcast({server}, "b")
        assert ("WARNING", "skipped broadcast: sending a fragmented message") in records(
            "websockets.server"
        )
        with pytest.raises(ExceptionGroup, match=r"^skipped broadcast") as raised:
            broadcast({server}, "b", raise_exceptions=True)
        (exception,) = raised.value.exceptions
        assert isinstance(exception, RuntimeError)
        go_on.set()
        await task
        assert await client.recv() == "a"


async def test_transport_is_not_given_more_and_more_while_the_peer_does_not_read(pair):
    async with pair(
        server={"max_queue": 1, "compression": None, "write_limit": 2**16}, client={"max_queue": 1}
    ) as (client, server):
        messages = [b"%d" % number + bytes(2**15) for number in range(1000)]
        for message in messages:
            broadcast([server], message)
        assert server.get_buffer_size() > 2**20
        assert server._transport.get_write_buffer_size() < 2**18
        for message in messages:
            assert await client.recv() == message
        assert server.get_buffer_size() == 0


@pytest.mark.parametrize("slow", ["skip", "close"])
async def test_broadcast_leaves_out_or_closes_who_does_not_read(pair, slow):
    async with pair(server={"max_queue": 1, "compression": None}, client={"max_queue": 1}) as (
        client,
        server,
    ):
        # More than fits in the buffers of the sockets.
        for _ in range(1000):
            broadcast([server], bytes(2**15), max_buffer=2**17, slow=slow)
            assert server.transport.get_write_buffer_size() < 2**18
        assert server.open is (slow == "skip")
        received = 0
        closing = None
        with pytest.raises(ConnectionClosed) as raised:
            while True:
                if received == 10 and slow == "skip":
                    closing = asyncio.create_task(server.close())
                assert await client.recv() == bytes(2**15)
                received += 1
        assert 10 < received < 1000
        assert raised.value.rcvd.code == (1008 if slow == "close" else 1000)
        if closing is not None:
            await closing


async def test_broadcast_checks_what_to_do_first(pair):
    async with pair() as (_, server):
        with pytest.raises(ValueError, match="slow must be 'skip' or 'close', got 'drop'"):
            broadcast([server], "a", slow="drop")
