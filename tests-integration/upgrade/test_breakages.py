"""What breaks in an upgrade: programs before and after it, and the errors that the guide shows."""

import asyncio
import collections
import contextlib
import doctest
import re
from pathlib import Path

import pytest
from docblocks import read_blocks

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "examples" / "upgrade"
PAGE = "docs/upgrade/breakages.rst"
TIMEOUT = 30

# Interpreters start.
pytestmark = pytest.mark.slow


def read_messages():
    """Return what the page says of each program that doesn't work any more, by name.

    What it says of no program is under None.
    """
    messages = collections.defaultdict(list)
    name = None
    for block in read_blocks(ROOT / PAGE):
        if block.file is not None:
            stem = block.file.stem
            name = stem.removesuffix("_before") if stem.endswith("_before") else None
        else:
            messages[name].append(block.code)
    return messages


MESSAGES = read_messages()

# What each client prints after the upgrade.
CLIENTS = {
    "close_code": "4000 bye\n",
    "closed": "closed\n",
    "create_protocol": "Connection\n",
    "create_task": "Hello!\n",
    "extra_headers": "Hello!\n",
    "headers": "/\nlocalhost\nwebsocket\n",
    "loop": "Hello!\n",
    "open": "open\n",
    "read_limit": "Hello!\n",
    "reconnect": "third time lucky\n",
    "status": "refused with 401\n",
    "timeout": "Hello!\n",
    "user_agent": "['our-client/1.0']\n",
}

# What those print before that don't fail, and the program that needs no other side.
WORKING = {
    "close_code": "4000 bye\n",
    "imports": "ws_legacy.client ws_legacy.server\n",
    "user_agent": "['our-client/1.0']\n",
}

# Servers whose programs end at once, and servers that tell clients of their failure.
ENDING = ["basic_auth", "response_headers", "ws_handler"]
FAILING = ["handler_path", "select_subprotocol"]

# What has a test of its own.
OTHERS = ["event_loop", "imports", "process_request", "subprotocols"]

# What another library says, in versions before 13.
OF_ANOTHER_LIBRARY = (
    "TypeError: BaseEventLoop.create_connection() got an unexpected keyword argument "
    "'additional_headers'"
)

OF_THE_ORIGINAL_API = (
    "TypeError: connect() got an unexpected keyword argument 'additional_headers', which the new "
    "API has; rename it to extra_headers, or import connect from websockets.asyncio.client"
)


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


def check_message(name, printed):
    """Check that the page shows what was printed; it has ``...`` for what may be anything."""
    [message] = MESSAGES[name]
    assert doctest.OutputChecker().check_output(message, printed, doctest.ELLIPSIS), printed


def test_every_program_is_run_here():
    names = {path.stem for path in PROGRAMS.glob("*.py")}
    tested = {*CLIENTS, *ENDING, *FAILING, *OTHERS}
    assert names == {f"{name}_{when}" for name in tested for when in ("before", "after")}


def test_page_shows_every_program():
    included = {block.file for block in read_blocks(ROOT / PAGE) if block.file}
    assert included == set(PROGRAMS.glob("*.py"))


def test_every_message_of_the_page_is_compared_here():
    tested = {*CLIENTS, *ENDING, *FAILING, *OTHERS}
    without = {"event_loop", "imports", "user_agent"}
    assert MESSAGES.keys() == (tested - without) | {None}
    assert MESSAGES[None] == [OF_ANOTHER_LIBRARY, OF_THE_ORIGINAL_API]


def test_argument_of_the_new_api_in_the_original_one():
    with pytest.raises(TypeError) as excinfo:
        websockets.connect("ws://localhost/", additional_headers={})
    assert f"TypeError: {excinfo.value}" == OF_THE_ORIGINAL_API


@pytest.mark.parametrize("name", CLIENTS)
async def test_client_before(start_program, name):
    async with serving(name, start_program.port):
        # Warnings that the guide speaks of aren't errors here.
        process = await start_program(f"upgrade/{name}_before.py", listens=False, warnings="ignore")
        status, output, errors = await finish(process)
    if name in WORKING:
        assert (status, output, errors) == (0, WORKING[name], "")
    else:
        assert status == 1
        check_message(name, errors.splitlines()[-1])


@pytest.mark.parametrize("name", CLIENTS)
async def test_client_after(start_program, name):
    async with serving(name, start_program.port):
        process = await start_program(f"upgrade/{name}_after.py", listens=False)
        assert await finish(process) == (0, CLIENTS[name], "")


async def test_imports(start_program):
    for when, output in [
        ("before", WORKING["imports"]),
        ("after", "ws_asyncio.client ws_asyncio.server\n"),
    ]:
        process = await start_program(f"upgrade/imports_{when}.py", listens=False)
        assert await finish(process) == (0, output, "")


async def test_ambiguous_code_of_a_closed_connection_warns(start_program):
    async with serving("close_code", start_program.port):
        process = await start_program(
            "upgrade/close_code_before.py", listens=False, warnings="always"
        )
        _, _, errors = await finish(process)
    check_message("close_code", re.search("DeprecationWarning: .*", errors)[0])


@pytest.mark.parametrize("name", ENDING)
async def test_server_that_does_not_start(start_program, name):
    process = await start_program(f"upgrade/{name}_before.py", listens=False)
    status, _, errors = await finish(process)
    assert status == 1
    check_message(name, errors.splitlines()[-1])


@pytest.mark.parametrize("name", FAILING)
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
    check_message(name, re.search("^TypeError: .*", errors, re.MULTILINE)[0])


async def test_server_that_takes_a_connection_for_a_path(start_program):
    await start_program("upgrade/process_request_before.py")
    reader, writer = await asyncio.open_connection("localhost", start_program.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    line = (await reader.readline()).decode().strip()
    writer.close()
    check_message("process_request", line)


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
    check_message("subprotocols", response.body.decode().strip().splitlines()[-1])


@pytest.mark.parametrize("name", ["subprotocols_after", "select_subprotocol_after"])
async def test_server_that_chooses_a_subprotocol_or_none(start_program, name):
    await start_program(f"upgrade/{name}.py")
    uri = f"ws://localhost:{start_program.port}/"
    async with connect(uri, subprotocols=["chat"]) as websocket:
        assert websocket.subprotocol == "chat"
    async with connect(uri) as websocket:
        assert websocket.subprotocol is None
