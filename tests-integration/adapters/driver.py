"""What the suite asks of a way of doing I/O: how tests drive its clients and servers.

The tests are written once, and block. What they call runs elsewhere: on an event loop in a thread
of its own, or in a thread for each call. So a test may start something, do something else, and ask
later how it ended; and whatever never ends fails the test instead of hanging it.
"""

from __future__ import annotations

import abc
import contextlib
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

# In seconds, for what takes milliseconds unless it is broken.
TIMEOUT = 30


def start_in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Call a function in a thread of its own."""
    future: Future[Any] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = function(*args, **kwargs)
        except BaseException as exc:
            future.set_exception(exc)
        else:
            future.set_result(result)

    threading.Thread(target=run, daemon=True).start()
    return future


class Driver(abc.ABC):
    """Drives clients and servers of one package.

    Options are those of the new API, whatever the package calls them, and for servers:

    * ``responses``: for some paths, the status, headers and body to answer instead of opening.
    * ``response_headers``: headers to add to the response that opens.
    * ``credentials``: a pair of user name and password to ask for.

    Attributes:
        name: The package.
        methods: What methods of connections are called that have another name than on asyncio.
        client: Module with ``connect`` and ``unix_connect``.
        server: Module with ``serve``, ``unix_serve``, ``basic_auth`` and ``broadcast``.
        router: Module with ``route``.

    """

    name: ClassVar[str]
    methods: ClassVar[Mapping[str, str]] = MappingProxyType({})
    client: ClassVar[Any]
    server: ClassVar[Any]
    router: ClassVar[Any]

    # What each of them writes in its own way

    @abc.abstractmethod
    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function where connections live; if it is asynchronous, wait for its result."""

    @abc.abstractmethod
    def start_within(self, seconds: float, function: Callable[..., Any]) -> Future[Any]:
        """Do the same, but raise :exc:`TimeoutError` when it takes longer."""

    @abc.abstractmethod
    def open(self, connector: Callable[[], Any]) -> Future[Any]:
        """Connect; return the connection."""

    @abc.abstractmethod
    def use(self, connector: Callable[[], Any], body: Callable[[End], Any]) -> Future[None]:
        """Connect in a ``with`` statement, and call this inside of it."""

    @abc.abstractmethod
    def iterate(
        self, uri: str, options: dict[str, Any], body: Callable[[End], bool]
    ) -> Future[None]:
        """Connect again and again, and call this each time, until it returns true."""

    @abc.abstractmethod
    def collect(self, iterable: Any) -> Future[list[Any]]:
        """Iterate over something until it ends."""

    @abc.abstractmethod
    def ping(self, connection: Any, data: Any) -> Future[float]:
        """Send a ping, wait for the pong, and return the latency."""

    @abc.abstractmethod
    def listen(self, function: Callable[..., Any], *args: Any, **options: Any) -> tuple[Any, Any]:
        """Start a server; return it, and the address that it listens on."""

    @abc.abstractmethod
    def stop(self, server: Any, **options: Any) -> Future[None]:
        """Close a server, and wait until it is closed."""

    @abc.abstractmethod
    def adapt(self, handler: Callable[[End], Any]) -> Callable[..., Any]:
        """Return a connection handler that calls a function that blocks, in a thread."""

    @abc.abstractmethod
    def leftovers(self) -> list[Any]:
        """Return what is left running, or was lost, once everything is closed."""

    @abc.abstractmethod
    def quit(self) -> None:
        """Stop what this drives connections with."""

    # What is the same in all versions of the new API

    def refusal(self, exc: Exception) -> tuple[int, Any]:
        """Return status and headers of a response that refused a connection."""
        response = exc.response  # type: ignore[attr-defined]  # of InvalidStatus
        return response.status_code, response.headers

    def handshake(self, connection: Any) -> tuple[str, Any, Any]:
        """Return the path and the headers of the request, and the headers of the response."""
        request, response = connection.request, connection.response
        return request.path, request.headers, response.headers

    def client_options(self, **options: Any) -> dict[str, Any]:
        """Return options of clients as the package calls them."""
        return options

    def server_options(
        self,
        responses: Any = None,
        response_headers: Any = None,
        credentials: Any = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Return options of servers as the package calls them."""

        def respond(connection: Any, request: Any) -> Any:
            if request.path not in responses:
                return None
            status, headers, body = responses[request.path]
            response = connection.respond(status, body)
            response.headers.update(headers)
            return response

        def add_headers(connection: Any, request: Any, response: Any) -> None:
            response.headers.update(response_headers)

        if responses is not None:
            options["process_request"] = respond
        if response_headers is not None:
            options["process_response"] = add_headers
        if credentials is not None:
            options["process_request"] = self.server.basic_auth(
                realm="tests", credentials=credentials
            )
        return options

    # What tests call

    def connector(self, uri: str | None, path: Any = None, **options: Any) -> Callable[[], Any]:
        """Return a function that returns what :func:`connect` returns."""
        options = self.client_options(**options)
        if path is not None:
            return lambda: self.client.unix_connect(str(path), **options)
        return lambda: self.client.connect(uri, **options)

    def start_connecting(self, uri: str | None = None, **options: Any) -> Future[Any]:
        """Connect; the result is what :meth:`connect` makes an :class:`End` of."""
        return self.open(self.connector(uri, **options))

    def connect(self, uri: str | None = None, **options: Any) -> End:
        """Connect."""
        return End(self, self.start_connecting(uri, **options).result(TIMEOUT))

    def refused(self, uri: str, **options: Any) -> tuple[int, Any]:
        """Connect to a server that refuses; return the status and the headers."""
        with pytest.raises(Exception, match=r"HTTP|status code") as raised:
            self.connect(uri, **options)
        return self.refusal(raised.value)

    def broadcast(self, ends: Iterable[End], message: Any) -> None:
        """Send a message to several connections."""
        connections = [end.connection for end in ends]
        self.start(self.server.broadcast, connections, message).result(TIMEOUT)

    @contextlib.contextmanager
    def serving(
        self,
        handler: Callable[[End], Any] | None,
        *,
        path: Any = None,
        url_map: Any = None,
        **options: Any,
    ) -> Iterator[Service]:
        """Run a server, at a Unix socket if there is a path, with a router if there is a map."""
        options = self.server_options(**options)
        if url_map is not None:
            server, address = self.listen(self.router.route, url_map, **options)
        elif path is not None:
            assert handler is not None
            unix_serve = self.server.unix_serve
            server, address = self.listen(unix_serve, self.adapt(handler), str(path), **options)
        else:
            assert handler is not None
            server, address = self.listen(self.server.serve, self.adapt(handler), **options)
        service = Service(self, server, address, "wss" if options.get("ssl") else "ws")
        try:
            yield service
        finally:
            service.start_stopping().result(TIMEOUT)


class End:
    """One end of a connection, for tests to drive. Its methods block, but those that start.

    Args:
        driver: The driver.
        connection: The connection.

    """

    def __init__(self, driver: Driver, connection: Any) -> None:
        self.driver = driver
        self.connection = connection
        # What a handler that leaves the connection to the test waits for.
        self.released = threading.Event()

    def start(self, method: str, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a method of the connection, by its name on asyncio."""
        function = getattr(self.connection, self.driver.methods.get(method, method))
        return self.driver.start(function, *args, **kwargs)

    def send(self, message: Any, **kwargs: Any) -> None:
        """Send a message."""
        self.start("send", message, **kwargs).result(TIMEOUT)

    def recv(self, **kwargs: Any) -> Any:
        """Receive a message."""
        return self.start("recv", **kwargs).result(TIMEOUT)

    def recv_within(self, seconds: float) -> Any:
        """Receive a message, or raise :exc:`TimeoutError`."""
        return self.driver.start_within(seconds, self.connection.recv).result(TIMEOUT)

    def stream(self, **kwargs: Any) -> list[Any]:
        """Receive a message fragment by fragment."""
        return self.driver.collect(self.connection.recv_streaming(**kwargs)).result(TIMEOUT)

    def messages(self) -> list[Any]:
        """Receive all messages, until the connection is closed normally."""
        return self.driver.collect(self.connection).result(TIMEOUT)

    def ping(self, data: Any = None) -> Future[float]:
        """Send a ping, and wait for its pong."""
        return self.driver.ping(self.connection, data)

    def pong(self, data: Any) -> None:
        """Send a pong."""
        self.start("pong", data).result(TIMEOUT)

    def close(self, *args: Any) -> None:
        """Close the connection."""
        self.start("close", *args).result(TIMEOUT)

    def ended(self) -> ConnectionClosed:
        """Wait until the connection is closed; return the exception that says why."""
        while True:
            try:
                self.recv()
            except ConnectionClosed as exc:
                # It can be closed before the TCP connection is.
                self.close()
                assert self.connection.state is State.CLOSED
                return exc

    @property
    def path(self) -> str:
        """The path of the request."""
        return self.driver.handshake(self.connection)[0]

    @property
    def request_headers(self) -> Any:
        """The headers of the request."""
        return self.driver.handshake(self.connection)[1]

    @property
    def response_headers(self) -> Any:
        """The headers of the response."""
        return self.driver.handshake(self.connection)[2]


class Service:
    """A server that runs, for tests to drive.

    Args:
        driver: The driver.
        server: The server.
        address: What it listens on: a path, or host and port.
        scheme: Scheme of its URIs.

    """

    def __init__(self, driver: Driver, server: Any, address: Any, scheme: str) -> None:
        self.driver = driver
        self.server = server
        self.address = address
        self.scheme = scheme

    def uri(self, path: str = "/", userinfo: str = "") -> str:
        """Return the URI of a path."""
        return f"{self.scheme}://{userinfo}127.0.0.1:{self.address[1]}{path}"

    def start_stopping(self, **options: Any) -> Future[None]:
        """Close the server, and wait until it is closed."""
        return self.driver.stop(self.server, **options)


async def wait_if_needed(result: Any) -> Any:
    """Return what a function returned, or the result of the coroutine that it returned."""
    return await result if inspect.isawaitable(result) else result
