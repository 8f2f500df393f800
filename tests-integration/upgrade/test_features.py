"""New features and improvements: what the original implementation couldn't do, or did otherwise."""

import asyncio
import contextlib
import http
import itertools
import socket
import urllib.parse

import pytest

import websockets
from websockets.asyncio.client import connect, process_exception
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import InvalidStatus

# Customizing automatic reconnection


@pytest.fixture
async def start_unwilling_server(get_uri):
    """Return a coroutine function that starts a server which refuses its first clients, and returns
    its URI. It takes the status codes of its responses."""

    async with contextlib.AsyncExitStack() as stack:

        async def start_unwilling_server(*statuses):
            remaining = iter(statuses)

            def process_request(connection, request):
                status = next(remaining, None)
                return None if status is None else connection.respond(status, "Not now.\n")

            async def handler(connection):
                await connection.send("Welcome!")

            server = serve(handler, "127.0.0.1", 0, process_request=process_request)
            return get_uri(await stack.enter_async_context(server))

        yield start_unwilling_server


def no_delays():
    """Return the delays between attempts to connect."""
    return itertools.repeat(0)


@pytest.fixture
def _no_original_delays(monkeypatch):
    """Let the original implementation reconnect at once."""
    monkeypatch.setattr(websockets.connect, "BACKOFF_INITIAL", 0)
    monkeypatch.setattr(websockets.connect, "BACKOFF_MIN", 0)


async def receive_first(connections):
    """Return the first message of a connection, when one is established."""
    async with contextlib.aclosing(aiter(connections)) as connections:
        async for websocket in connections:
            message = await websocket.recv()
            break
    return message


@pytest.mark.usefixtures("_no_original_delays")
async def test_original_retried_on_any_error(start_unwilling_server):
    uri = await start_unwilling_server(http.HTTPStatus.FORBIDDEN, http.HTTPStatus.NOT_FOUND)
    assert await receive_first(websockets.connect(uri)) == "Welcome!"

    uri = await start_unwilling_server(http.HTTPStatus.FORBIDDEN, http.HTTPStatus.NOT_FOUND)
    with pytest.raises(InvalidStatus) as excinfo:
        await receive_first(connect(uri, reconnect_delays=no_delays))
    assert excinfo.value.response.status_code == http.HTTPStatus.FORBIDDEN


@pytest.mark.usefixtures("_no_original_delays")
async def test_server_errors_are_retryable(start_unwilling_server):
    retryable = [500, 502, 503, 504]
    uri = await start_unwilling_server(*retryable)
    assert await receive_first(websockets.connect(uri)) == "Welcome!"

    uri = await start_unwilling_server(*retryable)
    assert await receive_first(connect(uri, reconnect_delays=no_delays)) == "Welcome!"

    for status in [400, 401, 403, 404, 501, 505]:
        uri = await start_unwilling_server(status)
        with pytest.raises(InvalidStatus):
            await receive_first(connect(uri, reconnect_delays=no_delays))


@pytest.mark.usefixtures("_no_original_delays")
async def test_network_errors_are_retryable(start_unwilling_server, get_uri):
    """Both retry when the connection is refused, and when it is lost in the opening handshake."""
    uri = await start_unwilling_server()
    target = urllib.parse.urlsplit(uri)
    attempts = 0

    async def drop_or_forward(reader, writer):
        nonlocal attempts
        attempts += 1
        if attempts % 3:
            writer.close()
            await writer.wait_closed()
            return
        target_reader, target_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(forward(reader, target_writer), forward(target_reader, writer))

    async def forward(reader, writer):
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    forwarder = await asyncio.start_server(drop_or_forward, "127.0.0.1", 0)
    async with forwarder:
        uri = get_uri(forwarder)
        assert await receive_first(websockets.connect(uri)) == "Welcome!"
        assert attempts == 3
        assert await receive_first(connect(uri, reconnect_delays=no_delays)) == "Welcome!"
        assert attempts == 6

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"ws://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(ConnectionRefusedError) as excinfo:
            await connect(uri)
        assert process_exception(excinfo.value) is None


async def test_process_exception_customizes_what_is_retryable(start_unwilling_server):
    """There isn't such an argument in the original implementation."""
    errors = []

    def retry_on_not_found(exc):
        errors.append(exc.response.status_code)
        return None if exc.response.status_code == 404 else exc

    uri = await start_unwilling_server(404, 404, 503)
    with pytest.raises(InvalidStatus):
        await receive_first(
            connect(uri, process_exception=retry_on_not_found, reconnect_delays=no_delays)
        )
    assert errors == [404, 404, 503]

    with pytest.raises(TypeError, match="process_exception"):
        await websockets.connect(uri, process_exception=retry_on_not_found)


@pytest.mark.usefixtures("_no_original_delays")
async def test_process_exception_reverts_to_retrying_on_any_error(start_unwilling_server):
    """It returns an exception to raise it, and None to try again."""
    uri = await start_unwilling_server(403, 404)
    assert await receive_first(websockets.connect(uri)) == "Welcome!"

    uri = await start_unwilling_server(403, 404)
    connections = connect(uri, process_exception=lambda exc: None, reconnect_delays=no_delays)
    assert await receive_first(connections) == "Welcome!"

    # With what it returns here, it raises even those that are retryable by default.
    uri = await start_unwilling_server(503)
    with pytest.raises(InvalidStatus):
        connections = connect(uri, process_exception=lambda exc: exc, reconnect_delays=no_delays)
        await receive_first(connections)


# Tracking open connections


async def test_connections_of_a_server(get_uri):
    connections = set()

    async def register(websocket):
        connections.add(websocket)
        try:
            await websocket.wait_closed()
        finally:
            connections.remove(websocket)

    async with websockets.serve(register, "127.0.0.1", 0) as server:
        assert not hasattr(server, "connections")
        async with websockets.connect(get_uri(server)) as websocket:
            websockets.broadcast(connections, "Hello!")
            assert await websocket.recv() == "Hello!"
    assert connections == set()

    async def handler(websocket):
        await websocket.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        assert server.connections == set()
        async with connect(get_uri(server)) as websocket, connect(get_uri(server)) as other:
            addresses = {connection.remote_address for connection in server.connections}
            assert addresses == {websocket.local_address, other.local_address}
            broadcast(server.connections, "Hello!")
            assert await websocket.recv() == "Hello!"
            assert await other.recv() == "Hello!"
        assert server.connections == set()


# Controlling UTF-8 decoding


async def test_text_without_decoding(echo, get_uri):
    text = "Käse ☕"
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            await websocket.send(text)
            assert (await websocket.recv()).encode() == text.encode()
            with pytest.raises(TypeError, match="decode"):
                await websocket.recv(decode=False)

    async with serve(echo, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as websocket:
            await websocket.send(text)
            assert await websocket.recv() == text
            await websocket.send(text)
            assert await websocket.recv(decode=False) == text.encode()


async def test_binary_with_decoding(echo, get_uri):
    data = "Käse ☕".encode()
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            await websocket.send(data)
            assert (await websocket.recv()).decode() == data.decode()
            with pytest.raises(TypeError, match="decode"):
                await websocket.recv(decode=True)

    async with serve(echo, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as websocket:
            await websocket.send(data)
            assert await websocket.recv() == data
            await websocket.send(data)
            assert await websocket.recv(decode=True) == data.decode()


# Receiving fragmented messages


async def test_fragmented_messages_frame_by_frame(accepted, handler, get_uri):
    fragments = ["one ", "two ", "three"]

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            await websocket.send(fragments)
            server_side = await accepted.get()
            assert await server_side.recv() == "one two three"
            assert not hasattr(server_side, "recv_streaming")

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as websocket:
            await websocket.send(fragments)
            await websocket.send(fragments)
            server_side = await accepted.get()
            assert await server_side.recv() == "one two three"
            received = [fragment async for fragment in server_side.recv_streaming()]
            # An empty fragment may end the message.
            assert [fragment for fragment in received if fragment] == fragments


async def test_fragments_are_received_before_the_message_is_complete(accepted, handler, get_uri):
    async def fragments(received):
        yield "one"
        await received
        yield "two"

    def send(websocket):
        """Send the second fragment when the first one was received."""
        received = asyncio.get_running_loop().create_future()
        return received, asyncio.create_task(websocket.send(fragments(received)))

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as websocket:
            received, task = send(websocket)
            server_side = await accepted.get()
            message = ""
            async for fragment in server_side.recv_streaming():
                message += fragment
                if fragment == "one":
                    received.set_result(None)
            assert message == "onetwo"
            await task

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            received, task = send(websocket)
            server_side = await accepted.get()
            message = asyncio.create_task(server_side.recv())
            # The first fragment is there when the pong is, but recv() has nothing to return.
            await (await server_side.ping())
            assert not message.done()
            received.set_result(None)
            assert await message == "onetwo"
            await task
