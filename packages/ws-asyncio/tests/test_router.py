import http
import logging
import sys

import pytest

from ws_asyncio import Router, connect, route, unix_connect, unix_route
from ws_protocol.exceptions import ConnectionClosedError, InvalidStatus

werkzeug_routing = pytest.importorskip("werkzeug.routing")
Map, Rule = werkzeug_routing.Map, werkzeug_routing.Rule


async def greet(connection, **kwargs):
    """Send the arguments from the path."""
    await connection.send(repr(kwargs))


@pytest.fixture
def url_map():
    return Map(
        [
            Rule("/", endpoint=greet),
            Rule("/number/<int:number>", endpoint=greet),
            Rule("/id/<uuid:id>", endpoint=greet),
            Rule("/<name>/messages/<any(old, new):kind>", endpoint=greet),
            Rule("/all/<path:path>", endpoint=greet),
            Rule("/slash/", endpoint=greet),
            Rule("/old", redirect_to="slash/"),
            Rule("/fail", endpoint="not a function"),
        ]
    )


@pytest.fixture
def serve_map(url_map):
    """Return a function that makes a server for the map."""

    def serve_map(**kwargs):
        return route(url_map, "127.0.0.1", 0, **kwargs)

    return serve_map


async def refusal(uri):
    """Connect; return the response of the server, which refuses."""
    with pytest.raises(InvalidStatus) as info:
        await connect(uri)
    return info.value.response


async def ask(server, open_tcp_connection, data):
    """Return what the server answers."""
    reader, writer = await open_tcp_connection(server)
    writer.write(data)
    response = await reader.read()
    writer.close()
    return response


@pytest.mark.parametrize(
    "path, kwargs",
    [
        ("/", {}),
        ("/?a=b", {}),
        ("/number/42", {"number": 42}),
        ("/number/42?a=b/c", {"number": 42}),
        ("/all/a/b/c", {"path": "a/b/c"}),
        ("/all/a%20b", {"path": "a b"}),
        ("/all/%E5%AF%86%E7%A0%81", {"path": "密码"}),
        ("/all/a%3Fb%23c", {"path": "a?b#c"}),
        ("/all/a%2Fb", {"path": "a/b"}),
        ("/all/%FF", {"path": "\ufffd"}),
        ("/hello/messages/new", {"name": "hello", "kind": "new"}),
        ("/slash/", {}),
    ],
)
async def test_handler_gets_what_stands_in_the_path(serve_map, get_uri, path, kwargs):
    async with serve_map() as server:
        async with connect(get_uri(server, path)) as connection:
            assert await connection.recv() == repr(kwargs)


async def test_path_that_begins_with_two_slashes_has_no_host(serve_map, get_uri):
    async with serve_map() as server:
        async with connect(get_uri(server, "//number/42")) as connection:
            assert await connection.recv() == "{'number': 42}"


async def test_converter_converts(serve_map, get_uri):
    async with serve_map() as server:
        uuid = "12345678-1234-5678-1234-567812345678"
        async with connect(get_uri(server, f"/id/{uuid}")) as connection:
            assert await connection.recv() == f"{{'id': UUID('{uuid}')}}"


@pytest.mark.parametrize(
    "path", ["/nothing", "/number/x", "/number/", "/number/42/", "/hello/messages/other", "/all/"]
)
async def test_path_without_a_rule_is_not_found(serve_map, get_uri, path):
    async with serve_map() as server:
        response = await refusal(get_uri(server, path))
    assert response.status_code == http.HTTPStatus.NOT_FOUND
    assert response.body == b"Not Found"


async def test_rules_need_not_say_that_they_are_for_websocket(url_map):
    assert not any(rule.websocket for rule in url_map.iter_rules())
    route(url_map, "127.0.0.1", 0)
    assert all(rule.websocket for rule in url_map.iter_rules())


@pytest.mark.parametrize("path", ["/slash", "/old", "/slash//"])
async def test_redirects_are_followed(serve_map, get_uri, path):
    async with serve_map() as server:
        async with connect(get_uri(server, path)) as connection:
            assert connection.request.path == "/slash/"
            assert await connection.recv() == "{}"


@pytest.mark.parametrize(
    "kwargs, location",
    [
        ({}, "ws://localhost:8765/slash/?a=b"),
        ({"server_name": "example.com"}, "ws://example.com/slash/?a=b"),
        ({"server_name": "example.com:8080"}, "ws://example.com:8080/slash/?a=b"),
        ({"ssl": True}, "wss://localhost:8765/slash/?a=b"),
        ({"ssl": True, "server_name": "example.com"}, "wss://example.com/slash/?a=b"),
    ],
)
async def test_redirects_lead_to_the_host_that_clients_connect_to(
    serve_map, open_tcp_connection, kwargs, location
):
    async with serve_map(**kwargs) as server:
        response = await ask(
            server,
            open_tcp_connection,
            b"GET /slash?a=b HTTP/1.1\r\nHost: localhost:8765\r\n\r\n",
        )
    assert response.startswith(b"HTTP/1.1 302 Found\r\n")
    assert f"\r\nLocation: {location}\r\n".encode() in response
    assert response.endswith(f"\r\n\r\nFound at {location}".encode())


async def test_redirects_lead_to_tls_if_there_is_tls(serve_map, get_uri, server_tls, client_tls):
    async with serve_map(ssl=server_tls) as server:
        async with connect(get_uri(server, "/slash", scheme="wss"), ssl=client_tls) as connection:
            assert await connection.recv() == "{}"


async def test_own_process_request_comes_first(serve_map, get_uri):
    def process_request(connection, request):
        assert not hasattr(connection, "handler")
        if "Cookie" not in request.headers:
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "Who are you?\n")
        return None

    async def process_request_slowly(connection, request):
        return process_request(connection, request)

    for function in [process_request, process_request_slowly]:
        async with serve_map(process_request=function) as server:
            response = await refusal(get_uri(server, "/nothing"))
            assert response.status_code == http.HTTPStatus.UNAUTHORIZED
            async with connect(get_uri(server), additional_headers={"Cookie": "a=b"}) as connection:
                assert await connection.recv() == "{}"


async def test_process_request_may_be_none(serve_map, get_uri):
    async with serve_map(process_request=None) as server:
        async with connect(get_uri(server)) as connection:
            assert await connection.recv() == "{}"


async def test_router_can_be_of_a_subclass(serve_map, get_uri):
    class MyRouter(Router):
        def not_found(self, connection):
            return connection.respond(http.HTTPStatus.GONE, "Long ago\n")

        def get_server_name(self, connection, request):
            assert self.server_name == "given"
            return "example.com"

        def redirect(self, connection, url):
            return connection.respond(http.HTTPStatus.BAD_REQUEST, f"Try {url}\n")

        async def handler(self, connection):
            await connection.send("hello")
            await super().handler(connection)

    async with serve_map(create_router=MyRouter, server_name="given") as server:
        response = await refusal(get_uri(server, "/nothing"))
        assert (response.status_code, response.body) == (410, b"Long ago\n")
        response = await refusal(get_uri(server, "/slash"))
        assert (response.status_code, response.body) == (400, b"Try ws://example.com/slash/\n")
        async with connect(get_uri(server)) as connection:
            assert await connection.recv() == "hello"
            assert await connection.recv() == "{}"


async def test_connection_knows_its_handler(serve_map, get_uri):
    class MyRouter(Router):
        async def handler(self, connection):
            assert connection.handler is greet
            await connection.send(repr(connection.handler_kwargs))

    async with serve_map(create_router=MyRouter) as server:
        async with connect(get_uri(server, "/number/42")) as connection:
            assert await connection.recv() == "{'number': 42}"


async def test_endpoint_that_can_not_be_called_is_an_error(serve_map, get_uri, caplog):
    async with serve_map() as server:
        async with connect(get_uri(server, "/fail")) as connection:
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
    (record,) = caplog.records
    assert record.message == "connection handler failed"


@pytest.mark.parametrize(
    "data, status",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400, id="empty label"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: " + b"a" * 100 + b"\r\n\r\n", 400, id="long label"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a b/@[\r\n\r\n", 400, id="host with spaces"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", 400, id="host outside ASCII"),
        pytest.param(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, id="no rule"),
        pytest.param(b"GET //[ HTTP/1.1\r\nHost: a\r\n\r\n", 404, id="not an address"),
        pytest.param(b"GET http://a/slash/ HTTP/1.1\r\nHost: a\r\n\r\n", 426, id="whole URI"),
        pytest.param(b"GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", 302, id="no path"),
        pytest.param(b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", 302, id="not a URI"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, id="asterisk"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405, id="method"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", 400, id="HTTP/1.0"),
    ],
)
async def test_whatever_clients_ask_for_is_no_error(
    serve_map, open_tcp_connection, caplog, data, status
):
    async with serve_map() as server:
        response = await ask(server, open_tcp_connection, data)
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_redirects_inject_no_headers(open_tcp_connection, caplog):
    url_map = Map([Rule("/<name>/", endpoint=greet)])
    async with route(url_map, "127.0.0.1", 0) as server:
        response = await ask(
            server,
            open_tcp_connection,
            b"GET /a%0D%0ASet-Cookie:%20b?c=%0D%0Ad HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
    head, _, _ = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 302 Found\r\n")
    assert b"\r\nLocation: ws://localhost/a%0D%0ASet-Cookie:%20b/?c=%0D%0Ad" in head
    assert b"\r\nSet-Cookie" not in head
    assert caplog.records == []


async def test_unix_socket_can_be_listened_on(url_map, socket_path):
    path = socket_path
    async with unix_route(url_map, path):
        async with unix_connect(path, "ws://localhost/number/42") as connection:
            assert await connection.recv() == "{'number': 42}"
    async with unix_route(url_map, path=str(path)):
        async with unix_connect(path, "ws://localhost/number/42") as connection:
            assert await connection.recv() == "{'number': 42}"


def test_unix_socket_may_be_given_otherwise(url_map):
    assert unix_route(url_map, sock=None) is not None


def test_missing_werkzeug_is_told_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "werkzeug", None)
    with pytest.raises(
        ImportError, match=r"route\(\) requires werkzeug: install ws-asyncio\[router\]"
    ):
        route(None, "127.0.0.1", 0)
