"""Deprecated behaviour: the original implementation warns and does it, the new one doesn't."""

import asyncio

import pytest

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import CloseCode


async def test_path_argument_of_handlers(get_uri, deprecated):
    async def handler(websocket, path):
        await websocket.send(path)

    with deprecated("remove second argument of ws_handler"):
        original = websockets.serve(handler, "127.0.0.1", 0)
    async with original as server:
        async with websockets.connect(get_uri(server, "/chat")) as websocket:
            assert await websocket.recv() == "/chat"

    # The handler isn't called with it, which is an error in the handler.
    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server, "/chat")) as websocket:
            with pytest.raises(ConnectionClosedError) as excinfo:
                await websocket.recv()
    assert excinfo.value.rcvd.code == CloseCode.INTERNAL_ERROR


async def test_path_argument_of_handlers_is_unnecessary(get_uri):
    async def original_handler(websocket):
        await websocket.send(websocket.path)

    async def handler(websocket):
        await websocket.send(websocket.request.path)

    async with websockets.serve(original_handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server, "/chat")) as websocket:
            assert await websocket.recv() == "/chat"

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server, "/chat")) as websocket:
            assert await websocket.recv() == "/chat"


async def test_loop_argument(echo, get_uri, deprecated):
    loop = asyncio.get_running_loop()
    with deprecated("remove loop argument"):
        async with websockets.serve(echo, "127.0.0.1", 0, loop=loop) as server:
            async with websockets.connect(get_uri(server)) as websocket:
                await websocket.send("Hello!")
                assert await websocket.recv() == "Hello!"

    async with serve(echo, "127.0.0.1", 0) as server:
        with deprecated("remove loop argument"):
            async with websockets.connect(get_uri(server), loop=loop) as websocket:
                await websocket.send("Hello!")
                assert await websocket.recv() == "Hello!"

        with pytest.raises(TypeError, match="loop"):
            await connect(get_uri(server), loop=loop)

    with pytest.raises(TypeError, match="loop"):
        await serve(echo, "127.0.0.1", 0, loop=loop)


async def test_legacy_recv_argument(accepted, handler, get_uri, deprecated):
    with deprecated("legacy_recv is deprecated"):
        async with websockets.serve(handler, "127.0.0.1", 0, legacy_recv=True) as server:
            websocket = await websockets.connect(get_uri(server))
            await websocket.close()
            assert await (await accepted.get()).recv() is None

    async with serve(handler, "127.0.0.1", 0) as server:
        with deprecated("legacy_recv is deprecated"):
            websocket = await websockets.connect(get_uri(server), legacy_recv=True)
        await websocket.close()
        assert await websocket.recv() is None
        await accepted.get()

        with pytest.raises(TypeError, match="legacy_recv"):
            await connect(get_uri(server), legacy_recv=True)
        websocket = await connect(get_uri(server))
        await websocket.close()
        with pytest.raises(ConnectionClosedOK):
            await websocket.recv()
        with pytest.raises(ConnectionClosedOK):
            await (await accepted.get()).recv()

    with pytest.raises(TypeError, match="legacy_recv"):
        await serve(handler, "127.0.0.1", 0, legacy_recv=True)


async def test_timeout_argument(accepted, handler, get_uri, deprecated):
    with deprecated("rename timeout to close_timeout"):
        original = websockets.serve(handler, "127.0.0.1", 0, timeout=3)
    async with original as server:
        with deprecated("rename timeout to close_timeout"):
            original = websockets.connect(get_uri(server), timeout=4)
        async with original as websocket:
            assert websocket.close_timeout == 4
            assert (await accepted.get()).close_timeout == 3

        # It has been an argument of the original, too.
        async with websockets.connect(get_uri(server), close_timeout=4) as websocket:
            assert websocket.close_timeout == 4

    async with serve(handler, "127.0.0.1", 0, close_timeout=3) as server:
        async with connect(get_uri(server), close_timeout=4) as websocket:
            assert websocket.close_timeout == 4
            assert (await accepted.get()).close_timeout == 3
        with pytest.raises(TypeError, match="timeout"):
            await connect(get_uri(server), timeout=4)

    with pytest.raises(TypeError, match="timeout"):
        await serve(handler, "127.0.0.1", 0, timeout=3)


async def test_klass_argument(accepted, handler, get_uri, deprecated):
    class ClientProtocol(websockets.WebSocketClientProtocol):
        pass

    class ServerProtocol(websockets.WebSocketServerProtocol):
        pass

    with deprecated("rename klass to create_protocol"):
        original = websockets.serve(handler, "127.0.0.1", 0, klass=ServerProtocol)
    async with original as server:
        with deprecated("rename klass to create_protocol"):
            original = websockets.connect(get_uri(server), klass=ClientProtocol)
        async with original as websocket:
            assert isinstance(websocket, ClientProtocol)
            assert isinstance(await accepted.get(), ServerProtocol)

        with pytest.raises(TypeError, match="klass"):
            await connect(get_uri(server), klass=ClientProtocol)

    with pytest.raises(TypeError, match="klass"):
        await serve(handler, "127.0.0.1", 0, klass=ServerProtocol)


async def test_empty_string_in_origins(echo, get_uri, get_response, deprecated):
    with deprecated("use None instead of '' in origins"):
        async with websockets.serve(echo, "127.0.0.1", 0, origins=[""]) as server:
            async with websockets.connect(get_uri(server)) as websocket:
                await websocket.send("Hello!")
                assert await websocket.recv() == "Hello!"

    async with serve(echo, "127.0.0.1", 0, origins=[""]) as server:
        assert (await get_response(get_uri(server))).status_code == 403

    for serve_either in [websockets.serve, serve]:
        async with serve_either(echo, "127.0.0.1", 0, origins=[None]) as server:
            async with connect(get_uri(server)) as websocket:
                await websocket.send("Hello!")
                assert await websocket.recv() == "Hello!"
            response = await get_response(get_uri(server), origin="https://example.com")
            assert response.status_code == 403


async def test_host_port_and_secure_attributes(accepted, handler, get_uri, deprecated):
    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            with deprecated("use remote_address[0] instead of host"):
                assert websocket.host == websocket.remote_address[0] == "127.0.0.1"
            with deprecated("use remote_address[1] instead of port"):
                assert websocket.port == websocket.remote_address[1]
            with deprecated("don't use secure"):
                assert websocket.secure is False

            websocket = await accepted.get()
            with deprecated("use local_address[0] instead of host"):
                assert websocket.host == websocket.local_address[0] == "127.0.0.1"
            with deprecated("use local_address[1] instead of port"):
                # What the server was told: any port that was free.
                assert websocket.port == 0
            with deprecated("don't use secure"):
                assert websocket.secure is False

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(get_uri(server)) as websocket:
            assert websocket.remote_address == ("127.0.0.1", port)
            server_side = await accepted.get()
            assert server_side.local_address == ("127.0.0.1", port)
            for connection in [websocket, server_side]:
                for name in ["host", "port", "secure"]:
                    assert not hasattr(connection, name)
