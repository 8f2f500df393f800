"""Connections over loopback sockets, on several event loops, with and without TLS."""

import asyncio
import contextlib
import itertools
import socket
import struct
import sys

import pytest

from ws_asyncio import broadcast, connect, serve
from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    ProtocolError,
)
from ws_protocol.frames import Close, Frame, Opcode
from ws_protocol.http11 import Request
from ws_protocol.protocol import Side, State
from ws_protocol.server import ServerProtocol
from ws_protocol.uri import parse_uri

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

# What takes that long has failed.
LIMIT = 20


@pytest.fixture(params=["plain", "tls"])
def pair(request, get_uri, server_tls, client_tls):
    """Return an asynchronous context manager: a client and its connection at the server, with some
    arguments."""
    tls = request.param == "tls"

    @contextlib.asynccontextmanager
    async def pair(client_kwargs=None, server_kwargs=None, **kwargs):
        accepted = asyncio.Queue()

        async def handler(connection):
            accepted.put_nowait(connection)
            await connection.wait_closed()

        async with (
            asyncio.timeout(LIMIT),
            serve(
                handler,
                "127.0.0.1",
                0,
                ssl=server_tls if tls else None,
                **kwargs | (server_kwargs or {}),
            ) as server,
            connect(
                get_uri(server, scheme="wss" if tls else "ws"),
                ssl=client_tls if tls else None,
                **kwargs | (client_kwargs or {}),
            ) as client,
        ):
            yield client, await accepted.get()

    return pair


class RawPeer:
    """A peer that does what a connection wouldn't, over a stream.

    Attributes:
        protocol: Its protocol.
        frames: Frames it received.

    """

    def __init__(self, reader, writer, protocol):
        self.reader = reader
        self.writer = writer
        self.protocol = protocol
        self.frames = []

    def flush(self):
        """Send what the protocol has to send."""
        for data in self.protocol.data_to_send():
            if data:
                self.writer.write(data)

    async def read(self):
        """Read what is there, and let the protocol see it; return whether there is more."""
        data = await self.reader.read(65536)
        if data:
            self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.protocol.send_response(self.protocol.accept(event))
            elif isinstance(event, Frame):
                self.frames.append(event)
        return bool(data)

    async def open(self):
        """Perform the opening handshake."""
        if self.protocol.side is Side.CLIENT:
            self.protocol.send_request(self.protocol.connect())
        while self.protocol.state is State.CONNECTING:
            self.flush()
            await self.read()
        self.flush()

    def send(self, *messages):
        for message in messages:
            self.protocol.send_text(message.encode())
        self.flush()

    def reset(self):
        """Close the TCP connection with a reset."""
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


@pytest.fixture(params=Side, ids=lambda side: f"{side.name.lower()} side")
def meet(request, start_tcp_server, open_tcp_connection, get_uri):
    """Return an asynchronous context manager: a connection of either side, with some arguments, and
    a :class:`RawPeer` on the other."""

    @contextlib.asynccontextmanager
    async def meet_server(**kwargs):
        accepted = asyncio.Queue()

        async def handler(connection):
            accepted.put_nowait(connection)
            await connection.wait_closed()

        async with (
            asyncio.timeout(LIMIT),
            serve(handler, "127.0.0.1", 0, compression=None, **kwargs) as server,
        ):
            # Nothing more than it reads, as far as that can be set.
            reader, writer = await open_tcp_connection(server, limit=1024)
            peer = RawPeer(reader, writer, ClientProtocol(parse_uri(get_uri(server))))
            await peer.open()
            yield await accepted.get(), peer
            peer.writer.transport.abort()

    @contextlib.asynccontextmanager
    async def meet_client(**kwargs):
        accepted = asyncio.Queue()
        done = asyncio.Event()

        async def talk(reader, writer):
            peer = RawPeer(reader, writer, ServerProtocol())
            await peer.open()
            accepted.put_nowait(peer)
            await done.wait()
            writer.transport.abort()

        port = await start_tcp_server(talk, limit=1024)
        try:
            async with (
                asyncio.timeout(LIMIT),
                connect(f"ws://127.0.0.1:{port}", compression=None, **kwargs) as connection,
            ):
                yield connection, await accepted.get()
                done.set()
        finally:
            done.set()

    return meet_server if request.param is Side.SERVER else meet_client


async def wait_closed(writer):
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def receive_all(connection):
    """Return all messages until the connection is closed."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(await connection.recv())
    return messages


# Messages

SIZES = [0, 1, 125, 126, 65535, 65536, 2**20]


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_of_all_sizes_arrive(pair, compression):
    async with pair(compression=compression, max_size=None) as sides:
        for sender, receiver in [sides, sides[::-1]]:
            messages = [kind * size for size in SIZES for kind in ["x", b"\x00"]]
            task = asyncio.create_task(receive_all(receiver))
            for message in messages:
                await sender.send(message)
            await sender.close()
            assert await task == messages
            break


async def test_messages_go_in_both_directions_at_once(pair):
    async def talk(connection):
        async def send():
            for i in range(300):
                await connection.send(f"message {i}")
                await connection.send([b"frag", b"ment ", str(i).encode()])

        task = asyncio.create_task(send())
        received = [await connection.recv() for _ in range(600)]
        await task
        return received

    async with pair() as sides:
        expected = [
            message for i in range(300) for message in (f"message {i}", f"fragment {i}".encode())
        ]
        assert await asyncio.gather(*map(talk, sides)) == [expected, expected]


@pytest.mark.slow
async def test_senders_wait_for_a_receiver_that_is_slow(pair):
    message = bytes(100_000)
    async with pair(compression=None, max_queue=4) as (client, server):
        for sender, receiver in [(client, server), (server, client)]:
            sent = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    while True:
                        await sender.send(message)
                        sent += 1
            # What the event loops and the system buffer, and no more.
            assert sent < 1000
            assert sender.transport.get_write_buffer_size() <= 2**15 + len(message) + 14
            for _ in range(sent):
                assert await receiver.recv() == message
            await sender.send("last")
            # The one that was cancelled was sent, or not.
            assert await receiver.recv() == "last"


async def test_large_messages_in_both_directions_do_not_block_one_another(pair):
    async def talk(connection):
        await connection.send(bytes(2**22))
        return len(await connection.recv())

    async with pair(compression=None, max_size=None) as sides:
        assert await asyncio.gather(*map(talk, sides)) == [2**22, 2**22]


async def test_timeouts_of_recv_lose_nothing(pair):
    async with pair() as (client, server):

        async def produce():
            for i in range(100):
                await server.send(["message ", str(i)])
                await asyncio.sleep(0)

        task = asyncio.create_task(produce())
        received, attempts = [], 0
        while len(received) < 100:
            attempts += 1
            receiving = asyncio.create_task(client.recv())
            for _ in range(attempts % 7):
                await asyncio.sleep(0)
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received.append(await receiving)
        await task
        assert received == [f"message {i}" for i in range(100)]


async def test_pings_are_answered(pair):
    async with pair() as sides:
        for connection in sides:
            pongs = [await connection.ping() for _ in range(50)]
            latencies = await asyncio.gather(*pongs)
            assert all(latency >= 0 for latency in latencies)
            assert connection.latency == latencies[-1]


async def test_addresses_of_both_sides_match(pair):
    async with pair() as (client, server):
        assert client.local_address == server.remote_address
        assert client.remote_address == server.local_address
        assert client.remote_address[0] == "127.0.0.1"


async def test_broadcast_reaches_clients(pair):
    async with pair() as (client, server):
        broadcast([server], "Hello")
        assert await client.recv() == "Hello"


# Closing


@pytest.mark.parametrize("closing", Side)
async def test_either_side_closes(pair, closing):
    async with pair() as (client, server):
        connection, peer = (client, server) if closing is Side.CLIENT else (server, client)
        await connection.send("last")
        await connection.close(3000, "done")
        assert await peer.recv() == "last"
        for side in [connection, peer]:
            with pytest.raises(ConnectionClosedError) as raised:
                await side.recv()
            assert raised.value.rcvd == raised.value.sent == Close(3000, "done")
            assert raised.value.rcvd_then_sent is (side is peer)
            assert raised.value.__cause__ is None
            assert (side.close_code, side.close_reason) == (3000, "done")
            assert side.state is State.CLOSED


async def test_both_sides_close_at_once(pair):
    async with pair() as sides:
        await asyncio.gather(*(side.close() for side in sides))
        for side in sides:
            with pytest.raises(ConnectionClosedOK):
                await side.recv()


@pytest.mark.parametrize("max_queue", [1, 16, None])
async def test_messages_sent_before_close_arrive(pair, max_queue):
    messages = [f"message {i}" for i in range(200)]
    async with pair(server_kwargs={"max_queue": max_queue}) as (client, server):
        for message in messages:
            await client.send(message)
        closing = asyncio.create_task(client.close())
        assert await receive_all(server) == messages
        await closing
        assert server.close_code == client.close_code == 1000


@pytest.mark.parametrize("closing", Side)
async def test_connection_closes_although_both_queues_are_full(pair, closing):
    async with pair(max_queue=1, close_timeout=LIMIT) as (client, server):
        for i in range(10):
            await client.send(str(i))
            await server.send(str(i))
        # Until both have stopped reading.
        while client.transport.is_reading() or server.transport.is_reading():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        connection, peer = (client, server) if closing is Side.CLIENT else (server, client)
        task = asyncio.create_task(connection.close())
        assert await receive_all(peer) == [str(i) for i in range(10)]
        await task
        received = await receive_all(connection)
        assert received == [str(i) for i in range(10)][: len(received)]
        assert received
        assert connection.close_code == peer.close_code == 1000


async def test_failure_while_sending_fragments_reaches_the_peer(pair):
    async with pair() as (client, server):
        with pytest.raises(TypeError):
            await client.send(["a", b"b"])
        with pytest.raises(ConnectionClosedError) as raised:
            await server.recv()
        assert raised.value.rcvd.code == 1011
        await client.wait_closed()


# Peers that behave badly


@pytest.mark.parametrize("max_queue", [1, 16])
@pytest.mark.parametrize("end", ["close frame", "end of stream", "reset"])
async def test_messages_that_arrived_before_the_end_are_received(meet, max_queue, end):
    messages = [f"message {i}" for i in range(100)]
    async with meet(max_queue=max_queue) as (connection, peer):
        peer.send(*messages)
        if end == "close frame":
            peer.protocol.send_close(1000)
            peer.flush()
            peer.writer.write_eof()
        elif end == "end of stream":
            peer.writer.write_eof()
        else:
            # Not before everything has left.
            await connection.recv()
            del messages[0]
            peer.reset()
        assert await receive_all(connection) == messages
        with pytest.raises(ConnectionClosed) as raised:
            await connection.recv()
        cause = {
            "close frame": type(None),
            "end of stream": EOFError,
            "reset": ConnectionError,
        }[end]
        assert isinstance(raised.value.__cause__, cause)
        assert connection.close_code == (1000 if end == "close frame" else 1006)


@pytest.mark.parametrize("closing", [True, False])
async def test_peer_that_resets_the_connection_ends_it(meet, closing):
    async with meet() as (connection, peer):
        if closing:
            task = asyncio.create_task(connection.close())
            await asyncio.sleep(0)
        peer.reset()
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        assert isinstance(raised.value.__cause__, ConnectionResetError)
        if closing:
            await task


async def test_sender_without_a_pause_notices_that_the_connection_is_lost(meet):
    async with meet() as (connection, peer):
        # Reading would notice it.
        connection.transport.pause_reading()
        peer.reset()
        await wait_closed(peer.writer)
        with pytest.raises(ConnectionClosedError) as raised:
            for _ in range(10_000):
                await connection.send(b"a")
        assert isinstance(raised.value.__cause__, ConnectionError)


async def test_sender_of_many_fragments_notices_that_the_connection_is_lost(meet):
    async with meet() as (connection, peer):
        connection.transport.pause_reading()
        peer.reset()
        await wait_closed(peer.writer)
        with pytest.raises(ConnectionClosedError):
            await connection.send(itertools.repeat(b"a", 10_000))


@pytest.mark.slow
@pytest.mark.parametrize("reads", [True, False])
async def test_peer_that_is_silent_can_not_delay_closing(meet, reads):
    async with meet(close_timeout=0.3) as (connection, _):
        if not reads:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    while True:
                        await connection.send(bytes(100_000))
        await connection.close()
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        assert isinstance(raised.value.__cause__, TimeoutError)
        assert raised.value.sent == Close(1000, "")
        assert raised.value.rcvd is None


@pytest.mark.slow
async def test_peer_that_does_not_answer_pings_is_given_up(meet):
    async with meet(ping_interval=0.1, ping_timeout=0.1, close_timeout=0.1) as (connection, peer):
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        assert raised.value.sent == Close(1011, "keepalive ping timeout")
        assert isinstance(raised.value.__cause__, TimeoutError)
        while await peer.read():
            pass
        opcodes = [frame.opcode for frame in peer.frames]
        assert opcodes[0] is Opcode.PING
        assert opcodes[-1] is Opcode.CLOSE


@pytest.mark.slow
async def test_peer_that_answers_pings_is_not_given_up_because_the_application_is_slow(pair):
    timings = {"ping_interval": 0.05, "ping_timeout": 0.1}
    async with pair(server_kwargs=timings, max_queue=1) as (client, server):
        for i in range(10):
            await client.send(str(i))
        await asyncio.sleep(0.4)
        assert server.state is State.OPEN
        assert [await server.recv() for _ in range(10)] == [str(i) for i in range(10)]
        await asyncio.sleep(0.2)
        assert server.state is State.OPEN


@pytest.mark.slow
async def test_peer_that_sends_pings_and_never_reads_can_not_fill_the_memory(meet):
    async with meet() as (connection, peer):
        # The system buffers less then.
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock = connection.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for _ in range(1000):
            peer.protocol.send_ping(b"x" * 125)
        data = b"".join(peer.protocol.data_to_send())
        for _ in range(10):
            peer.writer.write(data)
            await peer.writer.drain()
        assert connection.transport.get_write_buffer_size() < 2**16


async def test_peer_that_breaks_the_protocol_is_told(meet):
    async with meet() as (connection, peer):
        peer.writer.write(b"\xff\xff")
        while not peer.frames:
            await peer.read()
        # A client waits for the server to close the TCP connection.
        peer.writer.close()
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        assert isinstance(raised.value.__cause__, ProtocolError)
        assert raised.value.sent.code == 1002
        assert peer.protocol.close_rcvd.code == 1002


async def test_peer_that_closes_its_side_only_ends_the_connection(meet):
    async with meet() as (connection, peer):
        peer.writer.write_eof()
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        assert isinstance(raised.value.__cause__, EOFError)
        assert raised.value.rcvd is raised.value.sent is None
