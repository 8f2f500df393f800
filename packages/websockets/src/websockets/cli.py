"""The command line: a client that sends what is typed, and shows what comes.

``websockets URI`` and ``python -m websockets URI`` are the same. In a terminal it is interactive;
with a file or a pipe as standard input or output, it is for scripts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import math
import os
import platform
import re
import ssl
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable
from typing import Any

from ws_protocol import kernel
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidHandshake,
    InvalidHeader,
    WebSocketException,
)
from ws_protocol.frames import CloseCode
from ws_protocol.typing import Data

from ._version import __version__
from .asyncio.client import ClientConnection, connect

__all__ = ["main"]

# Exit statuses. 2 is also what argparse exits with.
OK = 0
CLOSED_WITH_ERROR = 1
WRONG_USAGE = 2
NOT_CONNECTED = 3
# As shells have it for what signals end: 128 and the number of SIGINT, or of SIGPIPE.
INTERRUPTED = 130
OUTPUT_CLOSED = 141

EPILOG = """\
In a terminal, each line is sent as a message, and Ctrl-D closes the
connection. Else each line of standard input is sent as a text message, or all
of it as one with --text or --binary; messages that come are written to
standard output: text with an end of line, binary as it is, both escaped if
that is a terminal. What else there is to say goes to standard error.

exit status:
  0    the connection was closed normally
  1    it was closed with an error, or lost, or its output can't be written
  2    the arguments, or the input, aren't possible
  3    it couldn't be opened
  130  it was interrupted, by Ctrl-C for example
  141  nobody reads its output any more
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments, by default those of the process.

    Returns:
        Exit status.

    """
    open_standard_streams()
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.version:
        print(describe_versions())
        return OK
    if options.uri is None:
        parser.error("the following arguments are required: URI")
    try:
        return asyncio.run(run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as exc:
        # What is left to write would fail again, when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(exc, BrokenPipeError):
            return OUTPUT_CLOSED
        note(f"Can't write standard output: {describe(exc)}")
        return CLOSED_WITH_ERROR


def open_standard_streams() -> None:
    """Open those standard streams that are closed: input that is empty, output that goes nowhere.

    Python has :obj:`None` for them, and the first sockets would get their numbers.
    """
    for name, mode in [("stdin", "r"), ("stdout", "w"), ("stderr", "w")]:
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # for the whole process


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(
        prog="websockets",
        usage="%(prog)s [options] URI",
        description="Connect to a WebSocket server, and talk to it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("uri", metavar="URI", nargs="?", help="where to: ws://... or wss://...")
    parser.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        type=parse_header,
        default=[],
        help="send a header with the request; may be repeated",
    )
    parser.add_argument(
        "--subprotocol",
        metavar="NAME",
        action="append",
        help="offer a subprotocol; may be repeated, the preferred one first",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="don't verify the server's certificate: anybody may listen",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--text",
        action="store_true",
        help="send all of standard input as one text message",
    )
    kind.add_argument(
        "--binary",
        action="store_true",
        help="send all of standard input as one binary message; in a terminal, each line",
    )
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=1,
        help="at the end of input, close the connection when nothing has come for that long; "
        "inf to let the server close it; 1 by default",
    )
    parser.add_argument(
        "--version",
        action="store_true",
        help="show the versions of what is installed",
    )
    return parser


def parse_header(text: str) -> tuple[str, str]:
    """Parse the argument of ``--header``.

    Raises:
        argparse.ArgumentTypeError: It isn't a name, a colon and a value, or these aren't possible.

    """
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError(f"expected 'NAME: VALUE', got {text!r}")
    try:
        Headers()[name] = value = value.strip()
    except (InvalidHeader, ValueError) as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
    return name, value


def describe_versions() -> str:
    """Return the versions of all installed distributions of this project, one a line.

    In a zip file, for example, of which no installer knows, that is this one.
    """
    try:
        required = importlib.metadata.requires("websockets") or []
    except importlib.metadata.PackageNotFoundError:
        required = []
    siblings = sorted({match[0] for match in map(re.compile(r"ws-\w+").match, required) if match})
    lines = [f"websockets {__version__}"]
    for distribution in siblings:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            lines.append(f"{distribution} {importlib.metadata.version(distribution)}")
    lines.append(f"kernel: {kernel.IMPLEMENTATION}")
    lines.append(f"{platform.python_implementation()} {platform.python_version()}")
    return "\n".join(lines)


def escape(text: str) -> str:
    """Make a text harmless for a terminal, and unable to pass for what this program says.

    Control characters, those that change the direction of text, and halves of surrogate pairs are
    shown as Python writes them. What follows the end of a line is indented.

    Args:
        text: Any text, for example what the peer sent.

    """
    return "".join(
        char
        if char == "\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else "\n  "
        if char == "\n"
        else repr(char)[1:-1]
        for char in text
    )


def make_harmless(message: Data) -> str:
    """Return what a terminal shows of a message."""
    if isinstance(message, str):
        return escape(message)
    return f"binary, {len(message)} bytes: {message.hex()}"


async def run(options: argparse.Namespace) -> int:
    """Connect, and talk until the connection is closed.

    Returns:
        Exit status.

    """
    try:
        websocket = await connect(
            options.uri,
            additional_headers=options.header,
            subprotocols=options.subprotocol,
            **tls_arguments(options),
        )
    except (OSError, InvalidHandshake) as exc:
        note(f"Can't connect: {describe(exc)}")
        return NOT_CONNECTED
    except (ImportError, ValueError, WebSocketException) as exc:
        # The URI, a subprotocol, or the proxy that the environment names.
        note(f"Can't connect: {describe(exc)}")
        return WRONG_USAGE

    async with websocket:
        code = CloseCode.NORMAL_CLOSURE
        try:
            if is_interactive():
                return await talk_in_terminal(websocket, options)
            return await talk_in_pipe(websocket, options)
        except (asyncio.CancelledError, OSError):
            code = CloseCode.GOING_AWAY
            raise
        finally:
            closing = asyncio.create_task(websocket.close(code))
            # The server's close frame comes after messages that nobody wants any more.
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await websocket.recv()
            await closing
            note(f"Connection closed: {describe_close(websocket)}")


def tls_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``connect()`` that are about TLS."""
    if not (options.insecure and options.uri.lower().startswith("wss:")):
        return {}
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def is_interactive() -> bool:
    """Tell whether somebody types and reads, in a terminal that can be handled."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.name == "posix"


async def talk_in_terminal(websocket: ClientConnection, options: argparse.Namespace) -> int:
    """Send lines that are typed, and show messages above them."""
    # There are none for Windows.
    from ._terminal import Terminal

    with Terminal() as terminal:

        def show(message: Data) -> None:
            terminal.print(f"< {make_harmless(message)}")

        async def messages() -> AsyncIterator[Data]:
            async for line in terminal:
                yield line.encode() if options.binary else line

        if websocket.subprotocol is None:
            terminal.print("Connected. Ctrl-D closes the connection.")
        else:
            subprotocol = escape(websocket.subprotocol)
            terminal.print(f"Connected, with subprotocol {subprotocol}. Ctrl-D closes it.")
        return await talk(websocket, messages(), show, 0)


async def talk_in_pipe(websocket: ClientConnection, options: argparse.Namespace) -> int:
    """Send what comes from standard input, and write messages to standard output."""
    output = sys.stdout.buffer
    # It may be, when standard input alone is a pipe.
    is_terminal = sys.stdout.isatty()

    def write(message: Data) -> None:
        if is_terminal:
            message = make_harmless(message)
        if isinstance(message, str):
            message = message.encode() + b"\n"
        output.write(message)
        output.flush()

    messages: AsyncIterator[Data]
    if options.binary:
        messages = read_all()
    elif options.text:
        messages = decode(read_all())
    else:
        messages = decode(split_lines(read_input()))
    try:
        return await talk(websocket, messages, write, options.wait)
    except UnicodeDecodeError as exc:
        note(f"Can't send: the input isn't valid UTF-8 ({exc.reason}); there is --binary")
        return WRONG_USAGE


async def talk(
    websocket: ClientConnection,
    messages: AsyncIterator[Data],
    show: Callable[[Data], None],
    wait: float,
) -> int:
    """Send and receive messages at the same time, until the connection is closed.

    Args:
        websocket: The connection.
        messages: What to send.
        show: Called with each message that is received.
        wait: Close the connection when there is nothing more to send, and nothing has come for that
            many seconds.

    Returns:
        Exit status.

    """
    came = asyncio.Event()

    async def receive() -> int:
        try:
            async for message in websocket:
                show(message)
                came.set()
        except ConnectionClosedError:
            return CLOSED_WITH_ERROR
        return OK

    async def send() -> None:
        async for message in messages:
            try:
                await websocket.send(message)
            except ConnectionClosed:
                # The other task tells of it.
                return
        with contextlib.suppress(TimeoutError):
            while True:
                came.clear()
                async with asyncio.timeout(wait if wait < math.inf else None):
                    await came.wait()
        await websocket.close()

    receiving = asyncio.create_task(receive())
    sending = asyncio.create_task(send())
    try:
        done, _ = await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
        if receiving not in done:
            await sending
        return await receiving
    finally:
        for task in (receiving, sending):
            task.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)


# Standard input, when it is no terminal


async def read_input() -> AsyncIterator[bytes]:
    """Iterate over pieces of standard input, which may be a file, a pipe or anything else.

    A thread waits for it, because event loops can't wait for everything.
    """
    loop = asyncio.get_running_loop()
    # No more than one waits, so that input that is faster than the network waits, too.
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    taken = threading.Semaphore()
    # The thread may outlive the program's use of standard input.
    descriptor = os.dup(sys.stdin.fileno())

    def read() -> None:
        data = b"something"
        # The event loop may be closed meanwhile.
        with contextlib.suppress(RuntimeError):
            while data:
                taken.acquire()
                # Not sys.stdin.read(), whose lock would be in the way when Python exits meanwhile.
                try:
                    data = os.read(descriptor, 65536)
                except OSError as exc:
                    note(f"Can't read standard input: {exc.strerror}")
                    data = b""
                loop.call_soon_threadsafe(pieces.put_nowait, data)
        os.close(descriptor)

    threading.Thread(target=read, daemon=True).start()
    while piece := await pieces.get():
        yield piece
        taken.release()


async def read_all() -> AsyncIterator[bytes]:
    """Iterate over all of standard input, in one piece."""
    yield b"".join([piece async for piece in read_input()])


async def split_lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Iterate over lines, without their ends."""
    # Pieces of a line that goes on, which are joined once.
    rest: list[bytes] = []
    async for piece in pieces:
        *ends, start = piece.split(b"\n")
        for end in ends:
            line = b"".join([*rest, end])
            rest.clear()
            yield line.removesuffix(b"\r")
        rest.append(start)
    if last := b"".join(rest):
        yield last


async def decode(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Decode pieces, each by itself."""
    async for piece in pieces:
        yield piece.decode()


# What is said besides


def note(text: str) -> None:
    """Write a line to standard error."""
    print(text, file=sys.stderr, flush=True)


def describe(exc: BaseException) -> str:
    """Say in a line what went wrong, and what caused it."""
    texts = []
    cause: BaseException | None = exc
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    return escape("; ".join(filter(None, texts)) or type(exc).__name__)


def describe_close(websocket: ClientConnection) -> str:
    """Say in a line how a connection was closed: the close code and reason that the peer sent, or
    what happened instead."""
    exc = websocket.protocol.close_exc
    return escape(str(exc.rcvd or exc))
