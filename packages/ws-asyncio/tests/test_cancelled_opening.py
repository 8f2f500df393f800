"""Cancelling a client at every point of opening a connection."""

import asyncio
import contextlib
import gc
import ssl

import pytest

from ws_asyncio import ServerConnection, connect, serve
from ws_asyncio._dialing import TunnelProtocol

pytestmark = [
    pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"]),
    pytest.mark.slow,
]

# No way to connect takes as many rounds of the event loop.
MAX_ROUNDS = 1000


class Connections:
    """Counts the connections of a server."""

    def __init__(self):
        self.made = self.lost = 0
        self._changed = asyncio.Event()

    def create(self, protocol, server, **kwargs):
        outer = self

        class Counted(ServerConnection):
            def connection_made(self, transport):
                outer.made += 1
                super().connection_made(transport)

            def connection_lost(self, exc):
                super().connection_lost(exc)
                outer.lost += 1
                outer._changed.set()

        return Counted(protocol, server, **kwargs)

    async def all_lost(self):
        """Wait until all that were made are lost."""
        while self.lost < self.made:
            self._changed.clear()
            await self._changed.wait()


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def cancel_after(rounds, open_connection):
    """Cancel the opening of a connection after some rounds of the event loop; return whether it
    was open before."""
    task = asyncio.ensure_future(open_connection())
    for _ in range(rounds):
        await asyncio.sleep(0)
        if task.done():
            break
    task.cancel()
    try:
        connection = await task
    except asyncio.CancelledError:
        return False
    await connection.close()
    return True


async def check(open_connection, connections):
    """Cancel the opening of a connection after one round of the event loop, after two, and so on,
    until it succeeds."""
    before = asyncio.all_tasks()
    for rounds in range(MAX_ROUNDS):
        opened = await cancel_after(rounds, open_connection)
        # The server sees that the client is gone, and has no task left: else this would hang.
        await connections.all_lost()
        while asyncio.all_tasks() - before:
            await asyncio.wait(asyncio.all_tasks() - before)
        if opened:
            break
    else:
        pytest.fail("doesn't connect")
    assert rounds > 3
    # Sockets and transports that nobody closed complain when they are deleted.
    gc.collect()


@pytest.fixture
def connections():
    return Connections()


@pytest.fixture
async def server(request, connections, server_tls):
    """A server that never gives up clients by itself."""
    async with serve(
        echo,
        "127.0.0.1",
        0,
        ssl=server_tls if request.param == "wss" else None,
        create_connection=connections.create,
        open_timeout=None,
        close_timeout=None,
        ping_interval=None,
    ) as server:
        server.scheme = request.param
        yield server


both_schemes = pytest.mark.parametrize("server", ["ws", "wss"], indirect=True)


@both_schemes
async def test_opening_directly_can_be_cancelled(server, connections, get_uri):
    async def open_connection():
        return await connect(get_uri(server, scheme=server.scheme))

    await check(open_connection, connections)


@both_schemes
async def test_opening_by_a_context_manager_can_be_cancelled(server, connections, get_uri):
    async def open_connection():
        async with connect(get_uri(server, scheme=server.scheme)) as connection:
            return connection

    await check(open_connection, connections)


@both_schemes
async def test_opening_by_an_iterator_can_be_cancelled(server, connections, get_uri):
    async def open_connection():
        iterator = aiter(connect(get_uri(server, scheme=server.scheme)))
        async with contextlib.aclosing(iterator):
            return await anext(iterator)

    await check(open_connection, connections)


@both_schemes
async def test_opening_with_a_timeout_can_be_cancelled(server, connections, get_uri):
    async def open_connection():
        async with asyncio.timeout(3600):
            return await connect(get_uri(server, scheme=server.scheme))

    await check(open_connection, connections)


@pytest.mark.parametrize("proxy_scheme", ["http", "https", "socks5h", "socks4a"])
@both_schemes
async def test_opening_through_a_proxy_can_be_cancelled(
    server, connections, get_uri, start_proxy, proxy_scheme
):
    proxy = await start_proxy(proxy_scheme)

    async def open_connection():
        return await connect(get_uri(server, scheme=server.scheme), proxy=proxy.url)

    await check(open_connection, connections)


@both_schemes
async def test_opening_through_a_redirect_can_be_cancelled(
    connections, get_uri, server_tls, server
):
    async def open_connection():
        return await connect(get_uri(redirecting, scheme=server.scheme))

    def process_request(connection, request):
        response = connection.respond(302, "")
        response.headers["Location"] = get_uri(server, scheme=server.scheme)
        return response

    async with serve(
        echo,
        "127.0.0.1",
        0,
        ssl=server_tls if server.scheme == "wss" else None,
        process_request=process_request,
        create_connection=connections.create,
        open_timeout=None,
        close_timeout=None,
    ) as redirecting:
        await check(open_connection, connections)


async def test_proxy_that_does_not_say_goodbye_is_left_at_once(
    start_tcp_server, server_tls, monkeypatch
):
    gone = asyncio.Event()

    async def talk(reader, writer):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_tls.wrap_bio(incoming, outgoing, server_side=True)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(2**16):
                incoming.write(data)
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                writer.write(outgoing.read())
        gone.set()

    port = await start_tcp_server(talk)

    async def open_connection():
        # So long would event loops wait for the goodbye.
        await connect(
            "ws://localhost/", proxy=f"https://127.0.0.1:{port}", proxy_ssl_shutdown_timeout=3600
        )

    task = asyncio.ensure_future(open_connection())
    connection_made = TunnelProtocol.connection_made

    def cancel(self, transport):
        connection_made(self, transport)
        task.cancel()

    monkeypatch.setattr(TunnelProtocol, "connection_made", cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60):
        await gone.wait()
