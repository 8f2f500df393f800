"""Routing."""

import sys

import pytest
from trio.testing import trio_test
from werkzeug.routing import Map, Rule

from ws_protocol.exceptions import InvalidStatus
from ws_trio import Router, connect, route, unix_connect, unix_route


async def show(websocket, **arguments):
    """Send the arguments from the path."""
    await websocket.send(repr(arguments))


URL_MAP = Map(
    [Rule("/", endpoint=show), Rule("/<int:number>/", endpoint=show)], redirect_defaults=False
)


@trio_test
async def test_path_chooses_the_handler(run_server, get_uri):
    async with run_server(URL_MAP, run=route, port=0, host="127.0.0.1") as server:
        async with connect(get_uri(server)) as websocket:
            assert await websocket.recv() == "{}"
        # A redirect adds the slash.
        async with connect(get_uri(server, "/42")) as websocket:
            assert await websocket.recv() == "{'number': 42}"
        with pytest.raises(InvalidStatus) as raised:
            async with connect(get_uri(server, "/other")):
                pytest.fail("connected")
        assert raised.value.response.status_code == 404


@trio_test
async def test_request_is_processed_before_it_is_routed(run_server, get_uri):
    async def refuse(connection, request):
        return connection.respond(403, "") if request.path == "/1/" else None

    def allow(connection, request):
        return None

    class MyRouter(Router):
        pass

    for process_request in (refuse, allow):
        async with run_server(
            URL_MAP,
            run=route,
            port=0,
            host="127.0.0.1",
            process_request=process_request,
            create_router=MyRouter,
            ssl=True,
        ) as server:
            async with connect(get_uri(server)) as websocket:
                assert await websocket.recv() == "{}"
            if process_request is refuse:
                with pytest.raises(InvalidStatus):
                    async with connect(get_uri(server, "/1/")):
                        pytest.fail("connected")


@trio_test
async def test_routes_can_be_served_with_tls_on_a_unix_socket(
    run_server, socket_path, server_tls, client_tls
):
    async with run_server(URL_MAP, run=unix_route, path=socket_path, ssl=server_tls):
        async with unix_connect(socket_path, "wss://localhost/7/", ssl=client_tls) as websocket:
            assert await websocket.recv() == "{'number': 7}"


@trio_test
async def test_route_without_werkzeug_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "werkzeug", None)
    with pytest.raises(ImportError, match=r"install ws-trio\[router\]"):
        await route(URL_MAP, 0)
