"""Every example in a docstring is run, with what it leaves open filled in as a reader would.

It is run as a program, in a thread of its own, with what its package exports. On the other side is
a client or a server on threads, for all packages.
"""

import ast
import asyncio
import contextlib
import functools
import http
import importlib
import itertools
import queue
import re
import textwrap
import uuid

import pytest
import trio
from adapters.driver import TIMEOUT, start_in_thread
from docblocks import MODULES, read_docstrings

from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus
from websockets.frames import CloseCode
from websockets.sync.client import connect, reconnect
from websockets.sync.server import serve

EXAMPLES = {name: block.code for path in MODULES for name, block in read_docstrings(path)}
TESTED = []

ECHO = """
async def handler(connection):
    async for message in connection:
        await connection.send(message)
"""

# What ends a program that goes on for ever.
ENDS = {
    "ws_asyncio": "task.cancel()",
    "ws_legacy": "task.cancel()",
    "ws_threading": "server.shutdown()",
    "ws_trio": "scope.cancel()",
}


def examples(*names):
    """Run a test with examples, each with its name."""
    TESTED.extend(names)
    return pytest.mark.parametrize("name", names)


def package_of(name):
    """Return the package of an example, or a package itself."""
    return name.partition(".")[0]


def fill_in(code, mark, replacement):
    """Return code with other code wherever a mark is a line of its own."""
    lines = re.compile(rf"^( *){re.escape(mark)}$", re.MULTILINE)
    return lines.sub(lambda match: textwrap.indent(replacement, match[1]), code)


def serve_with(name, options=""):
    """Return code that runs a server of the same package, with more arguments."""
    if package_of(name) == "ws_trio":
        return f"await serve(handler, 8765{options})\n"
    return f"async with serve(...{options}) as server:\n    await server.serve_forever()\n"


class Program:
    """A program that runs in a thread.

    Attributes:
        names: Its global variables, with ``task`` on asyncio and ``scope`` on trio, to cancel it.
        call_soon: Calls a function where it runs.
        ended: Future of its end.

    """

    def __init__(self, package, code):
        library = importlib.import_module(package)
        self.package = package
        self.names = {name: getattr(library, name) for name in library.__all__}
        self.names |= {module.__name__: module for module in (asyncio, http, trio)}
        self.names["ConnectionClosed"] = ConnectionClosed
        if package == "ws_threading":
            code = re.sub(r"\b(async|await) ", "", code)
        compiled = compile(code, package, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        run = functools.partial(eval, compiled, self.names)
        if package == "ws_threading":
            self.call_soon = lambda function: function()
            self.ended = start_in_thread(run)
        elif package == "ws_trio":
            self.ended = start_in_thread(trio.run, self.run_on_trio, run)
        else:
            self.ended = start_in_thread(lambda: asyncio.run(self.run_on_asyncio(run)))

    async def run_on_asyncio(self, run):
        self.call_soon = asyncio.get_running_loop().call_soon_threadsafe
        self.names["task"] = asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.timeout(TIMEOUT):
                await run()

    async def run_on_trio(self, run):
        self.call_soon = trio.lowlevel.current_trio_token().run_sync_soon
        with trio.fail_after(TIMEOUT), trio.CancelScope() as self.names["scope"]:
            await run()

    def wait(self):
        """Wait until it ends."""
        self.ended.result(TIMEOUT)

    @contextlib.contextmanager
    def dial(self, uri):
        """Connect to it as soon as it listens. If it fails, so does this."""

        def process_exception(exc):
            if self.ended.done():
                return self.ended.exception() or exc
            return None if isinstance(exc, ConnectionRefusedError) else exc

        def delays():
            return itertools.repeat(0.01, 100 * TIMEOUT)

        options = {"process_exception": process_exception, "reconnect_delays": delays}
        for websocket in reconnect(uri, **options):
            yield websocket
            break

    def stop(self, statement=None):
        """End it with a statement, by default the one that cancels it, and wait until it ends."""
        self.call_soon(functools.partial(exec, statement or ENDS[self.package], self.names))
        self.wait()


@pytest.fixture
def port(reserve_port):
    """Port of servers."""
    return reserve_port()


@pytest.fixture
def start(port):
    """Return a function that starts a program for the package of an example.

    An ellipsis that is an argument becomes a URI, or the first arguments of a server.
    """

    def start(name, code):
        code = code.replace("connect(...", 'connect("ws://localhost:8765"')
        code = code.replace("serve(...", 'serve(handler, "localhost", 8765')
        return Program(package_of(name), code.replace("8765", str(port)))

    return start


# That no example is forgotten


def test_every_example_is_run():
    assert sorted(TESTED) == sorted(EXAMPLES)


# Clients


@pytest.fixture
def closed(port):
    """Queue of the close codes of the connections of a server.

    It sends each its number, and closes it upon a message.
    """
    numbers = itertools.count(1)
    closed = queue.SimpleQueue()

    def handler(websocket):
        websocket.send(str(next(numbers)))
        try:
            for _ in websocket:
                return
        finally:
            closed.put(websocket.close_code)

    with serve(handler, "localhost", port) as server:
        serving = start_in_thread(server.serve_forever)
        yield closed
        server.shutdown()
        serving.result(TIMEOUT)


@examples(
    "ws_asyncio.client.connect 1",
    "ws_asyncio.client.connect 2",
    "ws_legacy.client.Connect 1",
    "ws_legacy.client.Connect 2",
    "ws_threading.client.connect 1",
    "ws_trio.client.connect 1",
    "ws_trio.client.connect.connect 1",
)
def test_client_connects_and_closes_the_connection(start, closed, name):
    body = "number = await websocket.recv()"
    program = start(name, fill_in(EXAMPLES[name], "...", body))
    program.wait()
    assert program.names["number"] == "1"
    assert closed.get(timeout=TIMEOUT) == CloseCode.NORMAL_CLOSURE


@examples(
    "ws_asyncio.client.connect 3",
    "ws_legacy.client.Connect 3",
    "ws_threading.client.reconnect 1",
    "ws_trio.client.connect 2",
)
def test_client_connects_again_whenever_the_connection_was_closed(start, closed, name):
    body = """
numbers.append(await websocket.recv())
if len(numbers) == 3:
    break
await websocket.send("Close!")
await websocket.recv()
"""
    program = start(name, "numbers = []\n" + fill_in(EXAMPLES[name], "...", body))
    program.wait()
    assert program.names["numbers"] == ["1", "2", "3"]


@examples(
    "ws_asyncio.connection.Connection.ping 1",
    "ws_legacy.protocol.WebSocketCommonProtocol.ping 1",
    "ws_threading.connection.Connection.ping 1",
    "ws_trio.connection.Connection.ping 1",
)
def test_ping_measures_the_latency(start, closed, name):
    around = f"""
timeout = {TIMEOUT}
async with connect(...) as connection:
    websocket = connection
    EXAMPLE
    measured = connection.latency
"""
    program = start(name, fill_in(around, "EXAMPLE", EXAMPLES[name]))
    program.wait()
    measured = program.names["measured"]
    assert measured > 0
    assert program.names.get("latency", measured) == measured


# Servers


@contextlib.contextmanager
def serving(program, port):
    """Check that a program serves until it is stopped, within the context."""
    with program.dial(f"ws://localhost:{port}") as websocket:
        websocket.send("Hello!")
        assert websocket.recv(TIMEOUT) == "Hello!"
        yield
        with pytest.raises(ConnectionClosedOK):
            websocket.recv(TIMEOUT)
        assert websocket.close_code == CloseCode.GOING_AWAY


@examples(
    "ws_asyncio.server.serve 1",
    "ws_legacy.server.Serve 1",
    "ws_threading.server.serve 1",
    "ws_trio.server.serve 1",
)
def test_server_serves_until_it_is_told_to_stop(start, port, name):
    before = f"{ECHO}\nstop = trio.Event()\n"
    program = start(name, before + fill_in(EXAMPLES[name], "...", "await stop.wait()"))
    ends = {"ws_threading": "server.shutdown()", "ws_trio": "stop.set()"}
    with serving(program, port):
        program.stop(ends.get(program.package, "stop.set_result(None)"))


@examples(
    "ws_asyncio.server.Server.serve_forever 1",
    "ws_legacy._server.WebSocketServer.serve_forever 1",
)
def test_server_is_closed_when_it_is_cancelled(start, port, name):
    program = start(name, f"{ECHO}\n{EXAMPLES[name]}\nawait main()")
    with serving(program, port):
        program.stop()


@examples(
    "ws_asyncio.router.route 1",
    "ws_threading.router.route 1",
    "ws_trio.router.route 1",
)
def test_handlers_get_what_the_path_names(start, port, name):
    body = "await connection.send(repr(channel_id))"
    program = start(name, fill_in(EXAMPLES[name], "...", body))
    channel_id = uuid.uuid4()
    with program.dial(f"ws://localhost:{port}/channel/{channel_id}") as websocket:
        assert websocket.recv(TIMEOUT) == repr(channel_id)
    with pytest.raises(InvalidStatus, match="HTTP 404"):
        connect(f"ws://localhost:{port}/channel/0")
    program.stop()


@examples(
    "ws_asyncio.server.Server.connections 1",
    "ws_threading.server.Server.connections 1",
    "ws_trio.server.Server.connections 1",
)
def test_every_connection_gets_what_is_broadcast(start, port, name):
    handler = """
async def handler(connection):
    server = connection.server
    async for message in connection:
        EXAMPLE
"""
    program = start(name, fill_in(handler, "EXAMPLE", EXAMPLES[name]) + serve_with(name))
    with program.dial(f"ws://localhost:{port}") as one:
        one.send("One!")
        assert one.recv(TIMEOUT) == "One!"
        with program.dial(f"ws://localhost:{port}") as two:
            two.send("Two!")
            assert one.recv(TIMEOUT) == two.recv(TIMEOUT) == "Two!"
    program.stop()


def check_admission(program, port, *refused):
    """Check that a server accepts credentials, and refuses others; return its last response."""
    with program.dial(f"ws://hello:iloveyou@localhost:{port}") as websocket:
        websocket.send("Hello!")
        assert websocket.recv(TIMEOUT) == "Hello!"
    for credentials in refused:
        with pytest.raises(InvalidStatus, match="HTTP 401") as excinfo:
            connect(f"ws://{credentials}localhost:{port}")
    return excinfo.value.response


@examples("ws_legacy.auth.basic_auth_protocol_factory 1")
def test_server_asks_for_credentials(start, port, name):
    program = start(name, f"{ECHO}\nasync with {EXAMPLES[name]}:\n    await asyncio.Future()")
    response = check_admission(program, port, "hello:guess@", "")
    assert 'realm="my dev server"' in response.headers["WWW-Authenticate"]
    program.stop()


@pytest.mark.parametrize("package", ["ws_asyncio", "ws_threading", "ws_trio"])
@examples("ws_protocol.serving.Responder.respond 1")
def test_server_responds_instead_of_opening(start, port, name, package):
    around = """
def authorized(request):
    return "Authorization" in request.headers

EXAMPLE

"""
    example = EXAMPLES[name].replace("= ...", "= 'Basic realm=\"here\"'")
    code = ECHO + fill_in(around, "EXAMPLE", example)
    program = start(package, code + serve_with(package, ", process_request=process_request"))
    response = check_admission(program, port, "")
    assert response.headers["WWW-Authenticate"] == 'Basic realm="here"'
    assert response.body == b"Who are you?\n"
    program.stop()
