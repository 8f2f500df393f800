"""What isn't the network's fault: killed processes, clocks that jump, handlers that fail."""

import asyncio
import contextlib
import gc
import logging
import signal
import subprocess
import sys

import pytest

from ws_protocol.exceptions import ConnectionClosed, ConnectionClosedError

BOUND = 60

CONNECTING = """
import asyncio, sys
from {module}.client import connect

async def main():
    async with connect(sys.argv[1]) as connection:
        await connection.send("here")
        await asyncio.Future()

asyncio.run(main())
"""

SERVING = """
import asyncio
from {module}.server import serve

async def handle(connection):
    await connection.send("here")
    await asyncio.Future()

async def main():
    async with serve(handle, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def start(program, api, *args):
    """Run a program, and kill it at the end."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-W", "ignore", "-c", program.format(module=f"ws_{api}"), *args],
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def port_of(server):
    return server.sockets[0].getsockname()[1]


async def test_server_learns_that_a_client_was_killed(api, nothing_is_logged):
    here, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def handle(connection):
        await connection.recv()
        here.set()
        try:
            await connection.recv()
        except ConnectionClosed as exc:
            ended.set_result(exc)

    async with asyncio.timeout(BOUND), api.serve(handle, "127.0.0.1", 0) as server:
        async with start(CONNECTING, api, f"ws://127.0.0.1:{port_of(server)}/") as process:
            await here.wait()
            process.send_signal(signal.SIGKILL)
            exc = await ended
    assert isinstance(exc, ConnectionClosedError)
    assert exc.rcvd is exc.sent is None


async def test_client_learns_that_the_server_was_killed(api, nothing_is_logged):
    async with asyncio.timeout(BOUND), start(SERVING, api) as process:
        port = int(await process.stdout.readline())
        async with api.connect(f"ws://127.0.0.1:{port}/") as connection:
            assert await connection.recv() == "here"
            process.send_signal(signal.SIGKILL)
            with pytest.raises(ConnectionClosedError) as raised:
                await connection.recv()
    assert raised.value.rcvd is raised.value.sent is None


# Clocks


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@pytest.fixture
async def jump(monkeypatch):
    """Return a function that makes the event loop's clock jump by some seconds.

    To the event loop, this is as if it had not run for that long.
    """
    loop = asyncio.get_running_loop()
    time, offset = loop.time, 0

    def jump(seconds):
        nonlocal offset
        offset += seconds

    monkeypatch.setattr(loop, "time", lambda: time() + offset)
    return jump


@pytest.mark.parametrize("seconds", [21, 41, 3600, 10**7, -21, -3600])
async def test_clock_that_jumps_and_stalls_do_not_end_a_connection_to_a_live_peer(
    seconds, api, jump, nothing_is_logged
):
    async with api.serve(echo, "127.0.0.1", 0) as server:
        async with api.connect(f"ws://127.0.0.1:{port_of(server)}/") as connection:
            for number in range(20):
                jump(seconds)
                await connection.send(f"{number}")
                assert await connection.recv() == f"{number}"
            await (await connection.ping())
        assert connection.close_code == 1000


# Handlers


class OutOfMemory(MemoryError):
    """Raised on purpose: the real one would take the tests with it."""


@pytest.mark.parametrize("exc_type", [OutOfMemory, RecursionError, ConnectionResetError])
async def test_handler_that_fails_ends_its_own_connection_only(exc_type, api, caplog):
    async def handle(connection):
        async for message in connection:
            if message == "fail":
                raise exc_type("on purpose")
            await connection.send(message)

    async with api.serve(handle, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{port_of(server)}/"
        async with api.connect(uri) as failing, api.connect(uri) as other:
            await failing.send("fail")
            with pytest.raises(ConnectionClosedError) as raised:
                await failing.recv()
            assert raised.value.rcvd.code == 1011
            await other.send("still here")
            assert await other.recv() == "still here"
    [record] = [record for record in caplog.records if record.levelno > logging.INFO]
    assert (record.levelname, record.getMessage()) == ("ERROR", "connection handler failed")


async def test_handler_that_is_cancelled_from_within_ends_its_own_connection_only(
    api, nothing_is_logged
):
    async def handle(connection):
        async for message in connection:
            if message == "cancel":
                raise asyncio.CancelledError
            await connection.send(message)

    async with asyncio.timeout(BOUND), api.serve(handle, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{port_of(server)}/"
        async with api.connect(uri) as failing, api.connect(uri) as other:
            await failing.send("cancel")
            with pytest.raises(ConnectionClosed):
                await failing.recv()
            await other.send("still here")
            assert await other.recv() == "still here"


@pytest.mark.parametrize("exc_type", [KeyboardInterrupt, SystemExit])
async def test_handler_that_ends_the_program_ends_it(exc_type, api, nothing_is_logged, caplog):
    async def handle(connection):
        await connection.recv()
        raise exc_type("on purpose")

    async def main():
        async with api.serve(handle, "127.0.0.1", 0) as server:
            async with api.connect(f"ws://127.0.0.1:{port_of(server)}/") as connection:
                await connection.send("end")
                await connection.wait_closed()

    def run():
        # As a program does it, hence in a thread that has no event loop.
        with pytest.raises(exc_type, match="on purpose"):
            asyncio.run(main())
        gc.collect()

    # It shows once, as what ends the program.
    caplog.set_level(logging.ERROR, "asyncio")
    await asyncio.to_thread(run)
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
    # Its thread stays for the next.
    await asyncio.get_running_loop().shutdown_default_executor()
