"""The command line, in this process, with a pipe or a pseudo-terminal for input and output.

The integration tests run it as users do.
"""

import asyncio
import contextlib
import errno
import importlib.metadata
import io
import os
import re
import runpy
import signal
import socket
import ssl
import sys
import types

import pytest

import websockets
import ws_protocol
from websockets import cli
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this system")

TIMEOUT = 20


# Servers


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@contextlib.asynccontextmanager
async def serving(handler, **kwargs):
    """Run a server, and give its URI."""
    async with serve(handler, "127.0.0.1", 0, **kwargs) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def run(*arguments):
    """Run the command line as part of a test that has an event loop."""
    return asyncio.wait_for(cli.run(cli.build_parser().parse_args(arguments)), TIMEOUT)


# A pipe


@pytest.fixture
def pipe(monkeypatch):
    """Return a function that makes standard input a pipe, and standard output a buffer.

    It takes bytes for all of the input, or nothing, and returns the other end of the pipe. (A
    fixture can't do it, because pytest sets standard output when the test begins.)
    """
    with contextlib.ExitStack() as stack:

        def pipe(data=None):
            monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
            reader, writer = os.pipe()
            monkeypatch.setattr(sys, "stdin", stack.enter_context(os.fdopen(reader)))
            writer = stack.enter_context(os.fdopen(writer, "wb", buffering=0))
            if data is not None:
                # It fits into the buffer of a pipe.
                writer.write(data)
                writer.close()
            return writer

        yield pipe


def written():
    """Return what was written to standard output."""
    return sys.stdout.buffer.getvalue()


@pytest.mark.parametrize(
    "pieces, lines",
    [
        ([], []),
        ([b"\n"], [b""]),
        ([b"one"], [b"one"]),
        ([b"one\n\ntwo\r\n"], [b"one", b"", b"two"]),
        ([b"o", b"", b"n", b"e\r", b"\nt", b"wo"], [b"one", b"two"]),
    ],
)
async def test_lines_are_whole_however_they_arrive(pieces, lines):
    async def arrive():
        for piece in pieces:
            yield piece

    assert [line async for line in cli.split_lines(arrive())] == lines


async def test_lines_of_a_pipe_are_text_messages(pipe, capsys):
    received = []

    async def handler(websocket):
        async for message in websocket:
            received.append(message)
            await websocket.send(f"got {message}")
            if message == "last":
                return

    pipe("héllo\r\n\nlast".encode())
    async with serving(handler) as uri:
        assert await run(uri) == cli.OK
    assert received == ["héllo", "", "last"]
    assert written().decode() == "got héllo\ngot \ngot last\n"
    assert capsys.readouterr().err == "Connection closed: 1000 (OK)\n"


@pytest.mark.parametrize("option, kind", [("--text", str), ("--binary", bytes)])
async def test_all_of_a_pipe_can_be_one_message(pipe, option, kind):
    received = []

    async def handler(websocket):
        received.append(await websocket.recv())
        await websocket.send(received[0])

    pipe(b"two\nlines\n")
    async with serving(handler) as uri:
        assert await run(option, uri) == cli.OK
    (message,) = received
    assert isinstance(message, kind)
    # A text message gets an end of line, a binary one is as it was.
    assert written() == b"two\nlines\n\n" if kind is str else b"two\nlines\n"


async def test_binary_input_need_not_be_text(pipe):
    async def handler(websocket):
        await websocket.send(await websocket.recv())

    pipe(bytes(range(256)))
    async with serving(handler) as uri:
        assert await run("--binary", uri) == cli.OK
    assert written() == bytes(range(256))


async def test_text_that_is_not_utf8_is_wrong_usage(pipe, capsys):
    pipe(b"\xff\n")
    async with serving(echo) as uri:
        assert await run(uri) == cli.WRONG_USAGE
    assert capsys.readouterr().err == (
        "Can't send: the input isn't valid UTF-8 (invalid start byte); there is --binary\n"
        "Connection closed: 1000 (OK)\n"
    )


async def test_input_that_cannot_be_read_is_told_and_ends(pipe, capsys, monkeypatch, tmp_path):
    pipe()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(fileno=lambda: descriptor))
    monkeypatch.setattr(cli, "is_interactive", lambda: False)
    async with serving(echo) as uri:
        assert await run("--wait", "0", uri) == cli.OK
    os.close(descriptor)
    assert capsys.readouterr().err.startswith("Can't read standard input: Is a directory\n")


async def test_server_that_closes_ends_it_while_there_may_be_more_input(pipe, capsys):
    async def handler(websocket):
        await websocket.close(4000, "enough\x1b[2J")

    writer = pipe()
    async with serving(handler) as uri:
        assert await run(uri) == cli.CLOSED_WITH_ERROR
    # The thread that reads ends, too.
    writer.close()
    assert capsys.readouterr().err == "Connection closed: 4000 (private use) enough\\x1b[2J\n"


async def test_input_for_a_connection_that_is_closed_is_no_error():
    async def messages(websocket):
        await websocket.close()
        yield "late"

    async with serving(echo) as uri, connect(uri) as websocket:
        assert await cli.talk(websocket, messages(websocket), print, 0) == cli.OK


async def test_server_can_be_left_to_close(pipe):
    async def handler(websocket):
        assert await websocket.recv() == "question"
        await websocket.send("answer")
        # The client has nothing more to say, and waits.
        await (await websocket.ping())

    pipe(b"question\n")
    async with serving(handler) as uri:
        assert await run("--wait", "inf", uri) == cli.OK
    assert written() == b"answer\n"


async def test_connection_can_be_closed_at_the_end_of_input(pipe):
    async def handler(websocket):
        await websocket.wait_closed()
        assert websocket.close_code == 1000

    pipe(b"")
    async with serving(handler) as uri:
        assert await run("--wait", "0", uri) == cli.OK


@pytest.mark.slow
async def test_connection_is_closed_when_nothing_has_come_for_a_while(pipe):
    pipe(b"question\n")
    async with serving(echo) as uri:
        assert await run("--wait", "0.3", uri) == cli.OK
    assert written() == b"question\n"


async def test_lost_connection_is_an_error(pipe, capsys):
    async def handler(websocket):
        websocket.transport.abort()

    writer = pipe()
    async with serving(handler) as uri:
        assert await run(uri) == cli.CLOSED_WITH_ERROR
    writer.close()
    assert capsys.readouterr().err == "Connection closed: no close frame received or sent\n"


async def test_output_that_nobody_reads_closes_the_connection(pipe, monkeypatch):
    async def handler(websocket):
        await websocket.send("hello")
        await websocket.wait_closed()
        assert websocket.close_code == 1001

    writer = pipe()
    async with serving(handler) as uri:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(BrokenOutput()))
        with pytest.raises(BrokenPipeError):
            await run(uri)
    writer.close()


class BrokenOutput(io.BytesIO):
    """A pipe whose other end is closed."""

    def write(self, data):
        raise BrokenPipeError


def test_output_that_cannot_be_written_is_told(monkeypatch, capsys, tmp_path):
    def fail(coroutine):
        coroutine.close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(asyncio, "run", fail)
    with open(tmp_path / "output", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert cli.main(["ws://localhost/"]) == cli.CLOSED_WITH_ERROR
    expected = f"Can't write standard output: [Errno {errno.ENOSPC}] No space left on device\n"
    assert capsys.readouterr().err == expected


def test_standard_streams_that_are_closed_are_empty_or_lead_nowhere(monkeypatch):
    async def run(options):
        assert sys.stdin.read() == ""
        for stream in [sys.stdin, sys.stdout, sys.stderr]:
            stream.close()
        return cli.OK

    monkeypatch.setattr(cli, "run", run)
    for name in ["stdin", "stdout", "stderr"]:
        monkeypatch.setattr(sys, name, None)
    assert cli.main(["ws://localhost/"]) == cli.OK


# The opening handshake


async def test_options_are_sent_with_the_request(pipe):
    requests = []

    async def handler(websocket):
        requests.append(websocket.request)
        await websocket.send(websocket.subprotocol)

    pipe(b"")
    async with serving(handler, subprotocols=["soap", "chat"]) as uri:
        options = ["--header", "Authorization: Bearer a:b", "--header", "X-Empty:"]
        options += ["--subprotocol", "other", "--subprotocol", "chat"]
        assert await run(*options, uri) == cli.OK
    (request,) = requests
    assert request.headers["Authorization"] == "Bearer a:b"
    assert request.headers["X-Empty"] == ""
    assert request.headers["Sec-WebSocket-Protocol"] == "other, chat"
    assert written() == b"chat\n"


@pytest.mark.parametrize("header", ["Authorization", ": value", ""])
def test_header_without_name_or_colon_is_wrong_usage(header, capsys):
    with pytest.raises(SystemExit) as excinfo:
        cli.main(["--header", header, "ws://localhost/"])
    assert excinfo.value.code == cli.WRONG_USAGE
    assert f"expected 'NAME: VALUE', got {header!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "header, message",
    [
        ("a b: c", "invalid header name: 'a b'"),
        ("Cookie: a\nb", "invalid Cookie header: unexpected character '\\n' at 1"),
        ("X: \udcff", "invalid X header: unexpected character '\\udcff' at 0"),
        ("X: \u6f22", "invalid X header: unexpected character '\u6f22' at 0"),
    ],
)
def test_header_that_is_not_possible_is_wrong_usage(header, message, capsys):
    with pytest.raises(SystemExit) as excinfo:
        cli.main(["--header", header, "ws://localhost/"])
    assert excinfo.value.code == cli.WRONG_USAGE
    assert capsys.readouterr().err.endswith(f"argument --header: {message}\n")


async def test_server_that_refuses_is_told(capsys):
    def process_request(connection, request):
        return connection.respond(403, "no")

    async with serving(echo, process_request=process_request) as uri:
        assert await run(uri) == cli.NOT_CONNECTED
    expected = "Can't connect: server rejected WebSocket connection: HTTP 403\n"
    assert capsys.readouterr().err == expected


async def test_server_that_is_not_there_is_told(capsys):
    # It has a port, on which nobody listens.
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert await run(f"ws://127.0.0.1:{sock.getsockname()[1]}/") == cli.NOT_CONNECTED
    assert capsys.readouterr().err.startswith("Can't connect: ")


@pytest.mark.parametrize(
    "arguments",
    [["http://localhost/"], ["ws://"], ["--subprotocol", "a b", "ws://localhost:1/"]],
    ids=["scheme", "host", "subprotocol"],
)
async def test_arguments_that_are_not_possible_are_wrong_usage(arguments, capsys):
    async with serving(echo) as uri:
        arguments = [argument.replace("ws://localhost:1/", uri) for argument in arguments]
        assert await run(*arguments) == cli.WRONG_USAGE
    assert capsys.readouterr().err.startswith("Can't connect: ")


def test_exception_without_text_is_told_by_its_name():
    assert cli.describe(TimeoutError()) == "TimeoutError"


def test_cause_of_an_exception_is_told():
    exc = OSError("can't read")
    exc.__cause__ = TimeoutError()
    exc.__cause__.__cause__ = EOFError("connection closed")
    assert cli.describe(exc) == "can't read; connection closed"


@pytest.mark.parametrize("uri", ["wss://localhost/", "WSS://localhost/"])
def test_insecure_verifies_nothing(uri):
    options = cli.build_parser().parse_args(["--insecure", uri])
    context = cli.tls_arguments(options)["ssl"]
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_NONE)


@pytest.mark.parametrize("arguments", [["wss://localhost/"], ["--insecure", "ws://localhost/"]])
def test_else_tls_is_as_ever(arguments):
    assert cli.tls_arguments(cli.build_parser().parse_args(arguments)) == {}


# A terminal


class Keyboard:
    """The other end of a pseudo-terminal."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.screen = b""
        self.changed = asyncio.Event()
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self.read)

    def read(self):
        self.screen += os.read(self.descriptor, 65536)
        self.changed.set()

    def type(self, text):
        os.write(self.descriptor, text.encode())

    async def wait_for(self, text):
        """Wait until a text is on the screen."""
        async with asyncio.timeout(TIMEOUT):
            while text.encode() not in self.screen:
                self.changed.clear()
                await self.changed.wait()

    async def rows(self):
        """Return the rows that are left when the program has ended."""
        # What is written arrives some time later.
        print("the end", flush=True)
        await self.wait_for("the end")
        text = re.sub(r"[^\n]*\r\x1b\[K", "", self.screen.decode().replace("\r\n", "\n"))
        return re.sub(r"\r(\x1b\[\d+C)?", "", text).splitlines()[:-1]


@pytest.fixture
async def terminal(monkeypatch):
    """Return a function that makes standard input and output a terminal; it gives its keyboard."""
    with contextlib.ExitStack() as stack:

        def terminal():
            ours, theirs = pty.openpty()
            stack.callback(os.close, ours)
            stack.callback(asyncio.get_running_loop().remove_reader, ours)
            stdin = stack.enter_context(os.fdopen(theirs, "r", closefd=False))
            monkeypatch.setattr(sys, "stdin", stdin)
            monkeypatch.setattr(sys, "stdout", stack.enter_context(os.fdopen(theirs, "w")))
            return Keyboard(ours)

        yield terminal


async def test_typed_lines_are_sent_and_messages_stand_above_the_prompt(terminal):
    keyboard = terminal()
    async with serving(echo) as uri:
        running = asyncio.create_task(run(uri))
        await keyboard.wait_for("Connected")
        keyboard.type("héllo\n")
        await keyboard.wait_for("< héllo")
        keyboard.type("\x04")
        assert await running == cli.OK
    rows = await keyboard.rows()
    assert rows == ["Connected. Ctrl-D closes the connection.", "> héllo", "< héllo"]


async def test_line_that_is_being_typed_stays_below_what_comes(terminal):
    keyboard = terminal()

    async def handler(websocket):
        assert await websocket.recv() == "go"
        await keyboard.wait_for("> draft")
        await websocket.send("one\x1b[2J\ntwo\tthree")
        await websocket.send(b"\x00\xff")
        assert await websocket.recv() == "draft, sent"

    async with serving(handler) as uri:
        running = asyncio.create_task(run(uri))
        await keyboard.wait_for("Connected")
        keyboard.type("go\ndraft")
        await keyboard.wait_for("00ff\r\n\r\x1b[K> draft\r\x1b[7C")
        keyboard.type(", sent\n")
        assert await running == cli.OK
    assert (await keyboard.rows())[1:] == [
        "> go",
        "< one\\x1b[2J",
        "  two\tthree",
        "< binary, 2 bytes: 00ff",
        "> draft, sent",
    ]


async def test_what_the_encoding_of_the_terminal_lacks_is_shown_all_the_same(terminal):
    keyboard = terminal()
    sys.stdout.reconfigure(encoding="iso-8859-1")

    async def handler(websocket):
        assert await websocket.recv() == "\u6f22"
        await websocket.send("caf\xe9, \u6f22")

    async with serving(handler) as uri:
        running = asyncio.create_task(run(uri))
        await keyboard.wait_for("Connected")
        keyboard.type("\u6f22\n")
        assert await running == cli.OK
    await keyboard.wait_for(", \\u6f22")
    assert b"> \\u6f22" in keyboard.screen
    assert b"< caf\xe9, \\u6f22" in keyboard.screen


@pytest.fixture
def no_input():
    """Return a file that is empty."""
    with open(os.devnull) as no_input:
        yield no_input


async def test_messages_cannot_steer_a_terminal_when_the_input_is_a_file(
    terminal, no_input, monkeypatch
):
    keyboard = terminal()
    monkeypatch.setattr(sys, "stdin", no_input)

    async def handler(websocket):
        await websocket.send("\x1b]52;c;\x9b2J\ntwo")
        await websocket.send(b"\x1b[2J")
        # The end of the input doesn't close the connection.
        await keyboard.wait_for("1b5b324a\r\n")

    async with serving(handler) as uri:
        assert await run("--wait", "inf", uri) == cli.OK
    assert await keyboard.rows() == [
        "\\x1b]52;c;\\x9b2J",
        "  two",
        "binary, 4 bytes: 1b5b324a",
    ]


async def test_cancelling_it_closes_the_connection(terminal, capsys):
    codes = asyncio.Queue()

    async def handler(websocket):
        await websocket.wait_closed()
        codes.put_nowait(websocket.close_code)

    keyboard = terminal()
    async with serving(handler) as uri:
        running = asyncio.create_task(run(uri))
        await keyboard.wait_for("Connected")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await codes.get() == 1001
    assert capsys.readouterr().err == "Connection closed: 1001 (going away)\n"


async def test_subprotocol_is_told(terminal):
    keyboard = terminal()

    async def handler(websocket):
        pass

    async with serving(handler, subprotocols=["chat"]) as uri:
        assert await run("--subprotocol", "chat", uri) == cli.OK
    await keyboard.wait_for("Connected, with subprotocol chat.")


async def test_typed_lines_can_be_binary_messages(terminal):
    keyboard = terminal()

    async def handler(websocket):
        assert await websocket.recv() == "é".encode()

    async with serving(handler) as uri:
        keyboard.type("é\n")
        assert await run("--binary", uri) == cli.OK


async def test_terminal_is_left_as_it_was(terminal):
    keyboard = terminal()
    import termios

    before = termios.tcgetattr(sys.stdin)
    during = []

    async def handler(websocket):
        await keyboard.wait_for("Connected")
        during.append(termios.tcgetattr(sys.stdin))

    async with serving(handler) as uri:
        assert await run(uri) == cli.OK
    assert not during[0][3] & termios.ECHO
    assert termios.tcgetattr(sys.stdin) == before


@pytest.mark.parametrize("number", [signal.SIGWINCH, signal.SIGCONT])
async def test_prompt_is_drawn_again_when_the_terminal_may_have_changed(terminal, number):
    keyboard = terminal()
    async with serving(echo) as uri:
        running = asyncio.create_task(run(uri))
        keyboard.type("typed")
        await keyboard.wait_for("> typed")
        keyboard.screen = b""
        signal.raise_signal(number)
        await keyboard.wait_for("> typed")
        keyboard.type("\x15\x04")
        assert await running == cli.OK


async def test_terminal_without_posix_is_used_line_by_line(terminal, monkeypatch):
    terminal()
    monkeypatch.setattr(os, "name", "nt")
    assert not cli.is_interactive()


# Text of the peer


@pytest.mark.parametrize(
    "text, harmless",
    [
        ("Hello, wörld! 日本 😀\u00a0\t.", "Hello, wörld! 日本 😀\u00a0\t."),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\r\b\x07\x00\x7f\x9b", "\\r\\x08\\x07\\x00\\x7f\\x9b"),
        ("\u202eabc\u2028\u2066", "\\u202eabc\\u2028\\u2066"),
        ("\ud800", "\\ud800"),
        ("a\n> b", "a\n  > b"),
    ],
    ids=["harmless", "colors", "controls", "direction", "surrogate", "lines"],
)
def test_text_is_made_harmless(text, harmless):
    assert cli.escape(text) == harmless


# The process


def test_version_is_that_of_every_distribution_that_is_installed(capsys):
    assert cli.main(["--version"]) == cli.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"websockets {importlib.metadata.version('websockets')}"
    assert f"ws-protocol {ws_protocol.__version__}" in lines
    assert f"kernel: {ws_protocol.kernel.IMPLEMENTATION}" in lines
    assert all(re.fullmatch(r"\S+ [\d.]+", line) for line in lines[:-2])


def test_version_leaves_out_what_is_not_installed(capsys, monkeypatch):
    required = ["ws-protocol>=1", "ws-missing>=1; extra == 'missing'", "h11>=1"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: required)
    cli.main(["--version"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-2]] == ["websockets", "ws-protocol"]


def test_version_is_known_without_an_installer(capsys, monkeypatch):
    def fail(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", fail)
    monkeypatch.setattr(importlib.metadata, "version", fail)
    assert cli.main(["--version"]) == cli.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-2] == [f"websockets {websockets.__version__}"]


def test_uri_is_required(capsys):
    with pytest.raises(SystemExit) as excinfo:
        cli.main([])
    assert excinfo.value.code == cli.WRONG_USAGE
    assert "arguments are required: URI" in capsys.readouterr().err


@pytest.mark.parametrize(
    "exception, status",
    [(KeyboardInterrupt, cli.INTERRUPTED), (BrokenPipeError, cli.OUTPUT_CLOSED)],
)
def test_end_by_signal_has_the_status_that_shells_give_it(exception, status, monkeypatch, tmp_path):
    def fail(coroutine):
        coroutine.close()
        raise exception

    monkeypatch.setattr(asyncio, "run", fail)
    with open(tmp_path / "output", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert cli.main(["ws://localhost/"]) == status


def test_status_is_that_of_the_connection(monkeypatch):
    async def run(options):
        assert options.uri == "ws://localhost/"
        return cli.CLOSED_WITH_ERROR

    monkeypatch.setattr(cli, "run", run)
    assert cli.main(["ws://localhost/"]) == cli.CLOSED_WITH_ERROR


def test_module_can_be_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["websockets", "--version"])
    with pytest.raises(SystemExit) as excinfo:
        runpy.run_module("websockets", run_name="__main__")
    assert excinfo.value.code == cli.OK
    assert capsys.readouterr().out.startswith(f"websockets {websockets.__version__}\n")


def test_import_of_the_module_runs_nothing():
    runpy.run_module("websockets.__main__", run_name="elsewhere")
