import http
import socket

import pytest

from ws_asyncio import connect, serve, unix_connect, unix_serve
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import InvalidStatus, InvalidURI, SecurityError
from ws_protocol.limits import MAX_REDIRECTS

both_loops = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

CREDENTIALS = ["Authorization", "Cookie", "Proxy-Authorization"]


class Redirects:
    """A ``process_request`` function that redirects some paths.

    Attributes:
        locations: Where to, by path.
        status: HTTP status.
        requests: Requests that were received.

    """

    def __init__(self, locations=None, status=http.HTTPStatus.FOUND):
        self.locations = locations or {}
        self.status = status
        self.requests = []

    def __call__(self, connection, request):
        self.requests.append(request)
        location = self.locations.get(request.path)
        if location is None:
            return None
        response = connection.respond(self.status, "")
        response.headers["Location"] = location
        return response

    @property
    def paths(self):
        return [request.path for request in self.requests]


async def greet(connection):
    await connection.send(f"hello from {connection.request.path}")


def serve_redirects(redirects, **kwargs):
    return serve(greet, "127.0.0.1", 0, process_request=redirects, **kwargs)


@both_loops
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_redirect_is_followed(get_uri, status):
    redirects = Redirects({"/": "/new"}, status)
    async with serve_redirects(redirects) as server:
        async with connect(get_uri(server)) as connection:
            assert await connection.recv() == "hello from /new"
            assert connection.request.path == "/new"
        assert redirects.paths == ["/", "/new"]


@pytest.mark.parametrize(
    "location, path",
    [
        ("/new?a=b", "/new?a=b"),
        ("new", "/old/new"),
        ("../new", "/new"),
        ("?a=b", "/old/?a=b"),
        ("//{authority}/new", "/new"),
        ("ws://{authority}/new", "/new"),
        ("http://{authority}/new", "/new"),
        ("HTTP://{authority}/new", "/new"),
        ("/new#fragment", "/new"),
    ],
)
async def test_location_may_be_relative_or_of_http(get_uri, location, path):
    redirects = Redirects()
    async with serve_redirects(redirects) as server:
        authority = get_uri(server, "").removeprefix("ws://")
        redirects.locations["/old/"] = location.format(authority=authority)
        async with connect(get_uri(server, "/old/")) as connection:
            assert await connection.recv() == f"hello from {path}"


async def test_status_without_a_location_is_a_refusal(get_uri):
    def process_request(connection, request):
        return connection.respond(http.HTTPStatus.FOUND, "")

    async with serve(greet, "127.0.0.1", 0, process_request=process_request) as server:
        with pytest.raises(InvalidStatus):
            await connect(get_uri(server))


@pytest.mark.parametrize("status", [200, 201, 304, 404, 503])
async def test_location_of_another_status_is_not_followed(get_uri, status):
    redirects = Redirects({"/": "/new"}, status)
    async with serve_redirects(redirects) as server:
        with pytest.raises(InvalidStatus):
            await connect(get_uri(server))
        assert redirects.paths == ["/"]


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "ws://[", "ws://127.0.0.1:x/"])
async def test_location_that_is_not_a_websocket_uri_is_refused(get_uri, location):
    async with serve_redirects(Redirects({"/": location})) as server:
        with pytest.raises(InvalidURI):
            await connect(get_uri(server))


async def test_circular_redirects_come_to_an_end(get_uri):
    redirects = Redirects({"/": "/"})
    async with serve_redirects(redirects) as server:
        with pytest.raises(SecurityError, match=f"more than {MAX_REDIRECTS} redirects"):
            await connect(get_uri(server))
        assert len(redirects.requests) == MAX_REDIRECTS + 1


async def test_as_many_redirects_as_allowed_are_followed(get_uri):
    locations = {f"/{i}": f"/{i + 1}" for i in range(MAX_REDIRECTS)}
    async with serve_redirects(Redirects(locations)) as server:
        async with connect(get_uri(server, "/0")) as connection:
            assert await connection.recv() == f"hello from /{MAX_REDIRECTS}"


async def test_redirects_share_one_timeout(clock, get_uri):
    async def process_request(connection, request):
        await clock.advance(4)
        return redirects(connection, request)

    redirects = Redirects({"/": "/"})
    async with serve(greet, "127.0.0.1", 0, process_request=process_request) as server:
        with pytest.raises(TimeoutError):
            await connect(get_uri(server), open_timeout=10)
        assert len(redirects.requests) == 2


async def test_iterator_begins_at_the_first_uri_again(get_uri):
    redirects = Redirects({"/": "/new"})
    async with serve_redirects(redirects) as server:
        connections = 0
        async for _ in connect(get_uri(server)):
            connections += 1
            if connections == 2:
                break
        assert redirects.paths == ["/", "/new", "/", "/new"]


# Credentials


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize("change_case", [str, str.lower, str.upper])
async def test_credentials_are_sent_again_to_the_same_origin(get_uri, name, change_case):
    redirects = Redirects({"/": "/new"})
    headers = {change_case(name): "secret", "X-Other": "1"}
    async with serve_redirects(redirects) as server:
        async with connect(get_uri(server), additional_headers=headers):
            pass
    for request in redirects.requests:
        assert request.headers.get_all(name) == ["secret"]
        assert request.headers["X-Other"] == "1"


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize("change_case", [str, str.lower, str.upper])
async def test_credentials_do_not_cross_origins(get_uri, name, change_case):
    first, second = Redirects(), Redirects()
    headers = {change_case(name): "secret", "X-Other": "1"}
    async with serve_redirects(first) as server, serve_redirects(second) as other:
        first.locations["/"] = get_uri(other)
        async with connect(get_uri(server), additional_headers=headers):
            pass
    assert first.requests[0].headers[name] == "secret"
    assert name not in second.requests[0].headers
    assert second.requests[0].headers["X-Other"] == "1"


async def test_credentials_that_crossed_no_origin_do_not_come_back(get_uri):
    first, second = Redirects(), Redirects()
    headers = Headers({"Authorization": "secret"})
    async with serve_redirects(first) as server, serve_redirects(second) as other:
        first.locations["/"] = get_uri(other)
        second.locations["/"] = get_uri(server, "/new")
        async with connect(get_uri(server), additional_headers=headers):
            pass
    assert "Authorization" not in first.requests[1].headers
    # The next connection has them again.
    assert headers["Authorization"] == "secret"


async def test_credentials_of_the_uri_stay_with_its_origin(get_uri):
    first, second = Redirects({"/": "/new"}), Redirects()
    async with serve_redirects(first) as server, serve_redirects(second) as other:
        first.locations["/new"] = get_uri(other)
        async with connect(get_uri(server).replace("://", "://hello:iloveyou@")):
            pass
    assert [request.headers.get("Authorization") for request in first.requests] == [
        "Basic aGVsbG86aWxvdmV5b3U="
    ] * 2
    assert "Authorization" not in second.requests[0].headers


async def test_port_belongs_to_the_origin_and_host_does_too(get_uri):
    redirects = Redirects()
    async with serve_redirects(redirects) as server:
        redirects.locations["/"] = get_uri(server, "/new").replace("127.0.0.1", "localhost")
        async with connect(get_uri(server), additional_headers={"Cookie": "secret"}):
            pass
    assert "Cookie" not in redirects.requests[1].headers


# TLS


@both_loops
async def test_redirect_from_tls_to_no_tls_is_refused(get_uri, server_tls, client_tls):
    redirects, other = Redirects(), Redirects()
    async with (
        serve_redirects(redirects, ssl=server_tls) as server,
        serve_redirects(other) as plain,
    ):
        for location in [get_uri(plain), get_uri(plain, scheme="http")]:
            redirects.locations["/"] = location
            with pytest.raises(SecurityError, match="redirect from WSS to WS"):
                await connect(get_uri(server, scheme="wss"), ssl=client_tls)
    assert other.requests == []


@both_loops
@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_redirect_from_no_tls_to_tls_is_followed(get_uri, server_tls, scheme):
    redirects, other = Redirects(), Redirects()
    async with (
        serve_redirects(redirects) as server,
        serve_redirects(other, ssl=server_tls) as secure,
    ):
        redirects.locations["/"] = get_uri(secure, scheme=scheme)
        async with connect(get_uri(server), additional_headers={"Cookie": "secret"}) as connection:
            assert connection.transport.get_extra_info("ssl_object") is not None
    assert "Cookie" not in other.requests[0].headers


@both_loops
async def test_server_hostname_is_not_for_another_origin(get_uri, server_tls, client_tls):
    first, second = Redirects({"/": "/new"}), Redirects()
    async with (
        serve_redirects(first, ssl=server_tls) as server,
        serve_redirects(second, ssl=server_tls) as other,
    ):
        # Else the certificate of 127.0.0.1 would have to be for localhost, and is.
        first.locations["/new"] = get_uri(other, scheme="wss")
        async with connect(
            get_uri(server, scheme="wss"), ssl=client_tls, server_hostname="localhost"
        ) as connection:
            ssl_object = connection.transport.get_extra_info("ssl_object")
            assert ssl_object.server_hostname == "127.0.0.1"
    assert len(first.requests) == 2


# Where the connection was to go


async def test_redirect_with_a_socket_is_refused(get_uri):
    async with serve_redirects(Redirects({"/": "/new"})) as server:
        sock = socket.create_connection(server.sockets[0].getsockname())
        with pytest.raises(ValueError, match=r"cannot follow redirect to .*/new with a preex"):
            await connect(get_uri(server), sock=sock)
        assert sock.fileno() == -1


async def test_host_and_port_hold_for_the_same_origin():
    redirects = Redirects({"/": "/new"})
    async with serve_redirects(redirects) as server:
        host, port = server.sockets[0].getsockname()
        async with connect("ws://example.com/", host=host, port=port) as connection:
            assert await connection.recv() == "hello from /new"
    assert [request.headers["Host"] for request in redirects.requests] == ["example.com"] * 2


async def test_host_and_port_do_not_hold_for_another_origin(get_uri):
    first, second = Redirects(), Redirects()
    async with serve_redirects(first) as server, serve_redirects(second) as other:
        first.locations["/"] = get_uri(other)
        host, port = server.sockets[0].getsockname()
        async with connect("ws://example.com/", host=host, port=port) as connection:
            assert connection.remote_address == other.sockets[0].getsockname()


@both_loops
async def test_unix_socket_holds_for_the_same_origin_only(socket_path, get_uri):
    path = socket_path
    redirects = Redirects({"/": "/new"})
    async with unix_serve(greet, path, process_request=redirects):
        async with unix_connect(path) as connection:
            assert await connection.recv() == "hello from /new"
        redirects.locations["/"] = "ws://example.com/"
        with pytest.raises(
            ValueError, match=r"cannot follow cross-origin redirect .* with a Unix socket"
        ):
            await unix_connect(path)
