import os
import socket

import pytest

from ws_asyncio import connect, serve, unix_connect, unix_serve

pytestmark = [
    pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"]),
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets"),
]


async def greet(connection):
    await connection.send(connection.request.headers["Host"])


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "path"])
async def test_path_may_be_a_string_or_an_object(socket_path, convert):
    path = convert(socket_path)
    async with unix_serve(greet, path) as server:
        async with unix_connect(path) as connection:
            assert await connection.recv() == "localhost"
            assert connection.remote_address == str(path)
        assert [sock.getsockname() for sock in server.sockets] == [str(path)]


async def test_uri_gives_path_and_host(socket_path):
    path = socket_path
    async with unix_serve(greet, path):
        async with unix_connect(path, "ws://example.com/path") as connection:
            assert await connection.recv() == "example.com"
            assert connection.request.path == "/path"


async def test_tls_is_used_if_there_is_a_context(socket_path, server_tls, client_tls):
    path = socket_path
    async with unix_serve(greet, path, ssl=server_tls):
        async with unix_connect(path, ssl=client_tls) as connection:
            assert await connection.recv() == "localhost"
            ssl_object = connection.transport.get_extra_info("ssl_object")
            assert ssl_object.server_hostname == "localhost"


async def test_socket_can_be_brought(socket_path):
    path = str(socket_path)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    async with unix_serve(greet, sock=listening):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        async with unix_connect(sock=sock) as connection:
            assert await connection.recv() == "localhost"


async def test_proxy_is_not_used(socket_path, monkeypatch):
    monkeypatch.setenv("ws_proxy", "http://127.0.0.1:1")
    path = socket_path
    async with unix_serve(greet, path):
        async with unix_connect(path) as connection:
            assert await connection.recv() == "localhost"


async def test_missing_socket_is_a_network_error(socket_path):
    with pytest.raises(FileNotFoundError):
        await unix_connect(socket_path)


async def test_functions_differ_in_the_first_arguments_only(socket_path):
    path = os.fspath(socket_path)
    async with serve(greet, unix=True, path=path):
        async with connect("ws://localhost/", unix=True, path=path) as connection:
            assert await connection.recv() == "localhost"
