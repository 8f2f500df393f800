import contextlib
import logging
import threading

import pytest

from ws_protocol.client import ClientProtocol
from ws_protocol.connection import BaseConnection
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidMessage,
    InvalidState,
)
from ws_protocol.frames import Close
from ws_protocol.http11 import Response, ResponseReader
from ws_protocol.protocol import Protocol, Side, State
from ws_protocol.server import ServerProtocol
from ws_protocol.serving import (
    Responder,
    SubprotocolSelector,
    answer_request,
    await_hooks,
    log_handler_failure,
    log_info,
    log_opening,
    refuse_connection,
    run_hooks,
)
from ws_protocol.session import Session
from ws_protocol.uri import parse_uri


def make_request():
    """Return the bytes of a request."""
    client = ClientProtocol(parse_uri("ws://localhost/"))
    client.send_request(client.connect())
    return b"".join(client.data_to_send())


@pytest.fixture
def connection():
    """A connection that has received a request."""
    connection = BaseConnection(Session(ServerProtocol()))
    connection.session.receive_data(make_request(), 0.0)
    return connection


def never(*args):
    raise AssertionError(f"called with {args}")


class Lock:
    """What is held, except while functions of the user's run."""

    def __init__(self):
        self.held = False
        self.times = 0

    def __enter__(self):
        self.held = True
        self.times += 1

    def __exit__(self, *exc_info):
        self.held = False


async def run_awaiting(steps):
    await await_hooks(steps)


async def run_without_awaiting(steps):
    lock = Lock()
    run_hooks(steps, lock)
    assert lock.times > 0


both_ways = pytest.mark.parametrize("run", [run_awaiting, run_without_awaiting])


@both_ways
async def test_request_is_accepted(connection, run):
    await run(answer_request(connection, is_serving=lambda: True, server_header="Spam"))
    assert connection.state is State.OPEN
    assert connection.response.status_code == 101
    assert connection.response.headers["Server"] == "Spam"
    assert b"".join(connection.protocol.data_to_send()).startswith(b"HTTP/1.1 101 ")


@both_ways
@pytest.mark.parametrize("hook", ["process_request", "process_response"])
@pytest.mark.parametrize(
    "headers, expected", [({}, "close"), ({"Connection": "Close, Upgrade"}, "Close, Upgrade")]
)
async def test_response_that_ends_the_connection_says_so(connection, run, hook, headers, expected):
    mine = Response(204, "No Content", Headers(headers, Date="now"))
    await run(answer_request(connection, is_serving=lambda: True, **{hook: lambda *args: mine}))
    sent = ResponseReader().feed(b"".join(connection.protocol.data_to_send()))
    assert sent.headers.get_all("Connection") == [expected]
    # It may serve for many connections.
    assert mine.headers == Headers(headers, Date="now")


@both_ways
async def test_functions_have_their_say_in_order(connection, run):
    calls = []

    def process_request(*args):
        calls.append(args)

    def process_response(*args):
        calls.append(args)
        args[2].headers["X-Spam"] = "eggs"

    await run(
        answer_request(
            connection,
            is_serving=lambda: True,
            process_request=process_request,
            process_response=process_response,
        )
    )
    request, response = connection.request, connection.response
    assert [call[0] for call in calls] == [connection, connection]
    assert calls == [(connection, request), (connection, request, response)]
    assert response.headers["X-Spam"] == "eggs"
    assert "Server" not in response.headers


@both_ways
async def test_function_refuses_a_request(connection, run):
    def process_request(connection, request):
        return connection.protocol.reject(404, "Nothing here.\n")

    await run(answer_request(connection, is_serving=never, process_request=process_request))
    assert connection.state is State.CONNECTING
    assert connection.response.status_code == 404


@both_ways
async def test_function_replaces_a_response(connection, run):
    def process_response(connection, request, response):
        assert response.status_code == 101
        return connection.protocol.reject(418, "I'm a teapot.\n")

    await run(
        answer_request(connection, is_serving=lambda: True, process_response=process_response)
    )
    assert connection.response.status_code == 418


@both_ways
async def test_server_that_closes_refuses_a_request(connection, run):
    await run(answer_request(connection, is_serving=lambda: False))
    assert connection.response.status_code == 503
    assert connection.response.body == b"Server is shutting down.\n"


@both_ways
@pytest.mark.parametrize("hook", ["process_request", "process_response"])
async def test_function_that_fails_is_an_internal_error(connection, run, hook):
    def fail(*args):
        raise ZeroDivisionError("no way")

    await run(answer_request(connection, is_serving=lambda: True, **{hook: fail}))
    assert connection.response.status_code == 500
    assert isinstance(connection.protocol.handshake_exc, ZeroDivisionError)


@both_ways
async def test_function_must_return_a_response_or_nothing(connection, run):
    steps = answer_request(connection, is_serving=never, process_request=lambda *args: (404, []))
    await run(steps)
    assert connection.response.status_code == 500
    assert str(connection.protocol.handshake_exc) == (
        "expected a Response or None, got tuple; connection.respond(status, text) makes a response"
    )


@both_ways
async def test_request_that_was_refused_meanwhile_is_not_answered_again(connection, run):
    def process_request(connection, request):
        assert refuse_connection(connection, ServerProtocol.reject_closing)
        connection.protocol.data_to_send()

    await run(answer_request(connection, is_serving=lambda: True, process_request=process_request))
    assert connection.response.status_code == 503
    assert connection.protocol.data_to_send() == []


async def test_coroutine_functions_are_awaited(connection):
    async def process_request(connection, request):
        return None

    async def process_response(connection, request, response):
        raise ZeroDivisionError("no way")

    await await_hooks(
        answer_request(
            connection,
            is_serving=lambda: True,
            process_request=process_request,
            process_response=process_response,
        )
    )
    assert isinstance(connection.protocol.handshake_exc, ZeroDivisionError)


def test_lock_is_not_held_while_functions_run(connection):
    lock = Lock()
    seen = []

    def process_request(connection, request):
        seen.append(lock.held)

    def process_response(connection, request, response):
        seen.append(lock.held)
        raise ZeroDivisionError("no way")

    def is_serving():
        seen.append(lock.held)
        return True

    run_hooks(
        answer_request(
            connection,
            is_serving=is_serving,
            process_request=process_request,
            process_response=process_response,
        ),
        lock,
    )
    assert seen == [False, True, False]
    assert not lock.held


@both_ways
async def test_nothing_is_answered_without_a_request(run):
    connection = BaseConnection(Session(ServerProtocol()))
    await run(answer_request(connection, is_serving=never, process_request=never))
    assert connection.response is None


@both_ways
async def test_nothing_is_answered_once_the_client_is_gone(connection, run):
    def process_request(connection, request):
        connection.session.lose_connection()

    await run(answer_request(connection, is_serving=lambda: True, process_request=process_request))
    assert connection.state is State.CLOSED
    assert connection.response is None
    assert b"".join(connection.protocol.data_to_send()) == b""


def test_locks_of_threads_will_do(connection):
    run_hooks(answer_request(connection, is_serving=lambda: True), threading.RLock())
    assert connection.state is State.OPEN


# Refusing


@pytest.mark.parametrize("received", [b"", make_request()], ids=["no request", "request"])
def test_connection_is_refused_with_or_without_a_request(received):
    connection = BaseConnection(Session(ServerProtocol()))
    connection.session.receive_data(received, 0.0)
    assert refuse_connection(connection, ServerProtocol.reject_closing)
    assert connection.session.response.status_code == 503
    assert b"".join(connection.protocol.data_to_send()).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("answer", ["accept", "reject"])
def test_connection_that_was_answered_is_not_refused(connection, answer):
    protocol = connection.protocol
    if answer == "accept":
        response = protocol.accept(connection.session.request)
    else:
        response = protocol.reject(403, "No.\n")
    protocol.send_response(response)
    protocol.data_to_send()
    assert not refuse_connection(connection, never)
    assert connection.session.response is None
    assert protocol.data_to_send() == []


# Logs


@pytest.fixture
def logged(caplog):
    """Return what was logged: levels and texts."""
    caplog.set_level(logging.INFO, "websockets.server")
    return lambda: [(record.levelname, record.message) for record in caplog.records]


def test_connection_that_is_open_is_logged(connection, logged):
    run_hooks(answer_request(connection, is_serving=lambda: True), contextlib.nullcontext())
    assert log_opening(connection) is True
    assert logged() == [("INFO", "connection open")]


def test_connection_that_the_client_closed_at_once_was_open(connection, logged):
    run_hooks(answer_request(connection, is_serving=lambda: True), contextlib.nullcontext())
    client = Protocol(Side.CLIENT)
    client.send_text(b"spam")
    client.send_close(1000)
    connection.session.receive_data(b"".join(client.data_to_send()), 0.0)
    assert connection.state is State.CLOSING
    assert log_opening(connection) is True
    assert logged() == [("INFO", "connection open")]
    assert connection.session.messages.get_message() == "spam"


def test_records_tell_where_they_come_from(connection, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    log_info(connection, "%s and %s", "spam", "eggs")
    [record] = caplog.records
    assert record.message == "spam and eggs"
    assert record.funcName == "test_records_tell_where_they_come_from"
    assert record.websocket is connection


@pytest.mark.parametrize("name", ["process_request", "process_response", "select_subprotocol"])
def test_record_of_a_function_that_failed_has_the_connection(name, caplog):
    def fail(*args):
        raise ZeroDivisionError("no way")

    hooks = {name: fail}
    protocol = ServerProtocol(select_subprotocol=hooks.pop("select_subprotocol", None))
    connection = BaseConnection(Session(protocol))
    connection.session.receive_data(make_request(), 0.0)
    logger = protocol.logger
    run_hooks(answer_request(connection, is_serving=lambda: True, **hooks), Lock())
    assert connection.response.status_code == 500
    [record] = caplog.records
    assert record.message == "opening handshake failed"
    assert record.websocket is connection
    assert protocol.logger is logger


def test_nothing_is_made_for_records_that_are_not_logged(caplog):
    class Connection(BaseConnection):
        @property
        def logger(self):
            raise AssertionError("nobody wants it")

    caplog.set_level(logging.WARNING, "websockets.server")
    log_info(Connection(Session(ServerProtocol())), "spam")
    assert caplog.records == []


def test_connection_that_was_refused_is_logged(connection, logged):
    run_hooks(answer_request(connection, is_serving=lambda: False), contextlib.nullcontext())
    assert log_opening(connection) is False
    assert logged() == [("INFO", "connection rejected (503 Service Unavailable)")]


def test_handshake_that_failed_is_logged_with_its_causes(logged):
    connection = BaseConnection(Session(ServerProtocol()))
    connection.protocol.handshake_exc = InvalidMessage("no")
    connection.protocol.handshake_exc.__cause__ = ValueError("not HTTP")
    assert log_opening(connection) is False
    assert logged() == [("INFO", "opening handshake failed: no; not HTTP")]


def test_client_that_left_during_the_handshake_is_logged(connection, logged):
    connection.session.lose_connection()
    assert log_opening(connection) is False
    assert logged() == [("INFO", "connection closed during the opening handshake")]


@pytest.fixture
def closed(connection):
    """The connection, closed."""
    run_hooks(answer_request(connection, is_serving=lambda: True), contextlib.nullcontext())
    connection.session.close()
    return connection


def test_handler_that_failed_is_logged_with_its_exception(connection, caplog):
    exc = ZeroDivisionError("no way")
    assert log_handler_failure(connection, exc) is True
    [record] = caplog.records
    assert (record.levelname, record.message) == ("ERROR", "connection handler failed")
    assert record.exc_info[1] is exc
    assert record.websocket is connection


def test_handler_that_ends_with_its_connection_is_no_failure(closed, logged):
    exc = ConnectionClosedOK(Close(1000, ""), Close(1000, ""), True)
    assert log_handler_failure(closed, exc) is False
    assert logged() == []


def test_handler_that_ends_because_its_connection_was_lost_is_logged(closed, logged):
    exc = ConnectionClosedError(None, None, None)
    assert log_handler_failure(closed, exc) is False
    assert logged() == [("INFO", f"connection lost: {exc}")]


@pytest.mark.parametrize(
    "exc",
    [ConnectionClosedOK(Close(1000, ""), Close(1000, ""), True), InvalidState("connecting")],
    ids=repr,
)
def test_handler_that_fails_while_its_connection_is_open_failed(connection, logged, exc):
    run_hooks(answer_request(connection, is_serving=lambda: True), contextlib.nullcontext())
    assert log_handler_failure(connection, exc) is True
    assert logged() == [("ERROR", "connection handler failed")]


def test_handler_whose_tasks_end_with_its_connection_is_no_failure(closed, logged):
    exc = ConnectionClosedError(None, None, None)
    group = ExceptionGroup("tasks", [ExceptionGroup("more", [exc, exc]), exc])
    assert log_handler_failure(closed, group) is False
    assert logged() == [("INFO", f"connection lost: {exc}")]


def test_handler_of_whose_tasks_another_fails_failed(closed, logged):
    group = ExceptionGroup("tasks", [ConnectionClosedError(None, None, None), ValueError("oops")])
    assert log_handler_failure(closed, group) is True
    assert logged() == [("ERROR", "connection handler failed")]


# What connections of servers have in common


class Connection(Responder, BaseConnection):
    pass


def test_connection_responds():
    connection = Connection(Session(ServerProtocol()))
    response = connection.respond(404, "Nothing here.\n")
    assert (response.status_code, response.body) == (404, b"Nothing here.\n")


def test_function_of_the_users_chooses_a_subprotocol_for_the_connection(freed):
    chosen = []

    def select(connection, subprotocols):
        chosen.append((connection.id, subprotocols))
        return subprotocols[-1]

    def make():
        selector = SubprotocolSelector(select)
        protocol = ServerProtocol(subprotocols=["a", "b"], select_subprotocol=selector)
        connection = BaseConnection(Session(protocol))
        selector.bind(connection)
        headers = Headers({"Sec-WebSocket-Protocol": "a, b"})
        assert protocol.process_subprotocol(headers) == "b"
        assert chosen == [(connection.id, ["a", "b"])]
        return connection

    assert freed(make)
