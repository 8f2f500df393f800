import asyncio
import http
import itertools
import logging
import random
import socket
import sys

import pytest

from ws_asyncio import connect, serve
from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)
from ws_protocol.frames import CloseCode
from ws_protocol.protocol import State

both_loops = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def no_delay():
    return itertools.repeat(0)


class Refusals:
    """A ``process_request`` function that refuses connections.

    Args:
        statuses: A status for each connection; :obj:`None` to accept it, as those that follow.

    Attributes:
        requests: How many requests there were.

    """

    def __init__(self, *statuses):
        self._statuses = list(statuses)
        self.requests = 0

    def __call__(self, connection, request):
        self.requests += 1
        status = self._statuses.pop(0) if self._statuses else None
        return None if status is None else connection.respond(status, "")


@both_loops
async def test_iterator_connects_again_whenever_the_connection_was_closed(get_uri):
    async def greet(connection):
        await connection.send("hello")

    async with serve(greet, "127.0.0.1", 0) as server:
        received, connections = [], []
        async for connection in connect(get_uri(server)):
            connections.append(connection)
            try:
                received += [message async for message in connection]
                if len(received) == 3:
                    break
            except ConnectionClosed:
                continue
        assert received == ["hello"] * 3
        assert len(set(connections)) == 3


async def test_iterator_closes_a_connection_before_it_connects_again(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        previous = None
        async for connection in connect(get_uri(server)):
            if previous is not None:
                assert previous.state is State.CLOSED
                assert previous.close_code == CloseCode.NORMAL_CLOSURE
                break
            previous = connection


# Other implementations of Python end an iterator that is left when they collect garbage.
ends_iterators_at_once = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="only CPython counts references"
)


@both_loops
@ends_iterators_at_once
@pytest.mark.parametrize("leave", ["break", "return", "raise"])
async def test_leaving_the_loop_closes_the_connection_normally(get_uri, leave):
    async def iterate(uri):
        async for connection in connect(uri):
            connections.append(connection)
            if leave == "break":
                break
            if leave == "return":
                return
            raise ZeroDivisionError

    connections = []
    async with serve(echo, "127.0.0.1", 0) as server:
        try:
            await iterate(get_uri(server))
        except ZeroDivisionError:
            assert leave == "raise"
        (connection,) = connections
        await connection.wait_closed()
        assert connection.close_code == CloseCode.NORMAL_CLOSURE


async def test_iterator_can_be_closed(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        iterator = aiter(connect(get_uri(server)))
        connection = await anext(iterator)
        await iterator.aclose()
        assert connection.close_code == CloseCode.NORMAL_CLOSURE


@both_loops
@ends_iterators_at_once
async def test_cancelling_the_loop_closes_the_connection(get_uri):
    async def iterate():
        async for connection in connect(get_uri(server)):
            opened.set_result(connection)
            await asyncio.Event().wait()

    opened = asyncio.get_running_loop().create_future()
    async with serve(echo, "127.0.0.1", 0) as server:
        task = asyncio.create_task(iterate())
        connection = await opened
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await connection.wait_closed()
        assert connection.close_code == CloseCode.NORMAL_CLOSURE


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_iterator_tries_again_after_a_refusal_that_may_pass(get_uri, status):
    refusals = Refusals(status, status)
    async with serve(echo, "127.0.0.1", 0, process_request=refusals) as server:
        async for connection in connect(get_uri(server), reconnect_delays=no_delay):
            await connection.send("hello")
            assert await connection.recv() == "hello"
            break
        assert refusals.requests == 3


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 501, 505])
async def test_iterator_stops_after_a_refusal_that_would_be_repeated(get_uri, status):
    refusals = Refusals(status)
    async with serve(echo, "127.0.0.1", 0, process_request=refusals) as server:
        with pytest.raises(InvalidStatus):
            await anext(aiter(connect(get_uri(server), reconnect_delays=no_delay)))
        assert refusals.requests == 1


@both_loops
async def test_iterator_tries_again_after_network_errors(get_uri):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    servers = []

    def delays():
        yield 0
        yield 0
        # Only now is there a server.
        servers.append(asyncio.create_task(start()))
        yield from itertools.repeat(0)

    async def start():
        return await serve(echo, "127.0.0.1", port)

    async for connection in connect(f"ws://127.0.0.1:{port}", reconnect_delays=delays):
        await connection.send("hello")
        assert await connection.recv() == "hello"
        break
    (server,) = await asyncio.gather(*servers)
    server.close()
    await server.wait_closed()


async def test_iterator_tries_again_when_the_connection_ends_during_the_handshake(start_tcp_server):
    async def talk(reader, writer):
        attempts.append(await reader.readuntil(b"\r\n\r\n"))

    attempts = []
    uri = f"ws://127.0.0.1:{await start_tcp_server(talk)}"
    with pytest.raises(InvalidMessage):
        await anext(aiter(connect(uri, reconnect_delays=lambda: iter([0, 0]))))
    assert len(attempts) == 3


async def test_iterator_tries_again_after_a_timeout(clock, start_tcp_server):
    async def talk(reader, writer):
        attempts.append(await reader.read())

    attempts = []
    uri = f"ws://127.0.0.1:{await start_tcp_server(talk)}"
    with pytest.raises(TimeoutError):
        await anext(aiter(connect(uri, reconnect_delays=lambda: iter([0, 0]))))
    await clock.settle()
    assert len(attempts) == 3


async def test_iterator_stops_after_a_response_that_is_not_valid(start_tcp_server):
    async def talk(reader, writer):
        attempts.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    attempts = []
    uri = f"ws://127.0.0.1:{await start_tcp_server(talk)}"
    with pytest.raises(InvalidMessage):
        await anext(aiter(connect(uri, reconnect_delays=no_delay)))
    assert len(attempts) == 1


async def test_iterator_stops_if_the_uri_is_not_valid():
    with pytest.raises(InvalidURI):
        await anext(aiter(connect("nonsense", reconnect_delays=no_delay)))


@both_loops
async def test_iterator_stops_after_a_certificate_error(get_uri, untrusted_tls):
    async with serve(echo, "127.0.0.1", 0, ssl=untrusted_tls) as server:
        uri = get_uri(server, scheme="wss")
        with pytest.raises(OSError, match="certificate verify failed"):
            await anext(aiter(connect(uri, reconnect_delays=no_delay)))


# process_exception


async def test_process_exception_that_returns_none_makes_it_try_again(get_uri):
    refusals = Refusals(404, 401)
    seen = []
    async with serve(echo, "127.0.0.1", 0, process_request=refusals) as server:
        async for _ in connect(
            get_uri(server), process_exception=seen.append, reconnect_delays=no_delay
        ):
            break
    assert [exc.response.status_code for exc in seen] == [404, 401]


async def test_process_exception_that_returns_the_exception_stops(get_uri):
    async with serve(echo, "127.0.0.1", 0, process_request=Refusals(503)) as server:
        iterator = aiter(connect(get_uri(server), process_exception=lambda exc: exc))
        with pytest.raises(InvalidStatus) as info:
            await anext(iterator)
    assert info.value.response.status_code == 503
    assert info.value.__cause__ is None


async def test_process_exception_may_return_another_exception_to_raise(get_uri):
    async with serve(echo, "127.0.0.1", 0, process_request=Refusals(503)) as server:
        iterator = aiter(
            connect(get_uri(server), process_exception=lambda exc: LookupError("no service"))
        )
        with pytest.raises(LookupError, match="no service") as info:
            await anext(iterator)
    assert isinstance(info.value.__cause__, InvalidStatus)


async def test_process_exception_may_raise(get_uri):
    def process_exception(exc):
        raise LookupError("no service")

    async with serve(echo, "127.0.0.1", 0, process_request=Refusals(503)) as server:
        iterator = aiter(connect(get_uri(server), process_exception=process_exception))
        with pytest.raises(LookupError, match="no service"):
            await anext(iterator)


async def test_process_exception_is_not_called_when_it_is_awaited(get_uri):
    seen = []
    async with serve(echo, "127.0.0.1", 0, process_request=Refusals(503, 503)) as server:
        connector = connect(get_uri(server), process_exception=seen.append)
        with pytest.raises(InvalidStatus):
            await connector
        with pytest.raises(InvalidStatus):
            async with connector:
                pass
    assert seen == []


@ends_iterators_at_once
async def test_exception_in_the_loop_is_not_taken_for_one_of_connecting(get_uri):
    seen, connections = [], []
    async with serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises(OSError, match="mine"):
            async for connection in connect(get_uri(server), process_exception=seen.append):
                connections.append(connection)
                raise OSError("mine")
        await connections[0].wait_closed()
    assert seen == []


# reconnect_delays


async def test_delays_are_waited_for_in_order(clock, get_uri):
    times = []

    def process_request(connection, request):
        times.append(round(clock.time()))
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "")

    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        iterator = aiter(connect(get_uri(server), reconnect_delays=lambda: iter([10, 20, 30])))
        with pytest.raises(InvalidStatus):
            await anext(iterator)
    assert [after - before for before, after in itertools.pairwise(times)] == [10, 20, 30]


async def test_delays_begin_anew_after_a_success(get_uri):
    asked = []

    def delays():
        asked.append("delays")
        return iter([0, 0])

    refusals = Refusals(503, 503, None, 503, None, None, 503, 503, 503)
    connections = 0
    async with serve(echo, "127.0.0.1", 0, process_request=refusals) as server:
        with pytest.raises(InvalidHandshake):
            async for _ in connect(get_uri(server), reconnect_delays=delays):
                connections += 1
    assert connections == 3
    assert len(asked) == 3
    assert refusals.requests == 9


async def test_delays_back_off_by_default(clock, monkeypatch, get_uri):
    times = []

    def process_request(connection, request):
        times.append(clock.time())
        if len(times) < 10:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "")
        return None

    monkeypatch.setattr(random, "random", lambda: 0.5)
    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        async for _ in connect(get_uri(server)):
            break
    delays = [round(after - before, 1) for before, after in itertools.pairwise(times)]
    assert delays == [2.5, 3.1, 5.0, 8.1, 13.1, 21.2, 34.4, 55.6, 90.0]


async def refuse(connection):
    """End a connection at once, as a server does that can't use it."""
    await connection.close(CloseCode.TRY_AGAIN_LATER)


@both_loops
async def test_connections_that_the_server_ends_at_once_are_followed_by_delays(get_uri):
    connections = 0
    async with serve(refuse, "127.0.0.1", 0) as server:
        with pytest.raises(ConnectionClosedError) as raised:
            async for connection in connect(
                get_uri(server), reconnect_delays=lambda: iter([0.001, 0])
            ):
                connections += 1
                await connection.wait_closed()
    assert raised.value.rcvd.code == CloseCode.TRY_AGAIN_LATER
    assert connections == 3


async def test_delay_after_a_connection_that_was_lost_at_once_is_logged(get_uri, caplog):
    caplog.set_level(logging.INFO, "websockets.client")
    connections = 0
    async with serve(refuse, "127.0.0.1", 0) as server:
        async for connection in connect(get_uri(server), reconnect_delays=lambda: iter([0.001])):
            connections += 1
            if connections == 2:
                break
            await connection.wait_closed()
    messages = [record.message for record in caplog.records if record.name == "websockets.client"]
    assert messages == ["connection ended at once; reconnecting in 0.0 seconds"]


@pytest.mark.parametrize("useful", ["long", "message", "closed by this side"])
async def test_delays_begin_anew_after_a_connection_that_was_of_use(clock, get_uri, useful):
    async def handler(connection):
        if useful == "message":
            await connection.send("hello")
        elif useful == "long":
            await asyncio.sleep(5)
        else:
            await connection.wait_closed()

    times = []
    async with serve(handler, "127.0.0.1", 0) as server:
        async for connection in connect(get_uri(server), reconnect_delays=lambda: iter([])):
            times.append(round(clock.time()))
            if len(times) == 4:
                break
            if useful == "closed by this side":
                await connection.close()
            else:
                await connection.wait_closed()
    interval = 5 if useful == "long" else 0
    assert [after - before for before, after in itertools.pairwise(times)] == [interval] * 3


async def test_delay_can_be_cancelled(clock, get_uri):
    async with serve(echo, "127.0.0.1", 0, process_request=Refusals(503)) as server:
        iterator = aiter(connect(get_uri(server), reconnect_delays=lambda: iter([3600])))
        task = asyncio.ensure_future(anext(iterator))
        await clock.advance(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_failing_attempts_are_logged_without_credentials(get_uri, caplog):
    caplog.set_level(logging.INFO)
    async with serve(echo, "127.0.0.1", 0, process_request=Refusals(503)) as server:
        uri = get_uri(server).replace("://", "://hello:iloveyou@")
        async for _ in connect(uri, reconnect_delays=lambda: iter([0])):
            break
    messages = [
        record.getMessage() for record in caplog.records if record.name == "websockets.client"
    ]
    (message,) = messages
    assert message == (
        "connect failed; reconnecting in 0.0 seconds: "
        "InvalidStatus: server rejected WebSocket connection: HTTP 503"
    )
    assert "iloveyou" not in caplog.text


async def test_traceback_of_a_failing_attempt_is_logged_for_debugging(get_uri, caplog):
    caplog.set_level(logging.DEBUG)
    async with serve(echo, "127.0.0.1", 0, process_request=Refusals(503)) as server:
        async for _ in connect(get_uri(server), reconnect_delays=no_delay):
            break
    (record,) = [record for record in caplog.records if record.message == "connect failed"]
    assert record.levelno == logging.DEBUG
    assert record.exc_info[0] is InvalidStatus
