"""HTTP Basic Authentication."""

import functools

import pytest

from ws_legacy import (
    BasicAuthWebSocketServerProtocol,
    InvalidStatusCode,
    basic_auth_protocol_factory,
    connect,
    serve,
)


async def whoami(websocket):
    await websocket.send(websocket.username)


async def check(username, password):
    return (username, password) == ("hello", "iloveyou")


def check_at_once(username, password):
    return (username, password) == ("hello", "iloveyou")


class Protocol(BasicAuthWebSocketServerProtocol):
    """Checks passwords, and lets health checks pass."""

    realm = "mine"

    async def check_credentials(self, username, password):
        return password == "iloveyou"

    async def process_request(self, path, request_headers):
        if path == "/health":
            return 200, [], b"OK\n"
        return await super().process_request(path, request_headers)


FACTORIES = {
    "pair": functools.partial(basic_auth_protocol_factory, credentials=("hello", "iloveyou")),
    "list": functools.partial(
        basic_auth_protocol_factory, credentials=[("hello", "iloveyou"), ("a", "b")]
    ),
    "coroutine": functools.partial(basic_auth_protocol_factory, check_credentials=check),
    "function": functools.partial(basic_auth_protocol_factory, check_credentials=check_at_once),
    "subclass": lambda: Protocol,
    "create_protocol": functools.partial(
        basic_auth_protocol_factory, credentials=("not", "used"), create_protocol=Protocol
    ),
}


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
async def test_good_credentials_are_accepted(get_uri, factory):
    async with (
        serve(whoami, "127.0.0.1", 0, create_protocol=factory()) as server,
        connect(get_uri(server, user="hello:iloveyou@")) as websocket,
    ):
        assert await websocket.recv() == "hello"


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
async def test_bad_credentials_are_refused(get_uri, factory):
    async with serve(whoami, "127.0.0.1", 0, create_protocol=factory()) as server:
        with pytest.raises(InvalidStatusCode) as raised:
            await connect(get_uri(server, user="hello:ihateyou@"))
    assert raised.value.status_code == 401
    assert raised.value.__cause__.response.body == b"Invalid credentials\n"


@pytest.mark.parametrize(
    "authorization, text",
    [
        (None, "Missing credentials\n"),
        ("Digest x", "Unsupported credentials\n"),
        ("Basic @", "Unsupported credentials\n"),
    ],
)
async def test_missing_credentials_are_asked_for(request_raw, authorization, text):
    factory = basic_auth_protocol_factory(realm="it's", credentials=("hello", "iloveyou"))
    async with serve(whoami, "127.0.0.1", 0, create_protocol=factory) as server:
        response = await request_raw(server, headers={"Authorization": authorization})
    assert response.startswith("HTTP/1.1 401 Unauthorized\r\n")
    assert '\r\nWWW-Authenticate: Basic realm="it\'s", charset="UTF-8"\r\n' in response
    assert response.endswith(text)


async def test_realm_and_process_request_can_be_overridden(request_raw):
    async with serve(whoami, "127.0.0.1", 0, create_protocol=Protocol) as server:
        assert 'Basic realm="mine"' in await request_raw(server)
        assert (await request_raw(server, "GET /health HTTP/1.1")).endswith("OK\n")


async def test_class_alone_accepts_nobody(get_uri):
    create_protocol = BasicAuthWebSocketServerProtocol
    async with serve(whoami, "127.0.0.1", 0, create_protocol=create_protocol) as server:
        with pytest.raises(InvalidStatusCode):
            await connect(get_uri(server, user="hello:iloveyou@"))


async def test_argument_process_request_comes_after_the_credentials(request_raw, get_uri):
    seen = []

    async def process_request(path, headers):
        seen.append(path)

    factory = basic_auth_protocol_factory(credentials=("hello", "iloveyou"))
    async with serve(
        whoami, "127.0.0.1", 0, create_protocol=factory, process_request=process_request
    ) as server:
        await request_raw(server)
        assert seen == []
        async with connect(get_uri(server, "/a", user="hello:iloveyou@")):
            assert seen == ["/a"]


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"credentials": ("a", "b"), "check_credentials": check},
        {"credentials": 5},
        {"credentials": ("a", 5)},
        {"credentials": [("a",)]},
    ],
)
def test_wrong_credentials_are_refused(kwargs):
    with pytest.raises(TypeError):
        basic_auth_protocol_factory(**kwargs)
