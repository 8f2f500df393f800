"""Arguments of connect() and serve() that were renamed, removed, or have another meaning."""

import asyncio
import http

import pytest

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import NegotiationError

# connect(): extra_headers → additional_headers


async def test_extra_headers_becomes_additional_headers(accepted, handler, get_uri):
    headers = {"X-Client": "walrus"}

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server), extra_headers=headers) as websocket:
            assert websocket.request_headers["X-Client"] == "walrus"
            assert (await accepted.get()).request_headers["X-Client"] == "walrus"
        with pytest.raises(TypeError, match="additional_headers"):
            await websockets.connect(get_uri(server), additional_headers=headers)

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server), additional_headers=headers) as websocket:
            assert websocket.request.headers["X-Client"] == "walrus"
            assert (await accepted.get()).request.headers["X-Client"] == "walrus"
        with pytest.raises(TypeError, match="extra_headers"):
            await connect(get_uri(server), extra_headers=headers)


# serve(): ws_handler → handler


async def test_ws_handler_becomes_handler(echo, get_uri):
    async def exchange(server):
        async with connect(get_uri(server)) as websocket:
            await websocket.send("Hello!")
            assert await websocket.recv() == "Hello!"

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        await exchange(server)
    async with websockets.serve(ws_handler=echo, host="127.0.0.1", port=0) as server:
        await exchange(server)
    with pytest.raises(TypeError, match="handler"):
        websockets.serve(handler=echo, host="127.0.0.1", port=0)

    async with serve(echo, "127.0.0.1", 0) as server:
        await exchange(server)
    async with serve(handler=echo, host="127.0.0.1", port=0) as server:
        await exchange(server)
    with pytest.raises(TypeError, match="handler"):
        serve(ws_handler=echo, host="127.0.0.1", port=0)


# serve(): process_request


async def test_process_request(echo, get_uri, get_response):
    async def original_process_request(path, request_headers):
        return http.HTTPStatus.OK, [], b"OK\n"

    async with websockets.serve(
        echo, "127.0.0.1", 0, process_request=original_process_request
    ) as server:
        response = await get_response(get_uri(server))
        assert (response.status_code, bytes(response.body)) == (200, b"OK\n")

    async with serve(echo, "127.0.0.1", 0, process_request=original_process_request) as server:
        assert (await get_response(get_uri(server))).status_code == 500

    def process_request(connection, request):
        return connection.respond(http.HTTPStatus.OK, "OK\n")

    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        response = await get_response(get_uri(server))
        assert (response.status_code, bytes(response.body)) == (200, b"OK\n")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_process_request_may_be_a_function_or_a_coroutine(
    echo, get_uri, get_response, deprecated
):
    def original_process_request(path, request_headers):
        return http.HTTPStatus.OK, [], b"OK\n"

    # Functions work, but the original wants coroutines.
    async with websockets.serve(
        echo, "127.0.0.1", 0, process_request=original_process_request
    ) as server:
        with deprecated("declare process_request as a coroutine"):
            response = await get_response(get_uri(server))
        assert (response.status_code, bytes(response.body)) == (200, b"OK\n")

    async def process_request(connection, request):
        return connection.respond(http.HTTPStatus.OK, "OK\n")

    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        response = await get_response(get_uri(server))
        assert (response.status_code, bytes(response.body)) == (200, b"OK\n")


async def test_connection_is_available_in_process_request(accepted, handler, get_uri):
    class ServerProtocol(websockets.WebSocketServerProtocol):
        async def process_request(self, path, request_headers):
            self.client = self.remote_address

    async with websockets.serve(handler, "127.0.0.1", 0, create_protocol=ServerProtocol) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            assert (await accepted.get()).client == websocket.local_address

    def process_request(connection, request):
        connection.client = connection.remote_address

    async with serve(handler, "127.0.0.1", 0, process_request=process_request) as server:
        async with connect(get_uri(server)) as websocket:
            assert (await accepted.get()).client == websocket.local_address


async def test_path_and_headers_are_attributes_of_the_request(echo, get_uri):
    requests = []

    async def original_process_request(path, request_headers):
        requests.append((path, request_headers["User-Agent"]))

    async with websockets.serve(
        echo, "127.0.0.1", 0, process_request=original_process_request
    ) as server:
        async with websockets.connect(get_uri(server, "/chat?room=1"), user_agent_header="Test"):
            assert requests == [("/chat?room=1", "Test")]

    def process_request(connection, request):
        requests.append((request.path, request.headers["User-Agent"]))

    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        async with connect(get_uri(server, "/chat?room=2"), user_agent_header="Test"):
            assert requests[1:] == [("/chat?room=2", "Test")]


# serve(): extra_headers → process_response

HEADERS = {"X-Server": "walrus"}


async def test_extra_headers_becomes_process_response(echo, get_uri):
    async with websockets.serve(echo, "127.0.0.1", 0, extra_headers=HEADERS) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            assert websocket.response_headers["X-Server"] == "walrus"

    with pytest.raises(TypeError, match="process_response"):
        await websockets.serve(echo, "127.0.0.1", 0, process_response=lambda *args: None)

    def process_response(connection, request, response):
        response.headers.update(HEADERS)
        return response

    async with serve(echo, "127.0.0.1", 0, process_response=process_response) as server:
        async with connect(get_uri(server)) as websocket:
            assert websocket.response.headers["X-Server"] == "walrus"

    with pytest.raises(TypeError, match="extra_headers"):
        await serve(echo, "127.0.0.1", 0, extra_headers=HEADERS)


async def test_extra_headers_callable_becomes_process_response(echo, get_uri):
    def extra_headers(path, request_headers):
        return {"X-Request": f"{path} {request_headers['User-Agent']}"}

    async with websockets.serve(echo, "127.0.0.1", 0, extra_headers=extra_headers) as server:
        async with websockets.connect(get_uri(server), user_agent_header="Test") as websocket:
            assert websocket.response_headers["X-Request"] == "/ Test"

    def process_response(connection, request, response):
        response.headers["X-Request"] = f"{request.path} {request.headers['User-Agent']}"

    async with serve(echo, "127.0.0.1", 0, process_response=process_response) as server:
        async with connect(get_uri(server), user_agent_header="Test") as websocket:
            assert websocket.response.headers["X-Request"] == "/ Test"


async def test_connection_request_and_response_are_available_in_process_response(
    accepted, handler, get_uri
):
    log = []

    def process_response(connection, request, response):
        log.append((connection, request.path, response.status_code))

    async with serve(handler, "127.0.0.1", 0, process_response=process_response) as server:
        async with connect(get_uri(server, "/chat")):
            assert log == [(await accepted.get(), "/chat", 101)]


async def test_process_response_may_replace_the_response(echo, get_uri, get_response):
    def process_response(connection, request, response):
        return connection.respond(http.HTTPStatus.NOT_FOUND, "It isn't here.\n")

    async with serve(echo, "127.0.0.1", 0, process_response=process_response) as server:
        assert (await get_response(get_uri(server))).status_code == 404


# serve(): select_subprotocol


async def test_select_subprotocol(echo, get_uri, get_response):
    offered = ["superchat", "chat"]

    def original_select_subprotocol(client_subprotocols, server_subprotocols):
        assert (client_subprotocols, server_subprotocols) == (offered, ["chat"])
        if "chat" in client_subprotocols:
            return "chat"
        return None

    # The original calls it only if there is a list of subprotocols, too.
    async with websockets.serve(
        *[echo, "127.0.0.1", 0],
        subprotocols=["chat"],
        select_subprotocol=original_select_subprotocol,
    ) as server:
        async with websockets.connect(get_uri(server), subprotocols=offered) as websocket:
            assert websocket.subprotocol == "chat"

    async with serve(
        echo, "127.0.0.1", 0, select_subprotocol=original_select_subprotocol
    ) as server:
        assert (await get_response(get_uri(server), subprotocols=offered)).status_code == 500

    def select_subprotocol(connection, subprotocols):
        assert subprotocols == offered
        if "chat" in subprotocols:
            return "chat"
        return None

    async with serve(echo, "127.0.0.1", 0, select_subprotocol=select_subprotocol) as server:
        async with connect(get_uri(server), subprotocols=offered) as websocket:
            assert websocket.subprotocol == "chat"


async def test_connection_is_available_in_select_subprotocol(accepted, handler, get_uri):
    class ServerProtocol(websockets.WebSocketServerProtocol):
        def select_subprotocol(self, client_subprotocols, server_subprotocols):
            self.offered = client_subprotocols
            return "chat"

    async with websockets.serve(
        handler, "127.0.0.1", 0, subprotocols=["chat"], create_protocol=ServerProtocol
    ) as server:
        async with websockets.connect(get_uri(server), subprotocols=["chat"]) as websocket:
            assert websocket.subprotocol == "chat"
            assert (await accepted.get()).offered == ["chat"]

    def select_subprotocol(connection, subprotocols):
        connection.offered = subprotocols
        return "chat"

    async with serve(handler, "127.0.0.1", 0, select_subprotocol=select_subprotocol) as server:
        async with connect(get_uri(server), subprotocols=["chat"]) as websocket:
            assert websocket.subprotocol == "chat"
            assert (await accepted.get()).offered == ["chat"]


@pytest.mark.parametrize("offered", [None, ["superchat"]])
async def test_server_with_subprotocols_rejects_connections_without(
    offered, echo, get_uri, get_response
):
    async with websockets.serve(echo, "127.0.0.1", 0, subprotocols=["chat"]) as server:
        async with websockets.connect(get_uri(server), subprotocols=offered) as websocket:
            assert websocket.subprotocol is None

    async with serve(echo, "127.0.0.1", 0, subprotocols=["chat"]) as server:
        assert (await get_response(get_uri(server), subprotocols=offered)).status_code == 400


async def test_server_picks_the_first_subprotocol_of_its_list(echo, get_uri):
    client_subprotocols = ["v1", "v2", "v0", "v3"]
    server_subprotocols = ["v3", "v2", "v0", "v1"]

    # The one that is second in both lists.
    async with websockets.serve(echo, "127.0.0.1", 0, subprotocols=server_subprotocols) as server:
        async with websockets.connect(
            get_uri(server), subprotocols=client_subprotocols
        ) as websocket:
            assert websocket.subprotocol == "v2"

    async with serve(echo, "127.0.0.1", 0, subprotocols=server_subprotocols) as server:
        async with connect(get_uri(server), subprotocols=client_subprotocols) as websocket:
            assert websocket.subprotocol == "v3"


async def test_select_subprotocol_for_rejecting_can_be_removed(echo, get_uri, get_response):
    def select_subprotocol(client_subprotocols, server_subprotocols):
        if "chat" not in client_subprotocols:
            raise NegotiationError("chat is the only subprotocol here")
        return "chat"

    async with websockets.serve(
        echo, "127.0.0.1", 0, subprotocols=["chat"], select_subprotocol=select_subprotocol
    ) as original_server:
        async with serve(echo, "127.0.0.1", 0, subprotocols=["chat"]) as server:
            for uri in [get_uri(original_server), get_uri(server)]:
                assert (await get_response(uri, subprotocols=["superchat"])).status_code == 400
                async with connect(uri, subprotocols=["superchat", "chat"]) as websocket:
                    assert websocket.subprotocol == "chat"


# Both: max_queue


async def send_fragmented(websocket, number):
    """Send a message in fragments, and wait after each until the other side has read it."""

    async def fragments():
        for _ in range(number):
            yield "x"
            await (await websocket.ping())

    await websocket.send(fragments())


async def send_messages(websocket, number):
    """Send messages, and wait after each until the other side has read it."""
    for _ in range(number):
        await websocket.send("x")
        await (await websocket.ping())


async def assert_waits(task):
    """Check that a task isn't done any time soon."""
    done, _ = await asyncio.wait([task], timeout=0.05)
    assert not done


async def test_max_queue_is_in_messages_or_in_frames(accepted, handler, get_uri):
    async with websockets.serve(handler, "127.0.0.1", 0, max_queue=4) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            # However many fragments it has, it is one message.
            await send_fragmented(websocket, 20)
            await send_messages(websocket, 3)
            # The first that is too much may still be read.
            task = asyncio.create_task(send_messages(websocket, 2))
            await assert_waits(task)
            server_side = await accepted.get()
            assert await server_side.recv() == "x" * 20
            assert await server_side.recv() == "x"
            await task

    async with serve(handler, "127.0.0.1", 0, max_queue=4) as server:
        async with connect(get_uri(server)) as websocket:
            await send_messages(websocket, 4)
            server_side = await accepted.get()
            for _ in range(4):
                assert await server_side.recv() == "x"
            task = asyncio.create_task(send_fragmented(websocket, 20))
            await assert_waits(task)
            assert await server_side.recv() == "x" * 20
            await task

    # For messages in many fragments, it can be increased.
    async with serve(handler, "127.0.0.1", 0, max_queue=20) as server:
        async with connect(get_uri(server)) as websocket:
            await send_fragmented(websocket, 20)
            assert await (await accepted.get()).recv() == "x" * 20


async def test_max_queue_defaults_to_32_messages_or_16_frames(accepted, handler, get_uri):
    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            await send_messages(websocket, 32)
            task = asyncio.create_task(send_messages(websocket, 2))
            await assert_waits(task)
            server_side = await accepted.get()
            await server_side.recv()
            await server_side.recv()
            await task

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as websocket:
            await send_fragmented(websocket, 16)
            server_side = await accepted.get()
            await server_side.recv()
            task = asyncio.create_task(send_fragmented(websocket, 18))
            await assert_waits(task)
            await server_side.recv()
            await task


async def test_max_queue_of_clients(get_uri):
    sent = asyncio.Event()

    async def handler(websocket):
        await send_fragmented(websocket, 20)
        sent.set()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server), max_queue=4) as websocket:
            await sent.wait()
            assert await websocket.recv() == "x" * 20

        sent.clear()
        async with connect(get_uri(server), max_queue=4) as websocket:
            task = asyncio.create_task(sent.wait())
            await assert_waits(task)
            assert await websocket.recv() == "x" * 20
            await task


async def test_recv_streaming_needs_no_larger_max_queue(accepted, handler, get_uri):
    async with serve(handler, "127.0.0.1", 0, max_queue=1) as server:
        async with connect(get_uri(server)) as websocket:
            task = asyncio.create_task(send_fragmented(websocket, 20))
            server_side = await accepted.get()
            received = [fragment async for fragment in server_side.recv_streaming()]
            assert "".join(received) == "x" * 20
            assert len(received) >= 20
            await task


# Both: read_limit


async def test_read_limit_is_removed(accepted, handler, get_uri):
    async with websockets.serve(handler, "127.0.0.1", 0, read_limit=2**14) as server:
        async with websockets.connect(get_uri(server), read_limit=2**15) as websocket:
            assert websocket.read_limit == 2**15
            assert (await accepted.get()).read_limit == 2**14

    async with serve(handler, "127.0.0.1", 0) as server:
        with pytest.raises(TypeError, match="read_limit"):
            await connect(get_uri(server), read_limit=2**15)

    with pytest.raises(TypeError, match="read_limit"):
        await serve(handler, "127.0.0.1", 0, read_limit=2**14)


# Both: write_limit


def get_write_limit(websocket):
    """Return how many bytes may wait to be sent."""
    _, high = websocket.transport.get_write_buffer_limits()
    return high


async def test_write_limit_defaults_to_32_kib(accepted, handler, get_uri):
    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            assert get_write_limit(websocket) == 64 * 1024
            assert get_write_limit(await accepted.get()) == 64 * 1024

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as websocket:
            assert get_write_limit(websocket) == 32 * 1024
            assert get_write_limit(await accepted.get()) == 32 * 1024

    async with serve(handler, "127.0.0.1", 0, write_limit=2**16) as server:
        async with connect(get_uri(server), write_limit=2**16) as websocket:
            assert get_write_limit(websocket) == 64 * 1024
            assert get_write_limit(await accepted.get()) == 64 * 1024


# Both: create_protocol → create_connection


async def test_create_protocol_becomes_create_connection(accepted, handler, get_uri):
    class ServerProtocol(websockets.WebSocketServerProtocol):
        pass

    class ClientProtocol(websockets.WebSocketClientProtocol):
        pass

    async with websockets.serve(handler, "127.0.0.1", 0, create_protocol=ServerProtocol) as server:
        async with websockets.connect(get_uri(server), create_protocol=ClientProtocol) as websocket:
            assert type(websocket) is ClientProtocol
            assert type(await accepted.get()) is ServerProtocol
        with pytest.raises(TypeError, match="create_connection"):
            await websockets.connect(get_uri(server), create_connection=ClientProtocol)

    class OurServerConnection(ServerConnection):
        pass

    class OurClientConnection(ClientConnection):
        pass

    async with serve(handler, "127.0.0.1", 0, create_connection=OurServerConnection) as server:
        async with connect(get_uri(server), create_connection=OurClientConnection) as websocket:
            assert type(websocket) is OurClientConnection
            assert type(await accepted.get()) is OurServerConnection
        with pytest.raises(TypeError, match="create_protocol"):
            await connect(get_uri(server), create_protocol=OurClientConnection)
    with pytest.raises(TypeError, match="create_protocol"):
        await serve(handler, "127.0.0.1", 0, create_protocol=OurServerConnection)
