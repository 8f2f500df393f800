"""Exceptions are the same whatever path a program imports, or loads, them by."""

import importlib
import pickle

import pytest

import websockets
import ws_protocol.exceptions
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.frames import Close
from websockets.http11 import Response

ARGUMENTS = {
    "ConnectionClosed": (Close(1000, "bye"), Close(1000, "bye"), True),
    "ConnectionClosedError": (None, Close(1011, "oops")),
    "ConnectionClosedOK": (Close(1001, ""), None),
    "DuplicateParameter": ("client_max_window_bits",),
    "InvalidHeader": ("Upgrade",),
    "InvalidHeaderFormat": ("Upgrade", "expected token", "(", 0),
    "InvalidHeaderValue": ("Sec-WebSocket-Accept", "x"),
    "InvalidMethod": ("POST",),
    "InvalidOrigin": ("https://example.com",),
    "InvalidParameterName": ("window_bits",),
    "InvalidParameterValue": ("client_max_window_bits", "7"),
    "InvalidProtocol": ("HTTP/1.0",),
    "InvalidProxy": ("http://", "no host"),
    "InvalidProxyStatus": (Response(407, "Proxy Authentication Required", Headers()),),
    "InvalidStatus": (Response(403, "Forbidden", Headers(Server="x"), b"no\n"),),
    "InvalidUpgrade": ("Upgrade", "h2c"),
    "InvalidURI": ("http://", "no host"),
    "PayloadTooBig": (2000, 1000, 500),
}


@pytest.fixture(params=ws_protocol.exceptions.__all__)
def exception(request):
    """An exception of each class."""
    arguments = ARGUMENTS.get(request.param, ("something is wrong",))
    return getattr(importlib.import_module("websockets.exceptions"), request.param)(*arguments)


@pytest.mark.parametrize("module", ["websockets", "websockets.exceptions"])
def test_exception_that_was_pickled_by_the_path_of_an_alias_can_be_loaded(exception, module):
    # As by a program that has the public library, which defines them there.
    pickled = pickle.dumps(exception, protocol=3)
    home = b"ws_protocol.exceptions\n" + type(exception).__name__.encode()
    assert home in pickled
    loaded = pickle.loads(pickled.replace(b"ws_protocol.exceptions", module.encode()))
    assert type(loaded) is type(exception)
    assert str(loaded) == str(exception)


async def test_exceptions_raised_by_connections_are_those_of_every_path():
    async def refuse(connection, request):
        return connection.respond(403, "no\n")

    async with serve(None, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(websockets.InvalidStatus) as raised:
            await connect(f"ws://127.0.0.1:{port}/", proxy=None)
    assert type(raised.value) is importlib.import_module("websockets.exceptions").InvalidStatus
    assert raised.value.response.body == b"no\n"
