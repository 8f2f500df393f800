"""Routing."""

import sys

import pytest
from werkzeug.routing import Map, Rule

from ws_protocol.exceptions import InvalidStatus
from ws_threading import Router, connect, route, unix_connect, unix_route

from .conftest import get_uri


def show(websocket, **arguments):
    """Send the arguments from the path."""
    websocket.send(repr(arguments))


URL_MAP = Map(
    [Rule("/", endpoint=show), Rule("/<int:number>/", endpoint=show)], redirect_defaults=False
)


def test_path_chooses_the_handler(run):
    server = run(URL_MAP, make=route)
    with connect(get_uri(server)) as websocket:
        assert websocket.recv() == "{}"
    # A redirect adds the slash.
    with connect(get_uri(server, "/42")) as websocket:
        assert websocket.recv() == "{'number': 42}"
    with pytest.raises(InvalidStatus) as raised:
        connect(get_uri(server, "/other"))
    assert raised.value.response.status_code == 404


def test_request_is_processed_before_it_is_routed(run):
    def process_request(connection, request):
        return connection.respond(403, "") if request.path == "/1/" else None

    class MyRouter(Router):
        pass

    server = run(
        URL_MAP, make=route, process_request=process_request, create_router=MyRouter, ssl=True
    )
    with connect(get_uri(server)) as websocket:
        assert websocket.recv() == "{}"
    with pytest.raises(InvalidStatus) as raised:
        connect(get_uri(server, "/1/"))
    assert raised.value.response.status_code == 403


def test_routes_can_be_served_with_tls_on_a_unix_socket(run, socket_path, server_tls, client_tls):
    def make(url_map, *_, **options):
        return unix_route(url_map, socket_path, **options)

    run(URL_MAP, make=make, ssl=server_tls)
    with unix_connect(socket_path, "wss://localhost/7/", ssl=client_tls) as websocket:
        assert websocket.recv() == "{'number': 7}"


def test_path_of_a_unix_socket_is_required():
    with pytest.raises(ValueError, match="missing path argument"):
        unix_route(URL_MAP)


def test_route_without_werkzeug_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "werkzeug", None)
    with pytest.raises(ImportError, match=r"install ws-threading\[router\]"):
        route(URL_MAP, "localhost", 0)
