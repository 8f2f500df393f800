"""The programs and configurations of the how-tos, as their readers run them."""

import asyncio
import contextlib
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from docblocks import find_blocks

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

TIMEOUT = 20

# Interpreters start.
pytestmark = pytest.mark.slow


@pytest.fixture
def uri(start_program):
    """URI of what a program serves."""
    return f"ws://localhost:{start_program.port}"


# Sending and receiving at once


async def test_server_sends_and_answers_at_once(start_program, uri):
    process = await start_program("two_way_server.py")
    async with connect(uri) as websocket, asyncio.timeout(TIMEOUT):
        assert await websocket.recv() == "tick 0"
        await websocket.send("Hello!")
        received = []
        while not {"tick 2", "you said 'Hello!'"} <= set(received):
            received.append(await websocket.recv())
        received.remove("you said 'Hello!'")
        assert received == [f"tick {number + 1}" for number in range(len(received))]
        # One that doesn't even say goodbye.
        (await connect(uri)).transport.abort()
        async with connect(uri) as another:
            while await another.recv() != "tick 2":
                pass
    process.terminate()
    _, errors = await process.communicate()
    assert errors == b""


async def test_thread_sends_through_the_event_loop(start_program):
    await start_program("echo_server.py")
    process = await start_program("thread_client.py", listens=False)
    output, errors = await process.communicate()
    assert (process.returncode, output, errors) == (0, b"20.5\n21.0\n", b"")


# Broadcasting


@pytest.mark.parametrize("name", ["broadcast_server.py", "queues_server.py"])
async def test_everybody_gets_what_is_broadcast(start_program, uri, name):
    await start_program(name)
    async with connect(uri) as one, connect(uri) as two, asyncio.timeout(TIMEOUT):
        for websocket in (one, two):
            first, second = await websocket.recv(), await websocket.recv()
            assert int(second.removeprefix("tick ")) == int(first.removeprefix("tick ")) + 1


async def test_client_that_is_too_far_behind_is_disconnected(start_program, uri):
    # Its messages are too large for buffers to hold many of them.
    path = start_program.directory / "queues_server.py"
    text = path.read_text().replace('f"tick {number}"', '"x" * 1_000_000')
    text = text.replace("maxsize=100", "maxsize=2").replace("sleep(0.1)", "sleep(0.01)")
    path.write_text(text)
    await start_program("queues_server.py")
    async with connect(uri, max_queue=1, compression=None) as slow:
        async with connect(uri, max_queue=100) as other, asyncio.timeout(TIMEOUT):
            # While another gets many messages, it reads none.
            for _ in range(50):
                await other.recv()
        with pytest.raises(ConnectionClosedError) as excinfo:
            async with asyncio.timeout(TIMEOUT):
                while True:
                    await slow.recv()
    assert excinfo.value.rcvd.code == CloseCode.TRY_AGAIN_LATER


# Reconnecting


async def test_server_sends_what_was_missed(start_program, uri):
    await start_program("resuming_server.py")
    async with asyncio.timeout(TIMEOUT):
        async with connect(uri) as websocket:
            await websocket.send("0")
            for number in range(1, 4):
                message = json.loads(await websocket.recv())
                assert message == {"number": number, "text": f"tick {number}"}
        async with connect(uri) as websocket:
            await websocket.send("2")
            # Some were missed, and others are new.
            numbers = [json.loads(await websocket.recv())["number"] for _ in range(10)]
            assert numbers == list(range(3, 13))


async def test_client_says_what_it_has_seen(start_program):
    async def handler(websocket):
        seen = int(await websocket.recv())
        connections.append(websocket)
        for number in range(seen + 1, seen + 3):
            await websocket.send(json.dumps({"number": number, "text": f"message {number}"}))
        # When the pong is there, the messages are, too.
        await (await websocket.ping())
        if len(connections) == 1:
            websocket.transport.abort()
        elif len(connections) == 2:
            await websocket.close()
        await websocket.wait_closed()

    connections = []
    async with serve(handler, "127.0.0.1", start_program.port):
        process = await start_program("resuming_client.py", listens=False)
        async with asyncio.timeout(TIMEOUT):
            for number in range(1, 7):
                assert await process.stdout.readline() == f"message {number}\n".encode()
            process.kill()
            await process.wait()


# Routing


async def test_handlers_are_chosen_by_path(start_program, uri):
    await start_program("paths_server.py")
    for path, answer in [("/echo", "Hello!"), ("/shout?loudly", "HELLO!")]:
        async with connect(f"{uri}{path}") as websocket:
            await websocket.send("Hello!")
            assert await websocket.recv() == answer
    with pytest.raises(InvalidStatus, match="HTTP 404"):
        await connect(f"{uri}/other")


async def test_parts_of_the_path_can_be_arguments(start_program, uri):
    await start_program("router_server.py")
    async with connect(f"{uri}/greet/you") as websocket:
        assert await websocket.recv() == "Hello, you!"
    async with connect(f"{uri}/count/3") as websocket:
        assert [message async for message in websocket] == ["3", "2", "1"]
    with pytest.raises(InvalidStatus, match="HTTP 404"):
        await connect(f"{uri}/count/many")


@pytest.mark.parametrize(
    "offered, answer",
    [
        (["greeting.v1", "greeting.v2"], '{"greeting": "Hello!"}'),
        (["greeting.v1", "greeting.v3"], "Hello!"),
    ],
)
async def test_handler_speaks_what_the_client_does(start_program, uri, offered, answer):
    await start_program("subprotocols_server.py")
    async with connect(uri, subprotocols=offered) as websocket:
        assert await websocket.recv() == answer
    for others in (None, ["greeting.v3"]):
        with pytest.raises(InvalidStatus, match="HTTP 400"):
            await connect(uri, subprotocols=others)


# Limits


async def test_server_with_limits_keeps_to_them(start_program, uri):
    await start_program("limited_server.py")
    async with contextlib.AsyncExitStack() as stack:
        connections = []
        with pytest.raises(InvalidStatus) as excinfo:
            # Whoever found out that the program listens may still count as one.
            while len(connections) <= 100:
                connections.append(await stack.enter_async_context(connect(uri)))
        assert len(connections) in {99, 100}
        assert excinfo.value.response.status_code == 503
        assert excinfo.value.response.headers["Retry-After"] == "5"
        one, two, *_ = connections
        await one.send("x" * 4096)
        async with asyncio.timeout(TIMEOUT):
            assert await one.recv() == "x" * 4096
        await two.send("x" * 4097)
        with pytest.raises(ConnectionClosedError) as excinfo:
            await two.recv()
        assert excinfo.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG


async def test_server_compresses_with_little_memory(start_program, uri):
    await start_program("compressing_server.py")
    async with connect(uri) as websocket:
        assert websocket.response.headers["Sec-WebSocket-Extensions"] == (
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10"
        )
        async with asyncio.timeout(TIMEOUT):
            await websocket.send("Hello!" * 1000)
            assert await websocket.recv() == "Hello!" * 1000


# Monitoring


async def test_server_tells_how_it_is(start_program, uri):
    def get(path):
        url = uri.replace("ws:", "http:") + path
        with opener.open(url, timeout=TIMEOUT) as response:
            return response.read().decode().splitlines()

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    await start_program("monitored_server.py")
    assert await asyncio.to_thread(get, "/health") == ["OK"]
    async with connect(uri) as websocket:
        await websocket.send("Hello!")
        assert await websocket.recv() == "Hello!"
        assert (await asyncio.to_thread(get, "/metrics"))[0] == "connections 1"
    async with asyncio.timeout(TIMEOUT):
        # Its handler is about to end.
        while len(metrics := await asyncio.to_thread(get, "/metrics")) < 3:
            pass
    assert metrics == ["connections 0", "latency_seconds 0.000000", 'closed_total{code="1000"} 1']


# Extending


async def test_connections_of_own_class_know_their_room(start_program, uri):
    await start_program("own_connection_server.py")
    for path, room in [("", "lobby"), ("/kitchen?quiet", "kitchen")]:
        async with connect(uri + path) as websocket:
            assert await websocket.recv() == f"Welcome to the {room}!"


async def test_extension_of_ones_own(start_program):
    process = await start_program("checksum_extension.py", listens=False)
    async with asyncio.timeout(TIMEOUT):
        assert await process.communicate() == (b"x-checksum\nHello!\n", b"")


@pytest.mark.parametrize("before", [True, False])
def test_extension_that_makes_frames_longer_goes_after_compression(before):
    namespace = runpy.run_path(str(EXAMPLES / "checksum_extension.py"))
    checksum, deflate = namespace["Checksum"](), PerMessageDeflate(True, True, 15, 15)
    extensions = [checksum, deflate] if before else [deflate, checksum]
    frame = Frame(Opcode.TEXT, b"x" * 10)
    client, server = Protocol(Side.CLIENT), Protocol(Side.SERVER, max_size=10)
    for protocol in (client, server):
        protocol.extensions = extensions
    client.send_text(frame.data)
    server.receive_data(b"".join(client.data_to_send()))
    if before:
        assert server.close_sent.code == CloseCode.MESSAGE_TOO_BIG
    else:
        assert server.events_received() == [frame]


def test_wrong_checksum_breaks_the_protocol():
    namespace = runpy.run_path(str(EXAMPLES / "checksum_extension.py"))
    server = Protocol(Side.SERVER)
    server.extensions = [namespace["Checksum"]()]
    server.receive_data(Frame(Opcode.TEXT, b"Hello!").serialize(mask=True))
    assert (server.close_sent.code, server.close_sent.reason) == (1002, "wrong checksum")


# Several processes


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="the system has no SO_REUSEPORT")
async def test_process_takes_over_when_another_is_restarted(start_program, uri):
    first = await start_program("shared_port_server.py")
    async with connect(uri) as websocket, asyncio.timeout(TIMEOUT):
        assert await first.stdout.readline() == f"ready {first.pid}\n".encode()
        await websocket.send("one")
        assert await websocket.recv() == f"{first.pid} got one"
        # Both listen. The old one is told to end only when the new one is ready.
        second = await start_program("shared_port_server.py", listens=False)
        assert await second.stdout.readline() == f"ready {second.pid}\n".encode()
        first.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosedError) as excinfo:
            await websocket.recv()
        assert (excinfo.value.rcvd.code, excinfo.value.rcvd.reason) == (1012, "restarting")
        await first.wait()
    async with connect(uri) as websocket:
        await websocket.send("two")
        assert await websocket.recv() == f"{second.pid} got two"


# Debugging


async def test_log_shows_what_the_page_shows(start_program):
    await start_program("tutorial/step1_server.py")
    process = await start_program("debug_client.py", listens=False)
    output, errors = await process.communicate()
    [shown] = find_blocks("docs/howto/debugging.rst", "text")
    lines = shown.splitlines()
    assert [line for line in output.decode().splitlines() if line in lines] == lines
    assert errors == b""


# Testing


def test_tests_of_an_application_pass(start_program):
    command = [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto"]
    command += ["-p", "no:cacheprovider", "--rootdir", "."]
    directory = start_program.directory / "testing"
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout
    assert "3 passed" in run.stdout


# Reverse proxies


def find_program(name):
    """Return the path of a program that administrators run."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"there is no {name} on PATH")
    return path


@pytest.fixture(params=["nginx", "haproxy"])
async def proxy(request, start_program, tmp_path, reserve_port):
    """Run a proxy with the configuration of the page, and give its port."""
    program = find_program(request.param)
    port = reserve_port()
    name = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[request.param]
    config = start_program.directory / "reverse_proxies" / name
    text = config.read_text().replace("8080", str(port))
    log = tmp_path / "error.log"
    if request.param == "nginx":
        # Where a user may write who isn't root.
        text += f"pid {tmp_path}/nginx.pid;\ndaemon off;\nuser root;\n"
        if os.getuid():
            text = text.replace("user root;\n", "")
        paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        temporary = "".join(f"{path}_temp_path {tmp_path}/{path};\n" for path in paths)
        text = text.replace("http {\n", f"http {{\naccess_log off;\n{temporary}")
        command = [program, "-c", config, "-e", log, "-p", tmp_path]
    else:
        command = [program, "-db", "-f", config]
    config.write_text(text)
    with (tmp_path / "output.log").open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                while True:
                    text = (tmp_path / "output.log").read_text()
                    assert process.returncode is None, text
                    with contextlib.suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        break
                    # There is no event to wait for.
                    await asyncio.sleep(0.02)
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def connect_through(port, **kwargs):
    """Connect through the proxy, which may have to find out that the server is up."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                return await connect(f"ws://127.0.0.1:{port}/", **kwargs)
            except InvalidStatus as exc:
                if exc.response.status_code not in (502, 503):
                    raise
                await asyncio.sleep(0.05)


async def test_proxy_passes_connections_on(start_program, proxy):
    server = await start_program("behind_proxy_server.py")
    async with await connect_through(proxy) as websocket:
        assert await websocket.recv() == "127.0.0.1"
        assert websocket.response.headers["Sec-WebSocket-Extensions"]
        for message in ["Hello!", b"\0" * 100_000, "x" * 1_000_000]:
            await websocket.send(message)
            assert await websocket.recv() == message
        await (await websocket.ping())
        await websocket.close(4000, "bye")
        assert (websocket.close_code, websocket.close_reason) == (4000, "bye")
    # It can't be fooled about who the client is.
    headers = {"X-Forwarded-For": "192.0.2.1"}
    async with await connect_through(proxy, additional_headers=headers) as websocket:
        assert await websocket.recv() == "127.0.0.1"
        # A restart of the server is seen by clients.
        server.send_signal(signal.SIGINT)
        with pytest.raises((ConnectionClosedOK, ConnectionClosedError)):
            await websocket.recv()
        assert websocket.close_code == 1001
    await server.communicate()
    with pytest.raises(InvalidStatus, match=r"HTTP 50[23]"):
        await connect(f"ws://127.0.0.1:{proxy}/")
