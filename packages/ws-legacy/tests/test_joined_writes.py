"""What is sent in one turn of the event loop leaves together, and loses nothing by it."""

import asyncio
import contextlib

import pytest

from ws_legacy import broadcast, connect, serve
from ws_protocol.exceptions import ConnectionClosed, ConnectionClosedError

SIDES = pytest.mark.parametrize("side", ["client", "server"])


class CountingTransport:
    """A transport that remembers what is written to it, one by one."""

    def __init__(self, transport):
        self._transport = transport
        self.writes = []

    def write(self, data):
        self.writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name):
        return getattr(self._transport, name)


@pytest.fixture
def joined(pair):
    """Return an asynchronous context manager: a connection, the peer's, and the list of what the
    connection writes from now on. It takes a side and arguments of the connection."""

    @contextlib.asynccontextmanager
    async def joined(side="client", **arguments):
        async with pair(**{side: {"compression": None, **arguments}}) as (client, server):
            here, there = (client, server) if side == "client" else (server, client)
            transport = here.transport = CountingTransport(here.transport)
            # As if it had sent something already, of its own accord.
            here._writer.answered = True
            yield here, there, transport.writes

    return joined


async def receive(connection, count):
    return [await connection.recv() for _ in range(count)]


@SIDES
async def test_first_message_leaves_at_once_and_the_rest_of_the_turn_in_one_write(joined, side):
    async with joined(side) as (here, there, writes):
        for i in range(10):
            await here.send(str(i))
            assert len(writes) == 1
        await asyncio.sleep(0)
        assert len(writes) == 2
        assert await receive(there, 10) == [str(i) for i in range(10)]


@SIDES
async def test_answers_to_messages_that_arrived_together_leave_together(joined, side):
    async with joined(side) as (here, there, writes):
        for i in range(10):
            await there.send(str(i))
        while len(here.messages) < 10:  # noqa: ASYNC110  # what tells of it would be private
            await asyncio.sleep(0)
        async for message in here:
            await here.send(message)
            if message == "9":
                break
        assert writes == []
        await asyncio.sleep(0)
        assert len(writes) == 1
        assert await receive(there, 10) == [str(i) for i in range(10)]


@SIDES
async def test_messages_of_all_kinds_stay_in_order(joined, side):
    async with joined(side) as (here, there, _):
        await here.send("1")
        pong = await here.ping()
        await here.send(["2", "3"])
        await here.pong()
        await here.send(b"4")
        assert await receive(there, 3) == ["1", "23", b"4"]
        await pong


@SIDES
@pytest.mark.parametrize("limit", [0, 100])
async def test_so_much_that_whoever_sends_should_wait_is_not_kept_back(joined, side, limit):
    async with joined(side, write_limit=limit) as (here, there, writes):
        await here.send("first")
        await here.send("x" * (limit + 1))
        assert len(writes) == 2
        assert await receive(there, 2) == ["first", "x" * (limit + 1)]


async def test_write_limit_may_be_left_to_the_transport(joined):
    async with joined(write_limit=None) as (here, there, writes):
        await here.send("1")
        await here.send("x" * 10_000)
        assert len(writes) == 1
        await here.send("x" * 60_000)
        assert len(writes) == 2
        assert await receive(there, 3) == ["1", "x" * 10_000, "x" * 60_000]


async def test_message_before_the_last_is_cancelled_leaves_all_the_same(joined):
    async with joined() as (here, there, _):

        async def produce():
            await here.send("1")
            await here.send("2")
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(produce())
        assert await receive(there, 2) == ["1", "2"]


# With the end of the connection


@SIDES
@pytest.mark.parametrize(
    "end",
    [
        lambda websocket: websocket.close(),
        lambda websocket: websocket.fail_connection(1011),
        lambda websocket: websocket.fail_connection(),
        lambda websocket: websocket.transport.close(),
        lambda websocket: websocket.transport.write_eof(),
    ],
    ids=["close", "fail", "fail without a frame", "transport", "end of the stream"],
)
async def test_messages_leave_before_the_end_of_the_same_turn(joined, side, end):
    async with joined(side) as (here, there, _):
        await here.send("1")
        await here.send("2")
        ending = end(here)
        if ending is not None:
            await ending
        received = []
        with pytest.raises(ConnectionClosed):
            while True:
                received.append(await there.recv())
        assert received == ["1", "2"]


async def test_transport_that_somebody_looks_at_was_given_everything(joined):
    async with joined() as (here, there, writes):
        await here.send("1")
        await here.send("2")
        assert here.transport.get_write_buffer_size() == 0
        assert len(writes) == 2
        assert await receive(there, 2) == ["1", "2"]


async def test_nothing_is_written_after_the_connection_is_lost(joined):
    async with joined() as (here, there, writes):
        await here.send("1")
        await here.send("2")
        # Before the end of the turn comes.
        here._transport.abort()
        here.connection_lost(None)
        here.connection_lost = lambda exc: None
        await there.wait_closed()
        assert len(writes) == 1
        with pytest.raises(ConnectionClosedError):
            await here.send("3")


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_last_messages_of_a_handler_arrive():
    async def handler(websocket):
        for i in range(5):
            await websocket.send(str(i))

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/") as client:
            assert [message async for message in client] == [str(i) for i in range(5)]


# Without a turn


async def test_what_is_broadcast_leaves_at_once_each_time(joined):
    async with joined("server") as (here, there, writes):
        for i in range(3):
            broadcast([here], str(i))
        assert len(writes) == 3
        assert await receive(there, 3) == ["0", "1", "2"]
