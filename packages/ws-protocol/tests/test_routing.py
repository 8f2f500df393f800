import http

import pytest

from ws_protocol.connection import BaseConnection
from ws_protocol.datastructures import Headers
from ws_protocol.http11 import Request
from ws_protocol.routing import BaseRouter
from ws_protocol.server import ServerProtocol
from ws_protocol.session import Session

# werkzeug isn't here, since this package doesn't need it: these classes have what it documents.
# The tests of ways of doing I/O use the real one.


class HTTPException(Exception):
    def get_response(self):
        raise NotImplementedError


class RequestRedirect(HTTPException):
    def __init__(self, new_url):
        self.new_url = new_url


class Rule:
    websocket = False


class Map:
    def __init__(self, **targets):
        self.targets = targets
        self.rules = [Rule(), Rule()]
        self.bound = []

    def iter_rules(self):
        return iter(self.rules)

    def bind(self, server_name, *, url_scheme):
        self.bound.append((server_name, url_scheme))
        if " " in server_name:
            raise HTTPException
        if server_name == "bug":
            raise ZeroDivisionError
        return self

    def match(self, *, path_info, query_args, websocket):
        assert websocket is True
        target = self.targets.get(path_info, HTTPException())
        if isinstance(target, Exception):
            raise target
        return target, {"path": path_info, "query": query_args}


class Connection(BaseConnection):
    def respond(self, status, text):
        return self.protocol.reject(status, text)


@pytest.fixture
def connection():
    return Connection(Session(ServerProtocol()))


def ask(connection, path, hosts=("localhost",), **kwargs):
    """Route a request; return the map and the response."""
    url_map = Map(
        **{
            "/a b": "handler",
            "//a": "another",
            "/old": RequestRedirect("ws://localhost/new"),
            "/bug": ZeroDivisionError(),
        }
    )
    headers = Headers([("Host", host) for host in hosts])
    router = BaseRouter(url_map, **kwargs)
    return url_map, router.route_request(connection, Request(path, headers))


@pytest.mark.parametrize(
    "path, handler, arguments",
    [
        ("/a%20b", "handler", {"path": "/a b", "query": ""}),
        ("/a%20b?c=d%20e?f", "handler", {"path": "/a b", "query": "c=d%20e?f"}),
        ("//a", "another", {"path": "//a", "query": ""}),
        ("ws://example.com/a%20b", "handler", {"path": "/a b", "query": ""}),
    ],
)
def test_handler_is_found(connection, path, handler, arguments):
    url_map, response = ask(connection, path)
    assert response is None
    assert connection.handler == handler
    assert connection.handler_kwargs == arguments
    assert url_map.bound == [("localhost", "ws")]
    assert all(rule.websocket for rule in url_map.rules)


def test_name_and_scheme_of_the_server_can_be_given(connection):
    url_map, _ = ask(connection, "/a b", server_name="example.com", url_scheme="wss")
    assert url_map.bound == [("example.com", "wss")]


def test_path_without_a_rule_is_not_found(connection):
    _, response = ask(connection, "/nothing")
    assert response.status_code == http.HTTPStatus.NOT_FOUND
    assert response.body == b"Not Found"


def test_redirect_is_a_response(connection):
    _, response = ask(connection, "/old")
    assert response.status_code == http.HTTPStatus.FOUND
    assert response.headers["Location"] == "ws://localhost/new"
    assert response.body == b"Found at ws://localhost/new"


@pytest.mark.parametrize("hosts", [[], ["a", "b"], ["a b"]], ids=repr)
def test_name_of_the_server_must_be_clear(connection, hosts):
    _, response = ask(connection, "/a b", hosts)
    assert response.status_code == http.HTTPStatus.BAD_REQUEST
    assert response.body == b"Invalid Host header"


def test_redirect_leads_to_names_that_the_server_has():
    connection = Connection(Session(ServerProtocol(allowed_hosts=["localhost"])))
    _, response = ask(connection, "/old", ["localhost"])
    assert response.status_code == http.HTTPStatus.FOUND
    _, response = ask(connection, "/old", ["evil.example"])
    assert response.status_code == http.HTTPStatus.BAD_REQUEST
    assert "Location" not in response.headers


@pytest.mark.parametrize("path, host", [("/bug", "localhost"), ("/a b", "bug")])
def test_mistake_in_the_rules_is_not_hidden(connection, path, host):
    with pytest.raises(ZeroDivisionError):
        ask(connection, path, [host])


# After a function of the user's


def test_request_is_routed_at_once_without_a_function():
    router = BaseRouter(Map())
    assert router.route_after(None) == router.route_request


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_function_answers_before_requests_are_routed(connection, asynchronous):
    def answer(connection, request):
        if request.path == "/health":
            return connection.respond(http.HTTPStatus.OK, "OK")
        return None

    async def answer_later(connection, request):
        return answer(connection, request)

    process_request = BaseRouter(Map()).route_after(answer_later if asynchronous else answer)
    statuses = []
    for path in ("/health", "/nothing"):
        response = process_request(connection, Request(path, Headers(Host="localhost")))
        if asynchronous:
            response = await response
        statuses.append(response.status_code)
    assert statuses == [http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND]
