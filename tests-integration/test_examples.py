"""Every program in examples/, run as a user runs it, with our own clients and servers on the other
side. (The demo has a browser: see test_browser.py.)
"""

import asyncio
import base64
import contextlib
import dataclasses
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import venv
from pathlib import Path

import pytest
import trustme

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from ws_protocol.client import ClientProtocol
from ws_protocol.server import ServerProtocol
from ws_protocol.uri import parse_uri

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CUSTOM_IO = EXAMPLES / "custom_io"

# No program takes that long, and none that hangs may stop the tests.
TIMEOUT = 30

KINDS = ["blocking", "trio"]

# Interpreters start.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def pythons(wheels, tmp_path_factory):
    """By kind of example, the interpreter to run it with.

    Blocking examples get one that has nothing but ws-protocol.
    """
    (wheel,) = wheels.glob("ws_protocol-*.whl")
    directory = tmp_path_factory.mktemp("venv")
    venv.create(directory)
    python = directory / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", "--quiet", "--no-index", wheel], check=True)
    return {"blocking": python, "trio": sys.executable}


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Environment variables for programs, with little of this machine."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return kept | {"HOME": str(home), "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Directory with what `python -m trustme` makes: server.pem, server.key and client.pem."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(directory / "server.key")
    certificate.cert_chain_pems[0].write_to_path(directory / "server.pem")
    authority.cert_pem.write_to_path(directory / "client.pem")
    return directory


@pytest.fixture(scope="session")
def server_context(certificates):
    """TLS context of a server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    return context


@pytest.fixture(scope="session")
def client_context(certificates):
    """TLS context of a client."""
    return ssl.create_default_context(cafile=certificates / "client.pem")


# Running programs


@dataclasses.dataclass
class Result:
    """What became of a program."""

    status: int
    output: str
    errors: str


async def start(*command, **kwargs):
    """Start a program."""
    return await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **kwargs,
    )


async def finish(process):
    """Wait for a program to end."""
    try:
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    return Result(process.returncode, output.decode(), errors.decode())


@contextlib.asynccontextmanager
async def serving(handler, **kwargs):
    """Run our server, and give its URI."""
    async with serve(handler, "127.0.0.1", 0, **kwargs) as server:
        scheme = "wss" if kwargs.get("ssl") else "ws"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@contextlib.asynccontextmanager
async def answering(answer):
    """Run a server of something else, and give the URI it would have."""
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def echo(websocket):
    """Handle a connection as an echo server does."""
    async for message in websocket:
        await websocket.send(message)


# Clients with custom I/O


@pytest.fixture(params=KINDS)
def start_client(request, pythons, environment):
    """Start a client: blocking_client.py or trio_client.py."""
    program = CUSTOM_IO / f"{request.param}_client.py"

    def start_client(*arguments):
        return start(pythons[request.param], program, *arguments, env=environment)

    return start_client


@pytest.fixture
def run_client(start_client):
    """Run a client to its end."""

    async def run_client(*arguments):
        return await finish(await start_client(*arguments))

    return run_client


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_client_prints_answers(run_client, compression):
    connections = []

    async def handler(websocket):
        connections.append(websocket)
        await echo(websocket)

    messages = ["hello", "käse", "x" * 100_000]
    async with serving(handler, compression=compression) as uri:
        assert await run_client(uri, *messages) == Result(
            0, "".join(f"{m}\n" for m in messages), ""
        )
    (connection,) = connections
    assert ("Sec-WebSocket-Extensions" in connection.response.headers) is bool(compression)
    assert (connection.close_code, connection.close_reason) == (1000, "")


async def test_client_says_which_program_it_is(run_client):
    async def handler(websocket):
        await websocket.send(websocket.request.headers["User-Agent"])

    async with serving(handler) as uri:
        assert "websockets/" in (await run_client(uri, "--follow")).output


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_client_joins_more_fragments_than_may_wait(run_client, compression):
    async def handler(websocket):
        await websocket.send(f"{number} " for number in range(100))

    async with serving(handler, compression=compression) as uri:
        result = await run_client(uri, "--follow")
    assert result == Result(0, "".join(f"{number} " for number in range(100)) + "\n", "")


async def test_client_receives_all_that_was_sent_before_the_server_closed(run_client):
    async def handler(websocket):
        for number in range(1000):
            await websocket.send(str(number))

    async with serving(handler) as uri:
        result = await run_client(uri, "--follow")
    assert result == Result(0, "".join(f"{number}\n" for number in range(1000)), "")


async def test_client_refuses_message_over_the_limit(run_client):
    close_codes = []

    async def handler(websocket):
        await websocket.send(b"x" * (2**20 + 1))
        await websocket.wait_closed()
        close_codes.append(websocket.close_code)

    async with serving(handler, compression=None) as uri:
        result = await run_client(uri, "--follow")
    assert (result.status, result.output) == (1, "")
    assert result.errors.startswith("ConnectionClosedError: sent 1009 (message too big) ")
    assert close_codes == [CloseCode.MESSAGE_TOO_BIG]


async def test_client_tells_how_the_server_closed(run_client):
    async def handler(websocket):
        await websocket.close(4000, "try again")

    async with serving(handler) as uri:
        result = await run_client(uri, "--follow")
    assert (result.status, result.output) == (1, "")
    assert "received 4000 (private use) try again; then sent 4000" in result.errors


async def test_client_tells_that_the_server_is_gone(run_client):
    async def handler(websocket):
        await websocket.send("wait")
        await websocket.recv()
        websocket.transport.abort()

    async with serving(handler) as uri:
        result = await run_client(uri, "go", "--follow")
    assert (result.status, result.output) == (1, "wait\n")
    assert result.errors == "ConnectionClosedError: no close frame received or sent\n"


async def test_client_tells_that_it_is_refused(run_client):
    def process_request(connection, request):
        return connection.respond(403, "No.\n")

    async with serving(echo, process_request=process_request) as uri:
        result = await run_client(uri, "hello")
    assert result == Result(
        1, "", "InvalidStatus: server rejected WebSocket connection: HTTP 403\n"
    )


async def test_client_tells_that_there_is_no_server(run_client, reserve_port):
    result = await run_client(f"ws://127.0.0.1:{reserve_port()}/", "hello")
    assert (result.status, result.output) == (1, "")
    assert "Error: " in result.errors
    assert "Traceback" not in result.errors


@pytest.mark.parametrize(
    "response,error",
    [
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nHello!",
            "InvalidStatus: server rejected WebSocket connection: HTTP 200\n",
        ),
        (b"HTTP/1.1 101 Switch", "InvalidMessage: did not receive a valid HTTP response\n"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "InvalidMessage: did not receive a valid HTTP response\n"),
    ],
    ids=["http", "cut-off", "ssh"],
)
async def test_client_tells_that_it_is_no_websocket_server(run_client, response, error):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        writer.close()

    async with answering(answer) as uri:
        assert await run_client(uri, "hello") == Result(1, "", error)


async def test_client_answers_pings(run_client):
    async def handler(websocket):
        async with asyncio.timeout(TIMEOUT):
            await (await websocket.ping())

    async with serving(handler) as uri:
        assert await run_client(uri, "--follow") == Result(0, "", "")


async def open_raw(reader, writer):
    """Open a connection as a server, and return its protocol."""
    protocol = ServerProtocol()
    while not (requests := protocol.events_received()):
        protocol.receive_data(await reader.read(2**16))
    protocol.send_response(protocol.accept(requests[0]))
    writer.write(b"".join(protocol.data_to_send()))
    return protocol


async def test_client_sends_pings(run_client):
    async def answer(reader, writer):
        protocol = await open_raw(reader, writer)
        while not protocol.eof_sent:
            protocol.receive_data(await reader.read(2**16))
            events = protocol.events_received()
            if protocol.state is State.OPEN and any(e.opcode is Opcode.PING for e in events):
                protocol.send_close(1000)
            writer.write(b"".join(protocol.data_to_send()))
        writer.close()

    async with answering(answer) as uri:
        assert await run_client(uri, "--follow", "--ping-interval", "0.05") == Result(0, "", "")


async def test_client_gives_up_a_server_that_answers_no_pings(run_client):
    async def answer(reader, writer):
        await open_raw(reader, writer)
        await client_ended.wait()
        writer.transport.abort()

    client_ended = asyncio.Event()
    options = ["--ping-interval", "0.1", "--ping-timeout", "0.1", "--close-timeout", "0.1"]
    async with answering(answer) as uri:
        result = await run_client(uri, "--follow", *options)
        client_ended.set()
    assert (result.status, result.output) == (1, "")
    assert result.errors == (
        "ConnectionClosedError: sent 1011 (internal error) keepalive ping timeout; "
        "no close frame received\n"
    )


async def test_client_doesnt_wait_for_ever_for_the_server_to_close(run_client):
    async def answer(reader, writer):
        protocol = await open_raw(reader, writer)
        while protocol.close_rcvd is None:
            protocol.receive_data(await reader.read(2**16))
        close_codes.append(protocol.close_rcvd.code)
        await client_ended.wait()
        writer.transport.abort()

    close_codes = []
    client_ended = asyncio.Event()
    async with answering(answer) as uri:
        assert await run_client(uri, "--close-timeout", "0.1") == Result(0, "", "")
        client_ended.set()
    # The server was told, all the same.
    assert close_codes == [CloseCode.NORMAL_CLOSURE]


async def test_client_connects_with_tls(run_client, server_context, certificates):
    cafile = certificates / "client.pem"
    message = "x" * 100_000
    async with serving(echo, ssl=server_context) as uri:
        assert await run_client(uri, "--cafile", cafile, message) == Result(0, message + "\n", "")


async def test_client_closes_with_tls_when_the_server_does(
    run_client, server_context, certificates
):
    async def handler(websocket):
        await websocket.send("bye")

    cafile = certificates / "client.pem"
    async with serving(handler, ssl=server_context) as uri:
        assert await run_client(uri, "--cafile", cafile, "--follow") == Result(0, "bye\n", "")


async def test_client_refuses_unknown_certificate(run_client, server_context):
    async with serving(echo, ssl=server_context) as uri:
        result = await run_client(uri, "hello")
    assert (result.status, result.output) == (1, "")
    assert "Traceback" not in result.errors


CANCELLING_CLIENT = """
import sys

import trio
from trio_client import connect


async def main():
    async with connect(sys.argv[1]) as connection:
        messages = []
        cancelled = 0
        while len(messages) < 100 or not cancelled:
            with trio.move_on_after(0.001) as scope:
                messages.append(await connection.recv())
            cancelled += scope.cancelled_caught
        assert messages == [str(number) for number in range(100)], messages
        sent = cancelled = 0
        while cancelled < 3:
            with trio.move_on_after(0.1) as scope:
                await connection.send(bytes(500_000))
                sent += 1
            cancelled += scope.cancelled_caught
        print(sent, flush=True)


trio.run(main)
"""


async def test_methods_of_trio_connection_can_be_cancelled(environment):
    async def handler(websocket):
        for number in range(100):
            await websocket.send(str(number))
        await go_on.wait()
        received.extend([len(message) async for message in websocket])

    go_on = asyncio.Event()
    received = []
    async with serving(handler, compression=None) as uri:
        command = [sys.executable, "-c", CANCELLING_CLIENT, uri]
        process = await start(*command, env=environment, cwd=CUSTOM_IO)
        sent = int(await process.stdout.readline() or 0)
        go_on.set()
        assert await finish(process) == Result(0, "", "")
    # All that was sent has arrived, and nothing that was cancelled.
    assert received == [500_000] * sent
    assert sent > 0


# Servers with custom I/O


@dataclasses.dataclass
class Program:
    """A server that runs as a program of its own."""

    process: subprocess.Popen
    uri: str

    @property
    def port(self):
        """The port it listens on."""
        return parse_uri(self.uri).port

    def stop(self):
        """End it as an operating system does; return what it has logged."""
        self.process.send_signal(signal.SIGTERM)
        output, errors = self.process.communicate(timeout=TIMEOUT)
        assert (self.process.returncode, output) == (0, "closed\n")
        assert "Traceback" not in errors
        return errors


@pytest.fixture(params=KINDS)
def start_server(request, pythons, environment):
    """Start a server: blocking_server.py or trio_server.py."""
    program = CUSTOM_IO / f"{request.param}_server.py"
    with contextlib.ExitStack() as stack:

        def start_server(*arguments):
            process = stack.enter_context(
                subprocess.Popen(
                    [pythons[request.param], program, "--port", "0", *map(str, arguments)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            )
            stack.callback(process.kill)
            line = process.stdout.readline()
            match = re.fullmatch(r"listening on (wss?://127\.0\.0\.1:[0-9]+/)\n", line)
            assert match is not None, line
            return Program(process, match.group(1))

        yield start_server


@pytest.fixture
def server(start_server):
    """A server, which is ended after the test, and must not have failed."""
    server = start_server()
    yield server
    server.stop()


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_server_sends_messages_back(server, compression):
    messages = ["hello", "käse", b"\x00\xff", "", b"", "x" * 300_000]
    async with connect(server.uri, compression=compression) as websocket:
        for message in messages:
            await websocket.send(message)
            assert await websocket.recv() == message
    assert bool(websocket.protocol.extensions) is bool(compression)
    assert (websocket.close_code, websocket.close_reason) == (1000, "")


async def test_server_names_itself_and_the_time(server):
    async with connect(server.uri) as websocket:
        assert "Date" in websocket.response.headers
        assert "websockets/" in websocket.response.headers["Server"]


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_server_joins_more_fragments_than_may_wait(server, compression):
    async with connect(server.uri, compression=compression) as websocket:
        await websocket.send(f"{number} " for number in range(100))
        assert await websocket.recv() == "".join(f"{number} " for number in range(100))


async def test_server_sends_and_receives_at_once(server):
    message = b"x" * 500_000
    async with connect(server.uri, compression=None) as websocket, asyncio.TaskGroup() as group:

        async def send():
            for _ in range(40):
                await websocket.send(message)

        group.create_task(send())
        for _ in range(40):
            assert await websocket.recv() == message


async def test_server_serves_several_clients(server):
    async with contextlib.AsyncExitStack() as stack:
        websockets = [await stack.enter_async_context(connect(server.uri)) for _ in range(10)]
        for number, websocket in enumerate(websockets):
            await websocket.send(str(number))
        answers = await asyncio.gather(*(websocket.recv() for websocket in websockets))
    assert answers == [str(number) for number in range(10)]


async def test_server_refuses_message_over_the_limit(server):
    async with connect(server.uri, compression=None) as websocket:
        await websocket.send(b"x" * (2**20 + 1))
        with pytest.raises(ConnectionClosedError) as raised:
            await websocket.recv()
    assert raised.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG


async def test_server_refuses_what_isnt_websocket(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(TIMEOUT):
        response = await reader.read()
    assert response.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    writer.close()


async def test_server_outlives_clients_that_are_gone(server):
    for _ in range(3):
        async with connect(server.uri) as websocket:
            await websocket.send("hello")
            websocket.transport.abort()
    async with connect(server.uri) as websocket:
        await websocket.send("hello")
        assert await websocket.recv() == "hello"


class RawClient:
    """A client that does to a server what polite ones don't."""

    def __init__(self, uri, receive_buffer=None):
        self.protocol = ClientProtocol(parse_uri(uri))
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((self.protocol.uri.host, self.protocol.uri.port))
        self.protocol.send_request(self.protocol.connect())
        self.flush()
        while self.protocol.state is State.CONNECTING:
            self.protocol.receive_data(self.socket.recv(2**16))
        self.protocol.events_received()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        """Send what the protocol has to send."""
        self.socket.sendall(b"".join(self.protocol.data_to_send()))

    def read_to_the_end(self):
        """Return all frames that come until the server closes the connection."""
        frames = []
        while data := self.socket.recv(2**16):
            self.protocol.receive_data(data)
            frames += self.protocol.events_received()
        return frames


def test_server_finishes_with_a_client_that_closes_its_side_at_once(server):
    with RawClient(server.uri) as client:
        client.protocol.send_text(b"hello")
        client.protocol.send_close(1000)
        client.flush()
        client.socket.shutdown(socket.SHUT_WR)
        # There is an answer to the close frame, and after it none to the message any more.
        assert client.read_to_the_end() == [Frame(Opcode.CLOSE, b"\x03\xe8")]


def test_server_notices_the_end_in_the_middle_of_a_frame(server):
    with RawClient(server.uri) as client:
        client.protocol.send_text(b"hello")
        client.socket.sendall(b"".join(client.protocol.data_to_send())[:-2])
        client.socket.shutdown(socket.SHUT_WR)
        # It closes the connection: there is nobody to send a close frame to.
        assert client.read_to_the_end() == []


def test_server_tells_a_peer_that_it_breaks_the_protocol(server):
    with RawClient(server.uri) as client:
        client.socket.sendall(b"\xff\xff\xff\xff")
        (close,) = client.read_to_the_end()
    assert close.data[:2] == CloseCode.PROTOCOL_ERROR.to_bytes(2, "big")


def test_server_sends_a_large_answer_to_a_slow_reader(server):
    message = os.urandom(2**20)
    with RawClient(server.uri, receive_buffer=4096) as client:
        client.protocol.send_binary(message)
        client.flush()
        frames = []
        while not frames:
            client.protocol.receive_data(client.socket.recv(1000))
            frames = client.protocol.events_received()
    assert frames[0].data == message


def test_server_keeps_few_pongs_for_a_client_that_reads_nothing(server):
    pings = 50_000
    with RawClient(server.uri, receive_buffer=4096) as client:
        for _ in range(pings // 1000):
            for _ in range(1000):
                client.protocol.send_ping(bytes(125))
            client.flush()
        client.protocol.send_close(1000)
        client.flush()
        pongs = [frame for frame in client.read_to_the_end() if frame.opcode is Opcode.PONG]
    # Those that were sent at first are with the operating system.
    assert len(pongs) < pings / 10


def test_server_receives_a_message_that_comes_with_the_request(server):
    protocol = ClientProtocol(parse_uri(server.uri))
    protocol.send_request(protocol.connect())
    request = b"".join(protocol.data_to_send())
    message = Frame(Opcode.TEXT, b"hello")
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as client:
        client.sendall(request + message.serialize(mask=True))
        events = []
        while len(events) < 2:
            protocol.receive_data(client.recv(2**16))
            events += protocol.events_received()
    assert events[1] == message


def test_server_notices_that_a_client_is_gone_for_which_it_waits(start_server):
    server = start_server()
    with RawClient(server.uri, receive_buffer=4096) as client:
        # It reads nothing, so that the server waits to send, and then reads no more.
        for _ in range(400):
            client.protocol.send_binary(bytes(100_000))
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.flush()
        # Its system doesn't say goodbye.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    killer = threading.Timer(TIMEOUT, server.process.kill)
    killer.start()
    line = server.process.stderr.readline()
    killer.cancel()
    assert "connection closed: no close frame received or sent" in line
    server.stop()


def test_server_gives_up_a_client_that_answers_no_pings(start_server):
    server = start_server(
        *["--ping-interval", "0.1", "--ping-timeout", "0.1", "--close-timeout", "0.1"]
    )
    with RawClient(server.uri) as client:
        frames = client.read_to_the_end()
    assert frames[0].opcode is Opcode.PING
    assert frames[-1] == Frame(Opcode.CLOSE, b"\x03\xf3keepalive ping timeout")
    server.stop()


async def test_server_that_is_stopped_closes_connections(start_server):
    server = start_server()
    async with connect(server.uri) as websocket:
        stopped = asyncio.create_task(asyncio.to_thread(server.stop))
        with pytest.raises(ConnectionClosedOK) as raised:
            await websocket.recv()
    assert raised.value.rcvd.code == CloseCode.GOING_AWAY
    await stopped


def test_server_that_is_stopped_waits_for_nobody_who_doesnt_answer(start_server):
    server = start_server("--close-timeout", "0.2")
    address = ("127.0.0.1", server.port)
    with (
        RawClient(server.uri) as silent,
        # One in the middle of the opening handshake, and one before it.
        socket.create_connection(address) as connecting,
        socket.create_connection(address),
    ):
        connecting.sendall(b"GET / HTTP/1.1\r\n")
        server.stop()
        (close,) = silent.read_to_the_end()
    assert close.data == CloseCode.GOING_AWAY.to_bytes(2, "big")


def test_server_that_is_stopped_waits_for_nobody_who_never_stops_sending(start_server):
    def send():
        with contextlib.suppress(OSError):
            while True:
                client.socket.sendall(messages)

    def receive():
        with contextlib.suppress(OSError):
            while client.socket.recv(2**20):
                busy.set()

    server = start_server("--close-timeout", "0.2")
    busy = threading.Event()
    with RawClient(server.uri) as client:
        for _ in range(20_000):
            client.protocol.send_text(b"hello")
        messages = b"".join(client.protocol.data_to_send())
        threads = [threading.Thread(target=function) for function in (send, receive)]
        for thread in threads:
            thread.start()
        try:
            assert busy.wait(TIMEOUT)
            server.stop()
        finally:
            server.process.kill()
            for thread in threads:
                thread.join()


async def test_server_serves_with_tls(start_server, certificates, client_context):
    server = start_server(
        *["--certificate", certificates / "server.pem", "--key", certificates / "server.key"]
    )
    async with connect(server.uri, ssl=client_context) as websocket:
        for message in ["hello", "x" * 500_000]:
            await websocket.send(message)
            assert await websocket.recv() == message
    assert websocket.close_code == CloseCode.NORMAL_CLOSURE
    # A client that knows no TLS harms nobody.
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(TIMEOUT)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1000):
                pass
    async with connect(server.uri, ssl=client_context) as websocket:
        stopped = asyncio.create_task(asyncio.to_thread(server.stop))
        with pytest.raises(ConnectionClosedOK):
            await websocket.recv()
    await stopped


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_clients_and_servers_with_custom_io_understand_one_another(
    run_client, start_server, certificates, tls
):
    arguments, options = [], []
    if tls:
        arguments += ["--certificate", certificates / "server.pem"]
        arguments += ["--key", certificates / "server.key"]
        options += ["--cafile", certificates / "client.pem"]
    server = start_server(*arguments)
    messages = ["hello", "x" * 100_000]
    assert await run_client(server.uri, *options, *messages) == Result(
        0, "".join(f"{message}\n" for message in messages), ""
    )
    assert server.stop() == ""


async def test_client_that_follows_ends_well_when_the_server_is_stopped(start_client, start_server):
    server = start_server()
    process = await start_client(server.uri, "ready", "--follow")
    assert await process.stdout.readline() == b"ready\n"
    await asyncio.to_thread(server.stop)
    assert await finish(process) == Result(0, "", "")


# Small programs


@pytest.fixture
async def start_example(tmp_path, environment):
    """Start a program, with another port where it has 8765, and other changes."""

    async def start_example(name, port, changes=None, call=None, **variables):
        program = (EXAMPLES / name).read_text(encoding="utf-8")
        for old, new in {"8765": str(port), **(changes or {})}.items():
            assert old in program
            program = program.replace(old, new)
        if call is not None:
            program = program.partition('if __name__ == "__main__":')[0] + call
        (tmp_path / name).write_text(program, encoding="utf-8")
        process = await start(sys.executable, name, cwd=tmp_path, env=environment | variables)
        processes.append(process)
        return process

    processes = []
    yield start_example
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.fixture
def start_example_server(start_example, reserve_port):
    """Start a server, wait until it listens, and return its port."""

    async def start_example_server(name, changes=None):
        port = reserve_port()
        process = await start_example(name, port, changes)
        async with asyncio.timeout(TIMEOUT):
            while True:
                assert process.returncode is None, await process.stderr.read()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return process, port

    return start_example_server


def test_every_small_program_is_run_by_some_test():
    directory = Path(__file__).parent
    tests = "".join(path.read_text(encoding="utf-8") for path in directory.glob("test_*.py"))
    programs = [path.name for path in EXAMPLES.glob("*.py")]
    assert programs
    assert [name for name in programs if f'"{name}"' not in tests] == []


async def test_echo(start_example, start_example_server):
    _, port = await start_example_server("echo_server.py")
    assert await finish(await start_example("echo_client.py", port)) == Result(0, "Hello!\n", "")


@pytest.mark.parametrize(
    "function,status", [("follow", 503), ("follow_stubbornly", 404), ("follow_politely", 429)]
)
async def test_reconnecting_client(start_example, reserve_port, function, status):
    def process_request(connection, request):
        # It is refused, and welcome again; then it loses the connection.
        attempts.append(None)
        return connection.respond(status, "Not now.\n") if len(attempts) == 1 else None

    async def handler(websocket):
        await websocket.send(f"attempt {len(attempts)}")
        if len(attempts) == 2:
            # When the pong is there, the message is, too.
            await (await websocket.ping())
            websocket.transport.abort()
        await websocket.wait_closed()

    attempts = []
    process = await start_example(
        "reconnecting_client.py",
        port := reserve_port(),
        call=f"asyncio.run({function}())",
        WEBSOCKETS_BACKOFF_INITIAL_DELAY="0.01",
        WEBSOCKETS_BACKOFF_MIN_DELAY="0.01",
    )
    # It waits for a server that isn't there yet, as a network error is worth another attempt.
    async with serve(handler, "127.0.0.1", port, process_request=process_request):
        async with asyncio.timeout(TIMEOUT):
            assert await process.stdout.readline() == b"attempt 2\n"
            assert await process.stdout.readline() == b"attempt 3\n"


async def test_reconnecting_client_raises_what_another_attempt_wouldnt_help(start_example):
    def process_request(connection, request):
        return connection.respond(404, "There is nothing here.\n")

    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        port = server.sockets[0].getsockname()[1]
        result = await finish(await start_example("reconnecting_client.py", port))
    assert result.status == 1
    assert "InvalidStatus: server rejected WebSocket connection: HTTP 404" in result.errors


async def test_basic_auth(start_example, start_example_server):
    _, port = await start_example_server("basic_auth_server.py")
    client = await start_example("basic_auth_client.py", port)
    assert await finish(client) == Result(0, "Hello alice!\n", "")
    for user_info in ["", "alice:wrong@", "bob:open%20sesame@", "bob:@"]:
        with pytest.raises(InvalidStatus) as raised:
            await connect(f"ws://{user_info}127.0.0.1:{port}/")
        assert raised.value.response.status_code == 401


async def test_token(start_example, start_example_server):
    _, port = await start_example_server("token_server.py")
    client = await start_example("token_client.py", port)
    assert await finish(client) == Result(0, "Hello!\n", "")
    for headers in [
        [],
        [("Authorization", "Bearer wrong")],
        [("Authorization", "Bearer 7ca2f9bb"), ("Authorization", "Bearer 7ca2f9bb")],
    ]:
        with pytest.raises(InvalidStatus) as raised:
            await connect(f"ws://127.0.0.1:{port}/", additional_headers=headers)
        assert raised.value.response.status_code == 401


async def test_token_in_first_message(start_example_server):
    _, port = await start_example_server("first_message_server.py")
    uri = f"ws://127.0.0.1:{port}/"
    async with connect(uri, origin="https://www.example.com") as websocket:
        await websocket.send("7ca2f9bb")
        assert await websocket.recv() == "Hello!"
    async with connect(uri, origin="https://www.example.com") as websocket:
        await websocket.send("wrong")
        with pytest.raises(ConnectionClosedError) as raised:
            await websocket.recv()
        assert raised.value.rcvd.code == CloseCode.POLICY_VIOLATION
    with pytest.raises(InvalidStatus) as refused:
        await connect(uri, origin="https://evil.example.com")
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "path, cookies, status",
    [
        ("/", ["token=7ca2f9bb"], 101),
        ("/", ["lang=en; token=7ca2f9bb"], 101),
        ("/?lang=en&token=7ca2f9bb", ["lang=en"], 101),
        ("/", [], 403),
        ("/?token=wrong", [], 403),
        ("/", ["token=7ca2f9bb; token=wrong"], 403),
        ("/?token=7ca2f9bb", ["token=7ca2f9bb"], 403),
        ("//[?token", ["=;;", "token"], 403),
    ],
)
async def test_token_in_cookie_or_uri(start_example_server, path, cookies, status):
    _, port = await start_example_server("session_server.py")
    options = {"additional_headers": [("Cookie", cookie) for cookie in cookies]}
    connecting = connect(f"ws://127.0.0.1:{port}{path}", **options)
    if status == 101:
        async with connecting as websocket:
            assert await websocket.recv() == "Hello alice!"
    else:
        with pytest.raises(InvalidStatus, match=f"HTTP {status}"):
            await connecting


async def test_cookies_are_for_pages_of_the_site(start_example_server):
    _, port = await start_example_server("session_server.py")
    uri = f"ws://127.0.0.1:{port}/?token=7ca2f9bb"
    async with connect(uri, origin="https://www.example.com") as websocket:
        assert await websocket.recv() == "Hello alice!"
    with pytest.raises(InvalidStatus, match="HTTP 403"):
        await connect(uri, origin="https://evil.example.com")


async def test_tls(start_example, start_example_server, certificates, tmp_path):
    shutil.copytree(certificates, tmp_path, dirs_exist_ok=True)
    _, port = await start_example_server("tls_server.py")
    assert await finish(await start_example("tls_client.py", port)) == Result(0, "Hello!\n", "")


async def test_client_behind_a_proxy(start_example):
    async def tunnel(reader, writer):
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def copy(source, target):
            while data := await source.read(2**16):
                target.write(data)
            target.close()

        await asyncio.gather(copy(reader, server_writer), copy(server_reader, writer))

    requests = []
    async with serving(echo) as uri, answering(tunnel) as proxy_uri:
        port = parse_uri(uri).port
        changes = {"3128": str(parse_uri(proxy_uri).port)}
        client = await start_example("proxy_client.py", port, changes)
        assert await finish(client) == Result(0, "Hello!\n", "")
    (request,) = requests
    assert request.startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n".encode())
    assert base64.b64encode(b"alice:secret") in request


async def test_redirect(start_example_server):
    _, port = await start_example_server("redirecting_server.py")
    async with connect(f"ws://127.0.0.1:{port}/v1/") as websocket:
        await websocket.send("Hello!")
        assert await websocket.recv() == "Hello!"
    assert websocket.request.path == "/v2/"


async def test_graceful_server_lets_clients_finish(start_example_server):
    process, port = await start_example_server("graceful_server.py")
    async with connect(f"ws://127.0.0.1:{port}/") as websocket:
        await websocket.send("work")
        process.send_signal(signal.SIGTERM)
        assert await websocket.recv() == "done: work"
        with pytest.raises(OSError):  # noqa: PT011  # the operating system says it in many ways
            await connect(f"ws://127.0.0.1:{port}/")
        # What is begun now is finished, too.
        await websocket.send("more work")
        assert await websocket.recv() == "done: more work"
    assert await finish(process) == Result(0, "", "")


async def test_graceful_server_doesnt_wait_for_ever(start_example_server):
    changes = {"timeout(5)": "timeout(0.1)"}
    process, port = await start_example_server("graceful_server.py", changes)
    async with connect(f"ws://127.0.0.1:{port}/") as websocket:
        process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosedError) as raised:
            await websocket.recv()
    assert raised.value.rcvd.code == CloseCode.SERVICE_RESTART
    assert await finish(process) == Result(0, "", "")
