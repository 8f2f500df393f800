"""What breaks in an upgrade: programs before and after it, and the errors that the guide shows."""

import asyncio
import contextlib
import re
from pathlib import Path

import pytest

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "examples" / "upgrade"
PAGE = (ROOT / "docs" / "upgrade" / "breakages.rst").read_text(encoding="utf-8")
TIMEOUT = 30

# Interpreters start.
pytestmark = pytest.mark.slow

NO_ARGUMENT = "TypeError: BaseEventLoop.create_connection() got an unexpected keyword argument "
NO_ATTRIBUTE = "AttributeError: 'ClientConnection' object has no attribute "

# What the last line of each client is before, whether that is an error, and what it prints after.
CLIENTS = {
    "close_code": ("4000 bye", False, "4000 bye\n"),
    "closed": (f"{NO_ATTRIBUTE}'closed'", True, "closed\n"),
    "create_protocol": (f"{NO_ARGUMENT}'create_protocol'", True, "Connection\n"),
    "create_task": ("TypeError: a coroutine was expected, got ", True, "Hello!\n"),
    "extra_headers": (f"{NO_ARGUMENT}'extra_headers'", True, "Hello!\n"),
    "headers": (f"{NO_ATTRIBUTE}'path'", True, "/\nlocalhost\nwebsocket\n"),
    "loop": (f"{NO_ARGUMENT}'loop'", True, "Hello!\n"),
    "open": (f"{NO_ATTRIBUTE}'open'", True, "open\n"),
    "read_limit": (f"{NO_ARGUMENT}'read_limit'", True, "Hello!\n"),
    "reconnect": (
        "ws_protocol.exceptions.InvalidStatus: server rejected WebSocket connection: HTTP 404",
        True,
        "third time lucky\n",
    ),
    "status": (
        "ws_protocol.exceptions.InvalidStatus: server rejected WebSocket connection: HTTP 401",
        True,
        "refused with 401\n",
    ),
    "timeout": (f"{NO_ARGUMENT}'timeout'", True, "Hello!\n"),
    "user_agent": ("['our-client/1.0']", False, "['our-client/1.0']\n"),
}

# The same for programs that need no other side.
ALONE = {
    "imports": ("ws_legacy.client ws_legacy.server", False, "ws_asyncio.client ws_asyncio.server\n")
}

# What the log of each server, or its last line, says before; the first three can't start.
SERVERS = {
    "ws_handler": "TypeError: serve() missing 1 required positional argument: 'handler'",
    "response_headers": (
        "TypeError: BaseEventLoop.create_server() got an unexpected keyword argument "
        "'extra_headers'"
    ),
    "basic_auth": (
        "TypeError: BaseEventLoop.create_server() got an unexpected keyword argument "
        "'create_protocol'"
    ),
    "handler_path": "TypeError: echo() missing 1 required positional argument: 'path'",
    "select_subprotocol": "TypeError: argument of type 'ServerConnection' is not ",
}


@contextlib.asynccontextmanager
async def serving(name, port):
    """Run the server for a client."""
    attempts = []

    async def handler(websocket):
        if name == "close_code":
            await websocket.close(4000, "bye")
        if name == "reconnect":
            await websocket.send("third time lucky")
        async for message in websocket:
            await websocket.send(message)

    def process_request(connection, request):
        attempts.append(request)
        if name == "status":
            return connection.respond(401, "no")
        if name == "reconnect" and len(attempts) < 3:
            return connection.respond(404, "not yet")
        return None

    async with serve(handler, "localhost", port, process_request=process_request):
        yield


async def finish(process):
    """Wait until a program ends; return its status, its output and its errors."""
    async with asyncio.timeout(TIMEOUT):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


def test_every_program_is_run_here():
    names = {path.stem for path in PROGRAMS.glob("*.py")}
    tested = {*CLIENTS, *ALONE, *SERVERS, "event_loop", "process_request", "subprotocols"}
    assert names == {f"{name}_{when}" for name in tested for when in ("before", "after")}


def test_page_shows_every_program():
    included = set(re.findall(r"literalinclude:: .*/(\w+)\.py", PAGE))
    assert included == {path.stem for path in PROGRAMS.glob("*.py")}


@pytest.mark.parametrize("name", [*CLIENTS, *ALONE])
async def test_client(start_program, name):
    last, fails, after = (CLIENTS | ALONE)[name]
    context = serving(name, start_program.port) if name in CLIENTS else contextlib.nullcontext()
    async with context:
        # Warnings that the guide speaks of aren't errors here.
        before = await start_program(f"upgrade/{name}_before.py", listens=False, warnings="ignore")
        status, output, errors = await finish(before)
        assert bool(status) is fails
        line = (errors if fails else output).splitlines()[-1]
        assert line.startswith(last)
        if fails:
            assert f"\n   {last}" in PAGE
    async with serving(name, start_program.port):
        process = await start_program(f"upgrade/{name}_after.py", listens=False)
        assert await finish(process) == (0, after, "")


async def test_ambiguous_code_of_a_closed_connection_warns(start_program):
    async with serving("close_code", start_program.port):
        process = await start_program(
            "upgrade/close_code_before.py", listens=False, warnings="always"
        )
        _, _, errors = await finish(process)
    warning = re.search("DeprecationWarning: .*", errors)[0]
    assert f"\n   {warning}" in PAGE


@pytest.mark.parametrize("name", ["ws_handler", "response_headers", "basic_auth"])
async def test_server_that_does_not_start(start_program, name):
    process = await start_program(f"upgrade/{name}_before.py", listens=False)
    status, _, errors = await finish(process)
    assert status == 1
    assert errors.splitlines()[-1] == SERVERS[name]
    assert f"\n   {SERVERS[name]}" in PAGE


@pytest.mark.parametrize("name", ["handler_path", "select_subprotocol"])
async def test_server_that_fails_for_each_client(start_program, name):
    process = await start_program(f"upgrade/{name}_before.py")
    uri = f"ws://localhost:{start_program.port}/health"
    with pytest.raises((ConnectionClosed, InvalidStatus)) as excinfo:
        async with connect(uri, subprotocols=["chat"]) as websocket:
            await websocket.recv()
    if name == "handler_path":
        assert excinfo.value.rcvd.code == 1011
    else:
        assert excinfo.value.response.status_code == 500
    process.kill()
    _, _, errors = await finish(process)
    assert f"\n{SERVERS[name]}" in errors
    assert f"\n   {SERVERS[name]}" in PAGE


async def test_server_that_takes_a_connection_for_a_path(start_program):
    await start_program("upgrade/process_request_before.py")
    reader, writer = await asyncio.open_connection("localhost", start_program.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    line = (await reader.readline()).decode().strip()
    writer.close()
    assert line == "HTTP/1.1 426 Upgrade Required"
    assert f"\n   {line}" in PAGE


async def test_server_for_a_path(start_program):
    await start_program("upgrade/handler_path_after.py")
    async with connect(f"ws://localhost:{start_program.port}/path") as websocket:
        assert await websocket.recv() == "/path"


@pytest.mark.parametrize("name", ["ws_handler_after", "event_loop_before", "event_loop_after"])
async def test_server_that_echoes(start_program, name):
    await start_program(f"upgrade/{name}.py")
    async with connect(f"ws://localhost:{start_program.port}/") as websocket:
        await websocket.send("Hello!")
        assert await websocket.recv() == "Hello!"


async def test_server_that_answers_health_checks(start_program, get_response):
    await start_program("upgrade/process_request_after.py")
    response = await get_response(f"ws://localhost:{start_program.port}/health")
    assert (response.status_code, response.body) == (200, b"OK\n")
    async with connect(f"ws://localhost:{start_program.port}/"):
        pass


async def test_server_that_adds_a_header_to_responses(start_program):
    await start_program("upgrade/response_headers_after.py")
    async with connect(f"ws://localhost:{start_program.port}/") as websocket:
        assert websocket.response.headers["X-Served-By"] == "one"


async def test_server_that_asks_for_credentials(start_program, get_response):
    await start_program("upgrade/basic_auth_after.py")
    response = await get_response(f"ws://localhost:{start_program.port}/")
    assert response.status_code == 401
    async with connect(f"ws://alice:secret@localhost:{start_program.port}/"):
        pass


async def test_server_with_subprotocols_refuses_clients_without(start_program, get_response):
    await start_program("upgrade/subprotocols_before.py")
    response = await get_response(f"ws://localhost:{start_program.port}/")
    assert response.status_code == 400
    message = response.body.decode().strip().splitlines()[-1]
    assert f"\n   {message}" in PAGE


@pytest.mark.parametrize("name", ["subprotocols_after", "select_subprotocol_after"])
async def test_server_that_chooses_a_subprotocol_or_none(start_program, name):
    await start_program(f"upgrade/{name}.py")
    uri = f"ws://localhost:{start_program.port}/"
    async with connect(uri, subprotocols=["chat"]) as websocket:
        assert websocket.subprotocol == "chat"
    async with connect(uri) as websocket:
        assert websocket.subprotocol is None
