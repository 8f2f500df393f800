"""Frameworks that are built on websockets have ours, and serve our clients and a browser.

uvicorn is built on the original API, and in another way of it on the Sans-I/O layer; so is sanic.
Each is installed once, into .nox, with our wheels.
"""

import asyncio
import contextlib
import http
import importlib.metadata
import json
import subprocess
import threading
import uuid
from pathlib import Path

import pytest

import websockets
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.frames import Close

PROGRAMS = Path(__file__).resolve().parent / "frameworks"

REQUIREMENTS = {
    # Has both ways, of which the one with the original API is to go.
    "uvicorn": "uvicorn==0.54.0",
    "sanic": "sanic==25.12.1",
}

SERVERS = {
    "uvicorn-websockets": ("uvicorn", "uvicorn_server.py", "websockets"),
    "uvicorn-websockets-sansio": ("uvicorn", "uvicorn_server.py", "websockets-sansio"),
    "sanic": ("sanic", "sanic_server.py"),
}

OURS = ["websockets", "ws-asyncio", "ws-auth", "ws-legacy", "ws-protocol"]

# That of the servers.
MAX_SIZE = 2**16

TIMEOUT = 20

# Processes of servers.
RUNNING = []

pytestmark = pytest.mark.slow


# The servers


class Server:
    """A process that serves."""

    def __init__(self, name, process, python, log):
        self.name = name
        self.framework = SERVERS[name][0]
        self.process = process
        self.log = log
        self.directory = python.parents[1]
        # It says so before anything else, and nothing else.
        self.report = json.loads(process.stdout.readline() or "{}")
        assert "port" in self.report, log.read_text()

    def uri(self, path, scheme="ws"):
        """Return the address of a path."""
        return f"{scheme}://127.0.0.1:{self.report['port']}{path}"


@pytest.fixture(scope="module", params=SERVERS)
def python(request, wheels, install_for_python):
    """Name of a server, and the Python that has its framework and our wheels."""
    framework = SERVERS[request.param][0]
    name = f"frameworks-{framework}"
    return request.param, install_for_python(
        name, *sorted(map(str, wheels.glob("*.whl"))), REQUIREMENTS[framework]
    )


@pytest.fixture(scope="module")
def start(python, clean_environment, tmp_path_factory):
    """Return a context manager that runs the server."""
    name, executable = python
    log = tmp_path_factory.mktemp("frameworks") / "log.txt"

    @contextlib.contextmanager
    def start():
        _, program, *arguments = SERVERS[name]
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                [executable, PROGRAMS / program, *arguments],
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=clean_environment,
            )
        with process:
            RUNNING.append(process)
            try:
                yield Server(name, process, executable, log)
            finally:
                process.kill()
                RUNNING.remove(process)

    return start


@pytest.fixture(scope="module")
def server(start):
    """A server that runs for all tests."""
    with start() as server:
        yield server


# Clients


class New:
    """The client of the new API."""

    rejected = InvalidStatus

    @staticmethod
    def connect(uri, headers=None, **kwargs):
        return websockets.asyncio.client.connect(
            uri, additional_headers=headers, proxy=None, **kwargs
        )

    @staticmethod
    def response_headers(connection):
        return connection.response.headers

    @staticmethod
    def rejection(exc):
        return exc.response.status_code, exc.response.headers


class Original:
    """The client of the original API."""

    rejected = property(lambda self: websockets.InvalidStatusCode)

    @staticmethod
    def connect(uri, headers=None, **kwargs):
        return websockets.connect(uri, extra_headers=headers, **kwargs)

    @staticmethod
    def response_headers(connection):
        return connection.response_headers

    @staticmethod
    def rejection(exc):
        return exc.status_code, exc.headers


@pytest.fixture(params=[New, Original])
def client(request):
    """A client of ours."""
    return request.param()


@pytest.fixture(autouse=True)
def limit_time():
    """End the servers when a test takes too long, and so whatever waits for them."""

    def end_servers():
        for process in RUNNING:
            process.kill()

    timer = threading.Timer(TIMEOUT, end_servers)
    timer.start()
    yield
    timer.cancel()


async def ask(server, path):
    """Return what the server has to say at a path."""
    async with New.connect(server.uri(path)) as connection:
        return json.loads(await connection.recv())


# Who is who


async def test_server_has_our_distributions_in_an_environment_of_its_own(server):
    versions = server.report["versions"]
    assert f"{server.framework}=={versions[server.framework]}" == REQUIREMENTS[server.framework]
    assert {name: versions[name] for name in OURS} == {
        name: importlib.metadata.version(name) for name in OURS
    }
    assert Path(server.report["websockets"]).is_relative_to(server.directory)


async def test_server_uses_our_modules(server):
    modules = set(await ask(server, "/modules"))
    assert {"ws_protocol.server", "ws_protocol.frames"} <= modules
    # Who doesn't use the original API doesn't pay for it.
    assert ("ws_legacy.server" in modules) is (server.name == "uvicorn-websockets")


# What our clients see


MESSAGES = {
    "text": "naïve café — 你好 👋🏽\n\0",
    "empty text": "",
    "long text": "é" * (MAX_SIZE // 2),
    "bytes": bytes(range(256)),
    "empty bytes": b"",
    "long bytes": bytes(i * i % 251 for i in range(MAX_SIZE)),
}


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_come_back(server, client, compression):
    async with client.connect(server.uri("/echo"), compression=compression) as connection:
        for message in MESSAGES.values():
            await connection.send(message)
            assert await connection.recv() == message
        for fragments in [["naïve ", "", "café — " * 1000, "👋🏽"], [b"\0\1", b"", bytes(10000)]]:
            await connection.send(fragments)
            assert await connection.recv() == type(fragments[0])().join(fragments)
        assert await (await connection.ping("are you there?")) > 0


async def test_messages_come_back_in_order(server, client):
    async with client.connect(server.uri("/echo")) as connection:
        messages = [f"{number}: again and again and again" for number in range(100)]
        for message in messages:
            await connection.send(message)
        assert [await connection.recv() for _ in messages] == messages


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_both_sides_agree_on_compression(server, client, compression):
    async with client.connect(server.uri("/echo"), compression=compression) as connection:
        extensions = client.response_headers(connection).get("Sec-WebSocket-Extensions", "")
    # Sanic has no compression.
    compressed = compression is not None and server.framework == "uvicorn"
    assert extensions.startswith("permessage-deflate") is compressed


async def test_both_sides_agree_on_a_subprotocol(server, client):
    uri = server.uri("/handshake")
    async with client.connect(uri, subprotocols=["superchat", "chat"]) as connection:
        assert connection.subprotocol == "chat"
        headers = json.loads(await connection.recv())["headers"]
        assert headers["sec-websocket-protocol"] == "superchat, chat"


async def test_handshake_reaches_the_application(server, client):
    uri = server.uri("/handshake?a=b%20c")
    headers = {"X-Name": "Zoe"}
    async with client.connect(uri, headers, subprotocols=["chat"]) as connection:
        handshake = json.loads(await connection.recv())
    assert handshake["query"] == {"a": "b c"}
    assert handshake["headers"]["x-name"] == "Zoe"
    assert handshake["headers"]["host"] == f"127.0.0.1:{server.report['port']}"


async def test_headers_beyond_ascii_reach_the_application(server):
    if server.name == "uvicorn-websockets-sansio":
        pytest.skip("uvicorn expects ISO-8859-1 of versions from 17 on only")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.report["port"])
    writer.write(
        b"GET /handshake HTTP/1.1\r\n"
        b"Host: 127.0.0.1\r\n"
        b"Connection: Upgrade\r\n"
        b"Upgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: chat\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"X-Name: " + "Zoë".encode() + b"\r\n\r\n"
    )
    try:
        assert await reader.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        await reader.readuntil(rb'"x-name": "Zo\u00eb"')
    finally:
        writer.close()
        await writer.wait_closed()


async def test_headers_of_the_application_reach_the_client(server, client):
    async with client.connect(server.uri("/echo")) as connection:
        headers = client.response_headers(connection)
    assert "Date" in headers
    if server.framework == "uvicorn":
        assert headers["Server"] == headers["X-Framework"] == "uvicorn"


@pytest.mark.parametrize("code, reason", [(1000, ""), (1011, "oops"), (4321, "adieu — ça va")])
async def test_client_sees_why_the_server_closes(server, client, code, reason):
    async with client.connect(server.uri(f"/close?code={code}&reason={reason}")) as connection:
        with pytest.raises(ConnectionClosed) as raised:
            await connection.recv()
    assert raised.value.rcvd == Close(code, reason)


@pytest.mark.parametrize("code, reason", [(1000, ""), (1011, "oops"), (4321, "adieu — ça va")])
async def test_server_sees_why_the_client_closes(server, client, name, code, reason):
    async with client.connect(server.uri(f"/echo?name={name}")) as connection:
        await connection.close(code, reason)
        with pytest.raises(ConnectionClosed) as raised:
            await connection.recv()
    assert raised.value.sent == raised.value.rcvd == Close(code, reason)
    assert await ask(server, f"/ending?name={name}") == {"code": code, "reason": reason}


@pytest.fixture
def name():
    """A name for a connection, which no other has."""
    return uuid.uuid4().hex


async def test_server_sees_that_the_client_is_gone(server, client, name):
    connection = await client.connect(server.uri(f"/echo?name={name}"))
    connection.transport.abort()
    await connection.wait_closed()
    # For lack of a close frame: uvicorn says one or the other.
    ending = await ask(server, f"/ending?name={name}")
    assert ending in [{"code": 1005, "reason": ""}, {"code": 1006, "reason": ""}]


async def test_client_sees_that_its_message_is_too_big(server, client):
    async with client.connect(server.uri("/echo")) as connection:
        await connection.send(bytes(MAX_SIZE + 1))
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
    assert raised.value.rcvd.code == 1009


async def test_client_sees_that_the_application_fails(server, client):
    async with client.connect(server.uri("/fail")) as connection:
        with pytest.raises(ConnectionClosed) as raised:
            await connection.recv()
    # Neither framework says more than that it is over.
    assert raised.value.rcvd == (None if server.framework == "uvicorn" else Close(1000, ""))


async def test_client_sees_that_the_application_rejects_it(server, client):
    with pytest.raises(client.rejected) as raised:
        await client.connect(server.uri("/reject"))
    status, _ = client.rejection(raised.value)
    assert status == http.HTTPStatus.FORBIDDEN


async def test_client_sees_the_response_of_the_application(server, client):
    if server.framework == "sanic":
        pytest.skip("sanic has no way to send a response instead of a handshake")
    with pytest.raises(client.rejected) as raised:
        await client.connect(server.uri("/respond"))
    status, headers = client.rejection(raised.value)
    assert status == http.HTTPStatus.UNAUTHORIZED
    assert headers["X-Framework"] == "uvicorn"


async def test_client_sees_that_the_application_fails_before_the_handshake(server, client):
    if server.framework == "sanic":
        pytest.skip("sanic calls the application after the handshake")
    with pytest.raises(client.rejected) as raised:
        await client.connect(server.uri("/fail-early"))
    status, _ = client.rejection(raised.value)
    assert status == http.HTTPStatus.INTERNAL_SERVER_ERROR


async def test_response_of_the_application_has_its_body(server):
    if server.framework == "sanic":
        pytest.skip("sanic has no way to send a response instead of a handshake")
    with pytest.raises(InvalidStatus) as raised:
        await New.connect(server.uri("/respond"))
    assert raised.value.response.body == b"Who?\n"


async def terminate(process):
    """Have a server end, and wait until it has.

    One that has just started to answer, and is about to take care of signals, may lose one.
    """
    while process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, 5)


async def test_clients_see_that_the_server_stops(start):
    with start() as server:
        async with (
            New.connect(server.uri("/echo")) as new,
            Original.connect(server.uri("/echo")) as original,
        ):
            terminating = asyncio.create_task(terminate(server.process))
            for connection in (new, original):
                with pytest.raises(ConnectionClosed) as raised:
                    await connection.recv()
                # Sanic ends the application, and after that the connection, or both at once.
                codes = {1012} if server.framework == "uvicorn" else {1000, 1001}
                assert raised.value.rcvd.code in codes
            await terminating


# What a page sees


# Connects to a path, and waits for the end of the connection.
SOCKET = """
    const socket = new WebSocket(new URL(path, location.href.replace("http", "ws")), protocols);
    socket.binaryType = "arraybuffer";
    const closed = new Promise((resolve) => {
        socket.onclose = ({ code, reason, wasClean }) => resolve([code, reason, wasClean]);
    });
    const opened = new Promise((resolve) => socket.onopen = resolve);
    const receive = () => new Promise((resolve) => {
        socket.onmessage = ({ data }) => resolve(data);
    });
"""


@pytest.fixture
async def evaluate(server, open_page):
    """Return a function that runs a script with a connection, on a page of the server."""
    page = await open_page(server.uri("/", scheme="http"))

    async def evaluate(path, script, protocols=()):
        start = f"const path = {json.dumps(path)}, protocols = {json.dumps(protocols)};"
        return await page.evaluate(f"{start} {SOCKET} {script}")

    return evaluate


async def test_messages_from_a_page_come_back(evaluate):
    answers = await evaluate(
        "/echo",
        """
            await opened;
            const answers = [];
            const check = (byte, i) => byte === i * 7 % 256;
            for (const message of ["", "naïve café — 你好", "x".repeat(65536)]) {
                socket.send(message);
                answers.push(await receive() === message);
            }
            for (const size of [0, 1, 125, 126, 65535, 65536]) {
                socket.send(new Uint8Array(size).map((_, i) => i * 7));
                const bytes = new Uint8Array(await receive());
                answers.push(bytes.length === size && bytes.every(check));
            }
            socket.close(1000);
            return [...answers, ...await closed];
        """,
    )
    assert answers == [True] * 9 + [1000, "", True]


async def test_page_and_server_agree_on_a_subprotocol(evaluate):
    script = "await opened; return socket.protocol;"
    assert await evaluate("/handshake", script, ["superchat", "chat"]) == "chat"


async def test_page_and_server_agree_on_compression(server, evaluate):
    extensions = await evaluate("/echo", "await opened; return socket.extensions;")
    compressed = server.framework == "uvicorn"
    assert extensions.partition(";")[0] == ("permessage-deflate" if compressed else "")


@pytest.mark.parametrize("code, reason", [(1000, ""), (1011, "oops"), (4999, "adieu — ça va 👋")])
async def test_page_sees_why_the_server_closes(evaluate, code, reason):
    path = f"/close?code={code}&reason={reason}"
    assert await evaluate(path, "return await closed;") == [code, reason, True]


async def test_server_sees_why_a_page_closes(server, evaluate, name):
    script = "await opened; socket.close(3000, 'farewell — 👋'); return await closed;"
    answer = await evaluate(f"/echo?name={name}", script)
    assert answer == [3000, "farewell — 👋", True]
    ending = await ask(server, f"/ending?name={name}")
    assert ending == {"code": 3000, "reason": "farewell — 👋"}


async def test_page_sees_that_its_message_is_too_big(evaluate):
    script = "await opened; socket.send('x'.repeat(65537)); return await closed;"
    # Whether it gets rid of its answer before the server is gone depends on the server.
    code, *_ = await evaluate("/echo", script)
    assert code == 1009


async def test_page_sees_that_the_application_rejects_it(evaluate):
    assert await evaluate("/reject", "return await closed;") == [1006, "", False]


# What nobody sees


async def test_server_has_no_other_errors(server):
    log = server.log.read_text()
    failures = log.count("\nRuntimeError: this application is broken\n")
    assert log.count("Traceback (most recent call last)") == failures, log
