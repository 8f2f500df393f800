"""The command line as users run it: installed, in a shell with pipes, and in a real terminal."""

import asyncio
import contextlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
import trustme
from docblocks import find_blocks

from websockets.asyncio.server import serve

PROGRAM = Path(sysconfig.get_path("scripts")) / "websockets"
TIMEOUT = 20

# Interpreters start.
pytestmark = pytest.mark.slow


@contextlib.asynccontextmanager
async def serving(handler, scheme="ws", **kwargs):
    """Run a server, and give its URI."""
    async with serve(handler, "127.0.0.1", 0, **kwargs) as server:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture
def environment():
    """Environment variables without proxies."""
    return {name: value for name, value in os.environ.items() if not name.endswith("_proxy")}


@pytest.fixture
def run(environment):
    """Return a function that runs a program, with input, and returns its status and its output."""

    async def run(*command, data=b""):
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                output, errors = await process.communicate(data)
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise
        return process.returncode, output, errors.decode()

    return run


async def test_module_and_script_are_the_same(run):
    async with serving(echo) as uri:
        for command in [[PROGRAM], [sys.executable, "-m", "websockets"]]:
            result = await run(*command, uri, data="héllo\nworld\n".encode())
            assert result == (0, "héllo\nworld\n".encode(), "Connection closed: 1000 (OK)\n")


async def test_version_is_that_of_the_distribution(run):
    status, output, errors = await run(PROGRAM, "--version")
    first = f"websockets {importlib.metadata.version('websockets')}"
    assert (status, output.decode().splitlines()[0], errors) == (0, first, "")


async def test_help_tells_of_every_exit_status(run):
    from websockets import cli

    status, output, _ = await run(PROGRAM, "--help")
    statuses = [value for name, value in vars(cli).items() if name.isupper() and name != "EPILOG"]
    assert status == 0
    assert len(statuses) == 6
    assert all(f"\n  {number:<3}  " in output.decode() for number in statuses)


async def test_file_larger_than_any_buffer_comes_back_as_it_was(run):
    data = os.urandom(1_000_000)
    async with serving(echo) as uri:
        status, output, _ = await run(PROGRAM, "--binary", uri, data=data)
    assert (status, output) == (0, data)


async def test_reader_that_has_enough_ends_it(run):
    async def handler(websocket):
        with contextlib.suppress(Exception):
            while True:
                await websocket.send("again")
                # While the client reads all, sending doesn't wait for anything.
                await asyncio.sleep(0)

    async with serving(handler) as uri:
        script = f"'{PROGRAM}' --wait inf {uri} </dev/null | head -n 2; echo ${{PIPESTATUS[0]}}"
        status, output, errors = await run("bash", "-c", script)
    assert (status, output) == (0, b"again\nagain\n141\n")
    assert "Traceback" not in errors


async def test_interrupt_closes_the_connection(environment):
    codes = asyncio.Queue()

    async def handler(websocket):
        await websocket.send("ready")
        await websocket.wait_closed()
        codes.put_nowait(websocket.close_code)

    async with serving(handler) as uri, asyncio.timeout(TIMEOUT):
        process = await asyncio.create_subprocess_exec(
            *[PROGRAM, uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # In the background of a shell, it would be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            assert await process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            errors = await process.stderr.read()
            assert await process.wait() == 130
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
        assert await codes.get() == 1001
    assert errors == b"Connection closed: 1001 (going away)\n"


async def test_certificate_is_verified_unless_told_otherwise(run):
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with serving(echo, "wss", ssl=context) as uri:
        status, output, errors = await run(PROGRAM, uri, data=b"hello\n")
        assert (status, output) == (3, b"")
        assert "CERTIFICATE_VERIFY_FAILED" in errors
        status, output, _ = await run(PROGRAM, "--insecure", uri, data=b"hello\n")
        assert (status, output) == (0, b"hello\n")


async def test_commands_for_scripts_do_what_the_page_says(tmp_path, environment):
    async def handler(websocket):
        received.append((websocket.request.path, await websocket.recv()))
        for price in ("1", "2"):
            await websocket.send(price)

    received = []
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n")
    [block] = find_blocks("docs/reference/websockets/command-line.rst", "sh")
    environment["PATH"] = f"{PROGRAM.parent}{os.pathsep}{environment['PATH']}"
    async with serving(handler) as uri:
        for command in block.replace("wss://example.com/", uri).splitlines():
            process = await asyncio.create_subprocess_shell(command, cwd=tmp_path, env=environment)
            async with asyncio.timeout(TIMEOUT):
                assert await process.wait() == 0
    assert received == [("/feed", '{"subscribe": "prices"}'), ("/upload", b"\x89PNG\r\n")]
    assert (tmp_path / "prices.jsonl").read_text() == "1\n2\n"


# A terminal


@pytest.fixture
def tmux(environment):
    """Return a function that runs a command of tmux, which has a server of its own."""
    path = shutil.which("tmux")
    if path is None:
        pytest.skip("there is no tmux on PATH")
    # The path of a socket has room for a hundred bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:

        def tmux(*arguments):
            command = [path, "-S", f"{directory}/socket", "-f", "/dev/null", *map(str, arguments)]
            settings = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
            return subprocess.run(
                command,
                env=environment | settings,
                check=True,
                capture_output=True,
                encoding="utf-8",
                timeout=TIMEOUT,
            ).stdout

        yield tmux
        with contextlib.suppress(subprocess.SubprocessError):
            tmux("kill-server")


async def wait_for_screen(tmux, text):
    """Wait until a text is on the screen; return the rows that aren't empty."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            rows = (await asyncio.to_thread(tmux, "capture-pane", "-p")).splitlines()
            if text in rows:
                return [row for row in rows if row]
            # It has no event to wait for.
            await asyncio.sleep(0.05)


async def test_terminal_shows_messages_above_what_is_typed(tmux):
    say = asyncio.Queue()
    heard = asyncio.Queue()

    async def handler(websocket):
        async def listen():
            async for message in websocket:
                heard.put_nowait(message)

        listening = asyncio.create_task(listen())
        while (message := await say.get()) is not None:
            await websocket.send(message)
        await websocket.close(4321, "so long")
        await listening

    async with serving(handler) as uri:
        # The shell shows the status.
        command = f"'{PROGRAM}' {uri}; echo status $?; cat"
        tmux("new-session", "-d", "-x", 60, "-y", 12, command)
        await wait_for_screen(tmux, "Connected. Ctrl-D closes the connection.")
        tmux("send-keys", "-l", "a dräft")
        await wait_for_screen(tmux, "> a dräft")
        say.put_nowait("first \x1b[31mred\x1b[0m")
        say.put_nowait("x" * 70)
        rows = await wait_for_screen(tmux, "x" * 12)
        rows = await wait_for_screen(tmux, "> a dräft")
        assert rows == [
            "Connected. Ctrl-D closes the connection.",
            "< first \\x1b[31mred\\x1b[0m",
            "< " + "x" * 58,
            "x" * 12,
            "> a dräft",
        ]
        tmux("send-keys", "Home")
        tmux("send-keys", "-l", "still ")
        tmux("send-keys", "End")
        tmux("send-keys", "-l", ", now sent")
        tmux("send-keys", "Enter")
        async with asyncio.timeout(TIMEOUT):
            assert await heard.get() == "still a dräft, now sent"
        for number in range(20):
            say.put_nowait(f"line {number}")
        await wait_for_screen(tmux, "< line 19")
        tmux("send-keys", "Up")
        rows = await wait_for_screen(tmux, "> still a dräft, now sent")
        assert rows[-2:] == ["< line 19", "> still a dräft, now sent"]
        say.put_nowait(None)
        rows = await wait_for_screen(tmux, "status 1")
        assert rows[-2:] == ["Connection closed: 4321 (private use) so long", "status 1"]


@pytest.mark.parametrize(
    "page,server",
    [
        ("docs/reference/websockets/command-line.rst", "echo_server.py"),
        ("docs/tutorial/index.rst", "tutorial/step1_server.py"),
    ],
)
async def test_terminal_shows_what_the_page_shows(tmux, start_program, page, server):
    await start_program(server)
    [session] = find_blocks(page, "console")
    shown = session.replace("8765", str(start_program.port)).splitlines()
    path = f"{PROGRAM.parent}{os.pathsep}{os.defpath}"
    tmux("new-session", "-d", "-x", 80, "-y", 24, f"env PATH='{path}' PS1='$ ' ENV= sh")
    for number, line in enumerate(shown):
        if line.startswith("$ "):
            await wait_for_screen(tmux, "$")
        elif line.startswith("> "):
            await wait_for_screen(tmux, ">")
        else:
            # Printed. The last one is when the connection is closed.
            if number == len(shown) - 1:
                await wait_for_screen(tmux, ">")
                tmux("send-keys", "C-d")
            await wait_for_screen(tmux, line)
            continue
        tmux("send-keys", "-l", line[2:])
        tmux("send-keys", "Enter")
    assert await wait_for_screen(tmux, "$") == [*shown, "$"]
