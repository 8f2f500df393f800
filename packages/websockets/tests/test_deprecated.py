"""Names that were replaced long ago still work, and say what replaced them."""

import importlib
import linecache
import sys

import pytest

import websockets.client
import websockets.server
from websockets._aliases import DEPRECATED
from ws_protocol.client import ClientProtocol
from ws_protocol.protocol import SEND_EOF, Protocol, Side, State
from ws_protocol.server import ServerProtocol
from ws_protocol.uri import parse_uri

pytestmark = pytest.mark.filterwarnings("always::DeprecationWarning")


def blamed_line(warning):
    """Return the line of source that a warning points at."""
    return linecache.getline(warning.filename, warning.lineno).strip()


@pytest.fixture
def fresh_import(monkeypatch):
    """Have the next import of ``websockets.connection`` be the first."""
    monkeypatch.delitem(sys.modules, "websockets.connection", raising=False)
    monkeypatch.delattr(sys.modules["websockets"], "connection", raising=False)


@pytest.mark.usefixtures("fresh_import")
def test_import_of_connection_warns_at_the_line_that_imports():
    message = (
        "^websockets.connection was renamed to websockets.protocol "
        "and Connection was renamed to Protocol$"
    )
    with pytest.warns(DeprecationWarning, match=message) as warnings:
        import websockets.connection  # noqa: F401
    (warning,) = warnings
    assert blamed_line(warning).startswith("import websockets.connection")


@pytest.mark.usefixtures("fresh_import")
def test_import_from_connection_warns_at_the_line_that_imports():
    with pytest.warns(DeprecationWarning, match="renamed") as warnings:
        from websockets.connection import Connection  # noqa: F401
    (warning,) = warnings
    assert blamed_line(warning).startswith("from websockets.connection import Connection")


@pytest.mark.usefixtures("fresh_import")
def test_import_of_connection_from_package_warns_at_the_line_that_imports():
    with pytest.warns(DeprecationWarning, match="renamed") as warnings:
        from websockets import connection  # noqa: F401
    (warning,) = warnings
    assert blamed_line(warning).startswith("from websockets import connection")


@pytest.mark.usefixtures("fresh_import")
def test_connection_has_what_replaced_its_names():
    with pytest.warns(DeprecationWarning, match="renamed"):
        module = importlib.import_module("websockets.connection")
    assert module.Connection is Protocol
    assert module.SEND_EOF is SEND_EOF
    assert module.Side is Side
    assert module.State is State
    assert sorted(module.__all__) == ["Connection", "SEND_EOF", "Side", "State"]


@pytest.fixture
def fresh_import_of_http(monkeypatch):
    """Have the next import of ``websockets.http`` be the first."""
    monkeypatch.delitem(sys.modules, "websockets.http", raising=False)
    monkeypatch.delattr(sys.modules["websockets"], "http", raising=False)


@pytest.mark.usefixtures("fresh_import_of_http")
def test_import_from_http_warns_at_the_line_that_imports():
    message = (
        "^Headers and MultipleValuesError were moved from websockets.http to "
        "websockets.datastructures and read_request and read_response were moved from "
        "websockets.http to websockets.legacy.http$"
    )
    with pytest.warns(DeprecationWarning, match=message) as warnings:
        from websockets.http import Headers
    (warning,) = warnings
    assert blamed_line(warning).startswith("from websockets.http import Headers")
    assert Headers is websockets.Headers


@pytest.mark.parametrize("name", DEPRECATED)
def test_name_that_was_moved_warns_at_the_line_that_uses_it(name):
    with pytest.warns(DeprecationWarning, match=f"^websockets.{name} is deprecated$") as warnings:
        value = getattr(websockets, name)
    (warning,) = warnings
    assert blamed_line(warning).startswith("value = getattr(websockets, name)")
    assert value is DEPRECATED[name].load(name)
    assert name not in dir(websockets)


def test_client_connection_warns_at_the_line_that_calls_it():
    uri = parse_uri("wss://example.com/path")
    message = "^ClientConnection was renamed to ClientProtocol$"
    with pytest.warns(DeprecationWarning, match=message) as warnings:
        client = websockets.client.ClientConnection(uri, origin="https://example.com")
    (warning,) = warnings
    assert blamed_line(warning).startswith("client = websockets.client.ClientConnection(")
    assert isinstance(client, ClientProtocol)
    request = client.connect()
    assert (request.path, request.headers["Origin"]) == ("/path", "https://example.com")


def test_server_connection_warns_at_the_line_that_calls_it():
    message = "^ServerConnection was renamed to ServerProtocol$"
    with pytest.warns(DeprecationWarning, match=message) as warnings:
        server = websockets.server.ServerConnection(subprotocols=["chat"])
    (warning,) = warnings
    assert blamed_line(warning).startswith("server = websockets.server.ServerConnection(")
    assert isinstance(server, ServerProtocol)
    assert server.available_subprotocols == ["chat"]


def test_earlier_name_of_a_server_for_threads_warns():
    import websockets.sync.server as module

    with pytest.warns(DeprecationWarning, match="^WebSocketServer was renamed to Server$"):
        server = module.WebSocketServer  # the line that is to blame
    assert server is module.Server
    with pytest.raises(AttributeError, match=r"^module 'websockets.sync.server' has no attribute"):
        module.Spam  # noqa: B018
