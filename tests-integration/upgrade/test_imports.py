"""Import paths: where each name was, and where its replacement is."""

import base64
import importlib
import socket

import pytest

import websockets
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.auth
import websockets.client
import websockets.legacy.auth
import websockets.legacy.client
import websockets.legacy.protocol
import websockets.legacy.server
import websockets.server

# Names of the tables, and their modules.
ORIGINAL_NAMES = {
    "client": ["WebSocketClientProtocol", "connect", "unix_connect"],
    "server": [
        "WebSocketServer",
        "WebSocketServerProtocol",
        "broadcast",
        "serve",
        "unix_serve",
    ],
    "auth": ["BasicAuthWebSocketServerProtocol", "basic_auth_protocol_factory"],
}

needs_unix_sockets = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets"
)
client_places = pytest.mark.parametrize(
    "place", [websockets, websockets.client, websockets.legacy.client], ids=lambda m: m.__name__
)
server_places = pytest.mark.parametrize(
    "place", [websockets, websockets.server, websockets.legacy.server], ids=lambda m: m.__name__
)
auth_places = pytest.mark.parametrize(
    "place", [websockets, websockets.auth, websockets.legacy.auth], ids=lambda m: m.__name__
)

CREDENTIALS = ("walrus", "seal")
AUTHORIZATION = {"Authorization": f"Basic {base64.b64encode(b'walrus:seal').decode()}"}


async def exchange(websocket):
    """Send something to a server that sends it back."""
    await websocket.send("Hello!")
    assert await websocket.recv() == "Hello!"


# The packages


async def test_new_implementation_is_in_websockets_asyncio(echo, get_uri):
    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.asyncio.client.connect(get_uri(server)) as websocket:
            await exchange(websocket)
            assert isinstance(websocket, websockets.asyncio.client.ClientConnection)
            assert not isinstance(websocket, websockets.legacy.client.WebSocketClientProtocol)


async def test_original_implementation_is_in_websockets_legacy(echo, get_uri):
    async with websockets.legacy.server.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.legacy.client.connect(get_uri(server)) as websocket:
            await exchange(websocket)
            assert isinstance(websocket, websockets.legacy.client.WebSocketClientProtocol)
            assert not isinstance(websocket, websockets.asyncio.client.ClientConnection)


@pytest.mark.parametrize("module", ORIGINAL_NAMES)
def test_aliases_in_websockets_are_of_the_original_implementation(module):
    legacy = importlib.import_module(f"websockets.legacy.{module}")
    for name in ORIGINAL_NAMES[module]:
        assert getattr(websockets, name) is getattr(legacy, name)


@pytest.mark.parametrize("module", ORIGINAL_NAMES)
def test_aliases_in_client_and_server_are_of_the_original_implementation(module):
    alias = importlib.import_module(f"websockets.{module}")
    legacy = importlib.import_module(f"websockets.legacy.{module}")
    # This one never was in websockets.server.
    for name in set(ORIGINAL_NAMES[module]) - {"broadcast"}:
        assert getattr(alias, name) is getattr(legacy, name)


# Client APIs


@client_places
async def test_connect(place, echo, get_uri):
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        async with place.connect(get_uri(server)) as websocket:
            await exchange(websocket)

        async with websockets.asyncio.client.connect(get_uri(server)) as websocket:
            await exchange(websocket)


@needs_unix_sockets
@client_places
async def test_unix_connect(place, echo, socket_path):
    path = str(socket_path)
    async with websockets.unix_serve(echo, path):
        async with place.unix_connect(path) as websocket:
            await exchange(websocket)

        async with websockets.asyncio.client.unix_connect(path) as websocket:
            await exchange(websocket)


@client_places
async def test_web_socket_client_protocol(place, echo, get_uri):
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            assert type(websocket) is place.WebSocketClientProtocol

        async with websockets.asyncio.client.connect(get_uri(server)) as websocket:
            assert type(websocket) is websockets.asyncio.client.ClientConnection


# Server APIs


@server_places
async def test_serve(place, echo, get_uri):
    async with place.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            await exchange(websocket)

    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            await exchange(websocket)


@needs_unix_sockets
@server_places
async def test_unix_serve(place, echo, socket_path):
    path = str(socket_path)
    async with place.unix_serve(echo, path):
        async with websockets.unix_connect(path) as websocket:
            await exchange(websocket)

    path = str(socket_path.with_name("new"))
    async with websockets.asyncio.server.unix_serve(echo, path):
        async with websockets.unix_connect(path) as websocket:
            await exchange(websocket)


@server_places
async def test_web_socket_server(place, echo):
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        assert type(server) is place.WebSocketServer

    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
        assert type(server) is websockets.asyncio.server.Server


@server_places
async def test_web_socket_server_protocol(place, accepted, handler, get_uri):
    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)):
            assert type(await accepted.get()) is place.WebSocketServerProtocol

    async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)):
            assert type(await accepted.get()) is websockets.asyncio.server.ServerConnection


@pytest.mark.parametrize(
    "place",
    [websockets, websockets.legacy.server, websockets.legacy.protocol],
    ids=lambda m: m.__name__,
)
async def test_broadcast(place, accepted, handler, get_uri):
    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            place.broadcast([await accepted.get()], "Hello!")
            assert await websocket.recv() == "Hello!"

    async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0) as server:
        async with websockets.connect(get_uri(server)) as websocket:
            websockets.asyncio.server.broadcast([await accepted.get()], "Hello!")
            assert await websocket.recv() == "Hello!"


@auth_places
async def test_basic_auth_web_socket_server_protocol(place, echo, get_uri, get_response):
    class ServerProtocol(place.BasicAuthWebSocketServerProtocol):
        async def check_credentials(self, username, password):
            return (username, password) == CREDENTIALS

    async with websockets.serve(echo, "127.0.0.1", 0, create_protocol=ServerProtocol) as server:
        assert (await get_response(get_uri(server))).status_code == 401
        async with websockets.connect(get_uri(server), extra_headers=AUTHORIZATION) as websocket:
            await exchange(websocket)

    process_request = websockets.asyncio.server.basic_auth(
        check_credentials=lambda username, password: (username, password) == CREDENTIALS
    )
    async with websockets.asyncio.server.serve(
        echo, "127.0.0.1", 0, process_request=process_request
    ) as server:
        assert (await get_response(get_uri(server))).status_code == 401
        async with websockets.connect(get_uri(server), extra_headers=AUTHORIZATION) as websocket:
            await exchange(websocket)


@auth_places
async def test_basic_auth_protocol_factory(place, echo, get_uri, get_response):
    create_protocol = place.basic_auth_protocol_factory(credentials=CREDENTIALS)
    async with websockets.serve(echo, "127.0.0.1", 0, create_protocol=create_protocol) as server:
        assert (await get_response(get_uri(server))).status_code == 401
        async with websockets.connect(get_uri(server), extra_headers=AUTHORIZATION) as websocket:
            await exchange(websocket)

    process_request = websockets.asyncio.server.basic_auth(credentials=CREDENTIALS)
    async with websockets.asyncio.server.serve(
        echo, "127.0.0.1", 0, process_request=process_request
    ) as server:
        assert (await get_response(get_uri(server))).status_code == 401
        async with websockets.connect(get_uri(server), extra_headers=AUTHORIZATION) as websocket:
            await exchange(websocket)


# What is said of connect() and serve() also applies to unix_connect() and unix_serve()


@needs_unix_sockets
async def test_changes_apply_to_unix_sockets_too(accepted, handler, socket_path):
    path = str(socket_path)
    async with websockets.unix_serve(handler, path, extra_headers={"X-Server": "walrus"}):
        async with websockets.unix_connect(path, extra_headers={"X-Client": "seal"}) as websocket:
            assert websocket.response_headers["X-Server"] == "walrus"
            assert (await accepted.get()).request_headers["X-Client"] == "seal"

    def process_response(connection, request, response):
        response.headers["X-Server"] = "walrus"

    path = str(socket_path.with_name("new"))
    async with websockets.asyncio.server.unix_serve(
        handler, path, process_response=process_response
    ):
        async with websockets.asyncio.client.unix_connect(
            path, additional_headers={"X-Client": "seal"}
        ) as websocket:
            assert websocket.response.headers["X-Server"] == "walrus"
            assert (await accepted.get()).request.headers["X-Client"] == "seal"
