"""What is deprecated works, and warns at the line that has to be changed."""

import asyncio
import contextlib
import functools
import linecache
import warnings

import pytest

from ws_legacy import (
    WebSocketClientProtocol,
    WebSocketServerProtocol,
    connect,
    serve,
    unix_connect,
    unix_serve,
)

pytestmark = pytest.mark.filterwarnings("always::DeprecationWarning")


@contextlib.contextmanager
def expect_warning(message):
    """Expect one warning, with a text, that points at a line with the comment ``# here``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    (warning,) = caught
    assert warning.category is DeprecationWarning
    assert str(warning.message) == message
    assert "# here" in linecache.getline(warning.filename, warning.lineno)


async def hello(websocket):
    await websocket.send("Hello!")


@pytest.mark.parametrize("call", ["connect", "serve", "unix_connect", "unix_serve"])
@pytest.mark.parametrize(
    "name, message",
    [
        ("loop", "remove loop argument"),
        ("legacy_recv", "legacy_recv is deprecated: handle ConnectionClosed instead"),
        ("timeout", "rename timeout to close_timeout"),
        ("klass", "rename klass to create_protocol"),
    ],
)
async def test_arguments_warn_at_the_line_that_has_them(call, name, message):
    values = {"loop": asyncio.get_running_loop(), "klass": object}
    kwargs = {name: values.get(name, 1)}
    with expect_warning(message):
        if call == "connect":
            connect("ws://localhost/", **kwargs)  # here
        elif call == "serve":
            serve(hello, **kwargs)  # here
        elif call == "unix_connect":
            unix_connect("socket", **kwargs)  # here
        else:
            unix_serve(hello, "socket", **kwargs)  # here


@pytest.mark.parametrize(
    "name, hint",
    [
        ("additional_headers", "rename it to extra_headers, or "),
        ("create_connection", "rename it to create_protocol, or "),
        ("process_exception", ""),
    ],
)
def test_arguments_of_the_new_api_are_told_from_mistakes(name, hint):
    for function, module, argument in [
        (connect, "client", "ws://localhost/"),
        (serve, "server", hello),
    ]:
        call = "connect" if function is connect else "serve"
        with pytest.raises(TypeError) as raised:
            function(argument, **{name: None})
        assert str(raised.value) == (
            f"{call}() got an unexpected keyword argument '{name}', which the new API has; "
            f"{hint}import {call} from websockets.asyncio.{module}"
        )


def test_origins_that_are_a_string_are_refused():
    with pytest.raises(TypeError, match="origins must be a list, not a str"):
        serve(hello, origins="https://example.com")


@pytest.mark.parametrize("max_size", [(1, 2, 3), (1,)])
def test_impossible_limit_is_refused_before_a_client_connects(max_size):
    with pytest.raises(ValueError, match=r".+"):
        serve(hello, max_size=max_size)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"legacy_recv": True}, "legacy_recv is deprecated: handle ConnectionClosed instead"),
        ({"timeout": 5}, "rename timeout to close_timeout"),
    ],
)
async def test_arguments_of_protocols_warn(kwargs, message):
    with expect_warning(message):
        WebSocketClientProtocol(**kwargs)  # here

    class Protocol(WebSocketClientProtocol):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)  # here

    with expect_warning(message):
        Protocol(**kwargs)


async def test_loop_of_a_protocol_warns():
    loop = asyncio.get_running_loop()
    with expect_warning("remove loop argument"):
        websocket = WebSocketClientProtocol(loop=loop)  # here
    assert websocket.loop is loop


async def test_renamed_arguments_work(get_uri):
    class Client(WebSocketClientProtocol):
        pass

    class Server(WebSocketServerProtocol):
        pass

    loop = asyncio.get_running_loop()
    with pytest.warns(DeprecationWarning, match="rename|remove"):
        serving = serve(hello, "127.0.0.1", 0, klass=Server, timeout=5, loop=loop)
    async with serving as server:
        with pytest.warns(DeprecationWarning, match="rename|remove"):
            connecting = connect(get_uri(server), klass=Client, timeout=6, loop=loop)
        async with connecting as websocket:
            (connection,) = server.websockets
            assert (type(websocket), websocket.close_timeout) == (Client, 6)
            assert (type(connection), connection.close_timeout) == (Server, 5)


async def test_new_names_win(get_uri):
    class Client(WebSocketClientProtocol):
        pass

    async with serve(hello, "127.0.0.1", 0) as server:
        with pytest.warns(DeprecationWarning, match="rename"):
            connecting = connect(
                get_uri(server),
                klass=WebSocketClientProtocol,
                create_protocol=Client,
                timeout=6,
                close_timeout=7,
            )
        async with connecting as websocket:
            assert (type(websocket), websocket.close_timeout) == (Client, 7)
    with pytest.warns(DeprecationWarning, match="rename timeout"):
        assert WebSocketClientProtocol(timeout=6, close_timeout=7).close_timeout == 7


async def test_legacy_recv_returns_none_once_the_connection_is_closed(get_uri):
    with pytest.warns(DeprecationWarning, match="legacy_recv"):
        serving = serve(hello, "127.0.0.1", 0, legacy_recv=True)
    async with serving as server:
        with pytest.warns(DeprecationWarning, match="legacy_recv"):
            connecting = connect(get_uri(server), legacy_recv=True)
        async with connecting as websocket:
            assert await websocket.recv() == "Hello!"
            assert await websocket.recv() is None
            assert await websocket.recv() is None


@pytest.mark.parametrize("bind", [False, True])
async def test_path_argument_of_handlers_warns(get_uri, bind):
    class Application:
        async def handle(self, websocket, path):
            await websocket.send(path)

    async def handle(websocket, path):
        await websocket.send(path)

    handler = Application().handle if bind else handle
    with expect_warning("remove second argument of ws_handler"):
        serving = serve(handler, "127.0.0.1", 0)  # here
    async with serving as server, connect(get_uri(server, "/a?b")) as websocket:
        assert await websocket.recv() == "/a?b"


async def test_path_argument_of_a_protocols_handler_warns():
    async def handle(websocket, path): ...

    with expect_warning("remove second argument of ws_handler"):
        WebSocketServerProtocol(handle, None)  # here


@pytest.mark.parametrize(
    "handler",
    [
        functools.partial(lambda websocket, path: None, path=""),
        lambda *args: None,
        lambda websocket, path="": None,
        lambda: None,
        print,
        int,
    ],
)
async def test_handlers_without_a_path_argument_do_not_warn(handler):
    serve(handler)


async def test_empty_origin_warns(request_raw):
    with expect_warning("use None instead of '' in origins"):
        serving = serve(hello, "127.0.0.1", 0, origins=["http://a", ""])  # here
    async with serving as server:
        assert "101 Switching" in await request_raw(server)
        assert "101 Switching" in await request_raw(server, headers={"Origin": "http://a"})
        assert "403 Forbidden" in await request_raw(server, headers={"Origin": "http://b"})


@pytest.mark.parametrize("side, address", [("client", "remote"), ("server", "local")])
async def test_host_port_and_secure_warn(pair, side, address):
    async with pair() as (client, server):
        websocket = {"client": client, "server": server}[side]
        with expect_warning(f"use {address}_address[0] instead of host"):
            assert websocket.host == "127.0.0.1"  # here
        with expect_warning(f"use {address}_address[1] instead of port"):
            port = websocket.port  # here
        assert port == (client.remote_address[1] if side == "client" else 0)
        with expect_warning("don't use secure"):
            assert websocket.secure is False  # here


async def test_secure_is_found_out(server_tls, client_tls, get_uri):
    async with serve(hello, "127.0.0.1", 0, ssl=server_tls) as server:
        loop = asyncio.get_running_loop()
        websocket = WebSocketClientProtocol()
        with pytest.warns(DeprecationWarning, match="don't use secure"):
            assert websocket.secure is None
        await loop.create_connection(
            lambda: websocket, "127.0.0.1", server.sockets[0].getsockname()[1], ssl=client_tls
        )
        with pytest.warns(DeprecationWarning, match="don't use secure"):
            assert websocket.secure is True
        websocket.fail_connection()
        await websocket.wait_closed()


async def test_process_request_that_is_no_coroutine_warns_at_its_definition(
    request_raw,
):
    def process_request(path, headers):  # here
        return 200, [], b"OK\n"

    serving = serve(hello, "127.0.0.1", 0, process_request=process_request)
    with expect_warning("declare process_request as a coroutine"):
        async with serving as server:
            assert (await request_raw(server)).endswith("OK\n")


async def test_method_process_request_that_is_no_coroutine_warns_at_its_definition(
    request_raw,
):
    class Protocol(WebSocketServerProtocol):
        def process_request(self, path, request_headers):  # here
            return None

    with expect_warning("declare process_request as a coroutine"):
        async with serve(hello, "127.0.0.1", 0, create_protocol=Protocol) as server:
            assert "101 Switching" in await request_raw(server)


async def test_partial_process_request_that_is_no_coroutine_warns_at_its_definition(
    request_raw,
):
    def process_request(status, path, headers):  # here
        return status, [], b""

    partial = functools.partial(process_request, 200)
    with expect_warning("declare process_request as a coroutine"):
        async with serve(hello, "127.0.0.1", 0, process_request=partial) as server:
            assert "200 OK" in await request_raw(server)


async def test_callable_object_without_a_definition_warns(request_raw):
    class ProcessRequest:
        def __call__(self, path, headers):
            return None

    with pytest.warns(DeprecationWarning, match="declare process_request as a coroutine"):
        async with serve(hello, "127.0.0.1", 0, process_request=ProcessRequest()) as server:
            assert "101 Switching" in await request_raw(server)


async def test_yield_from_works(get_uri):
    def old_coroutine(server):
        websocket = yield from connect(get_uri(server))
        return websocket

    class Await:
        def __init__(self, server):
            self.server = server

        def __await__(self):
            return old_coroutine(self.server)

    async with serve(hello, "127.0.0.1", 0) as server:
        websocket = await Await(server)
        assert await websocket.recv() == "Hello!"
        await websocket.close()
