"""HTTP Basic Authentication: by a class of connections before, in ``process_request`` now."""

import contextlib
import http

import pytest

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, basic_auth, serve
from websockets.exceptions import InvalidStatus, InvalidStatusCode
from websockets.legacy.auth import BasicAuthWebSocketServerProtocol, basic_auth_protocol_factory

WALRUS = ("walrus", "seal")

# What comes before the host in a URI.
RIGHT = "walrus:seal@"
WRONG = "walrus:otter@"


@pytest.fixture
async def start():
    """Return a coroutine function that starts a server, and returns it.

    It takes the implementation's ``serve()``, the connection handler, and other arguments.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def start(implementation, handler, **kwargs):
            server = implementation(handler, "127.0.0.1", 0, **kwargs)
            return await stack.enter_async_context(server)

        yield start


@pytest.fixture
def check(accepted, get_uri, get_response):
    """Return a coroutine function that checks that a server lets in who it should.

    It returns the server's side of the connection, and the response for who didn't say who it is.
    """

    async def check(server):
        for userinfo in [WRONG, "otter:seal@"]:
            assert (await get_response(get_uri(server, userinfo=userinfo))).status_code == 401
        async with connect(get_uri(server, userinfo=RIGHT)):
            connection = await accepted.get()
        assert connection.username == "walrus"
        response = await get_response(get_uri(server))
        assert response.status_code == 401
        return connection, response

    return check


async def test_client_sends_the_credentials_of_the_uri(start, accepted, handler, get_uri):
    server = await start(serve, handler, process_request=basic_auth(credentials=WALRUS))

    async with websockets.connect(get_uri(server, userinfo=RIGHT)):
        assert (await accepted.get()).username == "walrus"
    with pytest.raises(InvalidStatusCode, match="401"):
        await websockets.connect(get_uri(server, userinfo=WRONG))

    async with connect(get_uri(server, userinfo=RIGHT)):
        assert (await accepted.get()).username == "walrus"
    with pytest.raises(InvalidStatus, match="401"):
        await connect(get_uri(server, userinfo=WRONG))


async def test_basic_auth(start, handler, check):
    create_protocol = basic_auth_protocol_factory(credentials=WALRUS)
    await check(await start(websockets.serve, handler, create_protocol=create_protocol))

    process_request = basic_auth(credentials=WALRUS)
    await check(await start(serve, handler, process_request=process_request))


async def test_several_credentials(start, accepted, handler, check, get_uri):
    credentials = [("seal", "walrus"), WALRUS]

    create_protocol = basic_auth_protocol_factory(credentials=credentials)
    original = await start(websockets.serve, handler, create_protocol=create_protocol)

    new = await start(serve, handler, process_request=basic_auth(credentials=credentials))

    for server in [original, new]:
        await check(server)
        async with connect(get_uri(server, userinfo="seal:walrus@")):
            assert (await accepted.get()).username == "seal"


async def test_realm(start, handler, check):
    create_protocol = basic_auth_protocol_factory(realm="sea", credentials=WALRUS)
    original = await start(websockets.serve, handler, create_protocol=create_protocol)

    new = await start(serve, handler, process_request=basic_auth("sea", credentials=WALRUS))

    for server in [original, new]:
        _, response = await check(server)
        assert response.headers["WWW-Authenticate"] == 'Basic realm="sea", charset="UTF-8"'


async def test_check_credentials_coroutine(start, handler, check):
    async def check_credentials(username, password):
        return (username, password) == WALRUS

    create_protocol = basic_auth_protocol_factory(check_credentials=check_credentials)
    await check(await start(websockets.serve, handler, create_protocol=create_protocol))

    process_request = basic_auth(check_credentials=check_credentials)
    await check(await start(serve, handler, process_request=process_request))


async def test_check_credentials_may_be_a_function(start, handler, check):
    async def original_check_credentials(username, password):
        return (username, password) == WALRUS

    # It was meant to be a coroutine.
    create_protocol = basic_auth_protocol_factory(check_credentials=original_check_credentials)
    await check(await start(websockets.serve, handler, create_protocol=create_protocol))

    def check_credentials(username, password):
        return (username, password) == WALRUS

    process_request = basic_auth(check_credentials=check_credentials)
    await check(await start(serve, handler, process_request=process_request))


async def test_type_of_connections(start, handler, check):
    create_protocol = basic_auth_protocol_factory(credentials=WALRUS)
    connection, _ = await check(
        await start(websockets.serve, handler, create_protocol=create_protocol)
    )
    assert type(connection) is BasicAuthWebSocketServerProtocol
    assert isinstance(connection, websockets.WebSocketServerProtocol)

    process_request = basic_auth(credentials=WALRUS)
    connection, _ = await check(await start(serve, handler, process_request=process_request))
    assert type(connection) is ServerConnection


# Customizing process_request further


async def test_process_request_argument_was_ill_defined(
    start, handler, check, get_uri, get_response
):
    """The original authenticates first."""
    paths = []

    async def process_request(path, request_headers):
        paths.append(path)
        if path == "/secret":
            return http.HTTPStatus.FORBIDDEN, [], b"No.\n"
        return None

    server = await start(
        websockets.serve,
        handler,
        create_protocol=basic_auth_protocol_factory(credentials=WALRUS),
        process_request=process_request,
    )
    await check(server)
    assert paths == ["/"]
    assert (await get_response(get_uri(server, "/secret"))).status_code == 401
    assert paths == ["/"]
    assert (await get_response(get_uri(server, "/secret", RIGHT))).status_code == 403
    assert paths == ["/", "/secret"]


async def test_subclass_in_create_protocol_was_cumbersome(
    start, handler, check, get_uri, get_response
):
    class ServerProtocol(BasicAuthWebSocketServerProtocol):
        async def process_request(self, path, request_headers):
            if path == "/health":
                return http.HTTPStatus.OK, [], b"OK\n"
            response = await super().process_request(path, request_headers)
            if response is not None:
                return response
            if path == "/secret":
                return http.HTTPStatus.FORBIDDEN, [], b"No.\n"
            return None

    server = await start(
        websockets.serve,
        handler,
        create_protocol=basic_auth_protocol_factory(
            credentials=WALRUS, create_protocol=ServerProtocol
        ),
    )
    connection, _ = await check(server)
    assert type(connection) is ServerProtocol
    assert (await get_response(get_uri(server, "/health"))).status_code == 200
    assert (await get_response(get_uri(server, "/secret"))).status_code == 401
    assert (await get_response(get_uri(server, "/secret", RIGHT))).status_code == 403


async def test_process_request_calls_basic_auth(start, handler, check, get_uri, get_response):
    process_basic_auth = basic_auth(credentials=WALRUS)

    async def process_request(connection, request):
        if request.path == "/health":
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        response = await process_basic_auth(connection, request)
        if response is not None:
            return response
        if request.path == "/secret":
            return connection.respond(http.HTTPStatus.FORBIDDEN, f"No, {connection.username}.\n")
        return None

    server = await start(serve, handler, process_request=process_request)
    await check(server)
    assert (await get_response(get_uri(server, "/health"))).status_code == 200
    assert (await get_response(get_uri(server, "/secret"))).status_code == 401
    response = await get_response(get_uri(server, "/secret", RIGHT))
    assert (response.status_code, bytes(response.body)) == (403, b"No, walrus.\n")
