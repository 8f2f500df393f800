"""What connections of clients and servers have in common (RFC 6455, sections 5 to 7).

:class:`WebSocketCommonProtocol` stands between a transport of :mod:`asyncio` and a
:class:`~ws_protocol.session.Session`: it moves bytes and wakes whoever waits. A timer does what is
due later, so that a connection needs no task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Iterable,
    Sequence,
)
from typing import Any, Literal, cast

from ws_protocol.broadcast import broadcast as broadcast_message
from ws_protocol.connection import check_fragment, check_iterable, encode_payload, iterate
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosedOK,
    InvalidState,
)
from ws_protocol.extensions.base import Extension
from ws_protocol.frames import Close, CloseCode
from ws_protocol.limits import MAX_SIZE
from ws_protocol.protocol import Protocol, Side, State
from ws_protocol.shared import SharedMessage
from ws_protocol.typing import Data, DataLike, LoggerLike, Subprotocol

from ._deprecation import warn_caller
from ._transport import SessionProtocol

__all__ = ["WebSocketCommonProtocol", "broadcast"]


class WebSocketCommonProtocol(SessionProtocol):
    """A WebSocket connection.

    :class:`~ws_legacy.client.WebSocketClientProtocol` and
    :class:`~ws_legacy.server.WebSocketServerProtocol` add the opening handshake.

    It is an asynchronous iterator over the messages it receives.

    Args:
        logger: Logger; ``logging.getLogger("websockets.client")`` or ``"websockets.server"`` by
            default.
        ping_interval: Seconds between keepalive pings; :obj:`None` or 0 for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; 10 by default.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit.
        max_queue: How many messages may wait to be received before no more are read from the
            network; :obj:`None` for no limit.
        read_limit: Kept for what reads it. There is no buffer of bytes that it could limit.
        write_limit: How many bytes may wait to be sent before :meth:`send` waits.

    Attributes:
        transport: The transport. Whoever asks for it gets one that was given all that was sent: the
            first message of a turn of the event loop leaves at once, others wait for its end.
        loop: The event loop.
        path: Path and query of the request, once there is one.
        request_headers: Headers of the request, once there is one.
        response_headers: Headers of the response, once there is one.
        subprotocol: Subprotocol that was negotiated; :obj:`None` if none was.
        extensions: Extensions that were negotiated.
        messages: Messages that wait to be received.
        connection_lost_waiter: Is done when the connection is lost.

    .. deprecated:: 1.0
        The arguments ``timeout``, ``loop`` and ``legacy_recv``; the attributes ``host``, ``port``
        and ``secure``.

    """

    is_client: bool
    side: str = "undefined"

    path: str
    request_headers: Headers
    response_headers: Headers

    _id: uuid.UUID | None = None

    def __init__(
        self,
        *,
        logger: LoggerLike | None = None,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = None,
        max_size: int | None = MAX_SIZE,
        max_queue: int | None = 2**5,
        read_limit: int = 2**16,
        write_limit: int = 2**16,
        host: str | None = None,
        port: int | None = None,
        secure: bool | None = None,
        legacy_recv: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        timeout: float | None = None,
    ) -> None:
        if legacy_recv:
            warn_caller("legacy_recv is deprecated: handle ConnectionClosed instead")
        if timeout is not None:
            warn_caller("rename timeout to close_timeout")
        if close_timeout is None:
            close_timeout = 10 if timeout is None else timeout
        if loop is not None:
            warn_caller("remove loop argument")
        else:
            loop = asyncio.get_event_loop()

        self.ping_interval = ping_interval
        self.read_limit = read_limit
        self.legacy_recv = legacy_recv
        self._host = host
        self._port = port
        self._secure = secure

        super().__init__(
            self._make_protocol(max_size, logger),
            loop,
            # Programs that know it from other libraries have 0 for none.
            ping_interval=ping_interval if ping_interval and ping_interval > 0 else None,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        self._own_logger: LoggerLike | None = None
        self.subprotocol: Subprotocol | None = None
        self.extensions: Sequence[Extension] = []

    def _make_protocol(self, max_size: int | None, logger: LoggerLike | None) -> Protocol:
        """Make the protocol, which is connecting."""
        if logger is None:
            logger = logging.getLogger("websockets.protocol")
        return Protocol(Side.CLIENT, state=State.CONNECTING, max_size=max_size, logger=logger)

    # Attributes

    @property
    def id(self) -> uuid.UUID:
        """Unique identifier of the connection; useful in logs. It can be set."""
        return self._protocol.id if self._id is None else self._id

    @id.setter  # noqa: A003  # it is the property above
    def id(self, value: uuid.UUID) -> None:
        self._id = value

    @property
    def logger(self) -> LoggerLike:
        """Logger of this connection. Its records have the connection as attribute ``websocket``."""
        if self._own_logger is not None:
            return self._own_logger
        logger = self._protocol.logger
        if isinstance(logger, logging.LoggerAdapter) and (logger.extra or {}).get("websocket"):
            return logger
        # Made when it is needed: kept, it would be a reference cycle.
        return logging.LoggerAdapter(logger, {"websocket": self})

    @logger.setter
    def logger(self, logger: LoggerLike) -> None:
        self._own_logger = logger

    @property
    def max_size(self) -> int | None:
        """Limit on the payload of a message, in bytes, after extensions decoded it; :obj:`None` for
        no limit.

        Setting it is for what is received from then on: for clients that have authenticated, say.
        """
        return self._protocol.max_message_size

    @max_size.setter
    def max_size(self, max_size: int | None) -> None:
        self._protocol.max_message_size = max_size

    @property
    def ping_timeout(self) -> float | None:
        """Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.

        Setting it is for the pings that are sent from then on.
        """
        return self._session.ping_timeout

    @ping_timeout.setter
    def ping_timeout(self, ping_timeout: float | None) -> None:
        self._session.ping_timeout = ping_timeout

    @property
    def close_timeout(self) -> float | None:
        """Seconds to wait for the connection to close, once it should.

        Setting it is for closing that begins afterwards.
        """
        return self._session.close_timeout

    @close_timeout.setter
    def close_timeout(self, close_timeout: float | None) -> None:
        self._session.close_timeout = close_timeout

    @property
    def local_address(self) -> Any:
        """Address of this side of the connection; :obj:`None` before there is one.

        A pair of host and port for IPv4, a quadruple that starts with them for IPv6, a path for a
        Unix socket.
        """
        return self._get_extra_info("sockname")

    @property
    def remote_address(self) -> Any:
        """Address of the peer, or of the proxy between; :obj:`None` before there is one.

        A pair of host and port for IPv4, a quadruple that starts with them for IPv6, a path for a
        Unix socket.
        """
        return self._get_extra_info("peername")

    def _get_extra_info(self, name: str) -> Any:
        return self._transport.get_extra_info(name) if hasattr(self, "_transport") else None

    @property
    def state(self) -> State:
        """State of the connection; CLOSED once the TCP connection is closed, too."""
        state = self._protocol.state
        if state is State.CLOSED and not self.connection_lost_waiter.done():
            return State.CLOSING
        return state

    @property
    def open(self) -> bool:
        """Whether the connection is open.

        It may change at any time. Don't look before you leap: call a method, and handle
        :exc:`~ws_protocol.exceptions.ConnectionClosed`.
        """
        return self._protocol.state is State.OPEN and not self._transport.is_closing()

    @property
    def closed(self) -> bool:
        """Whether the connection is closed; it is neither open nor closed while it opens or
        closes."""
        return self.state is State.CLOSED

    @property
    def close_code(self) -> int | None:
        """Close code (RFC 6455, section 7.1.5).

        1006 if no close frame was received; :obj:`None` if the connection isn't closed.
        """
        return self._protocol.close_code if self.closed else None

    @property
    def close_reason(self) -> str | None:
        """Close reason (RFC 6455, section 7.1.6).

        ``""`` if no close frame was received; :obj:`None` if the connection isn't closed.
        """
        return self._protocol.close_reason if self.closed else None

    @property
    def close_rcvd(self) -> Close | None:
        """Close frame received, or :obj:`None`."""
        return self._protocol.close_rcvd

    @property
    def close_sent(self) -> Close | None:
        """Close frame sent, or :obj:`None`."""
        return self._protocol.close_sent

    @property
    def close_rcvd_then_sent(self) -> bool | None:
        """If close frames were received and sent, whether the one received came first."""
        return self._protocol.close_rcvd_then_sent

    @property
    def transfer_data_exc(self) -> BaseException | None:
        """Why what was received made the connection fail, or :obj:`None`."""
        return self._protocol.parser_exc

    @property
    def latency(self) -> float:
        """Seconds that the last ping took to be answered; 0 before the first.

        Keepalive pings count, too.
        """
        return self._session.latency

    @property
    def close_connection_task(self) -> asyncio.Future[None]:
        """A future that is done when the connection is closed.

        It was a task that closed it. Cancelling it does nothing.
        """
        return asyncio.shield(self.connection_lost_waiter)

    @property
    def transfer_data_task(self) -> asyncio.Future[None]:
        """A future that is done when nothing more can be received.

        It was a task that received. Cancelling it does nothing.
        """
        return asyncio.shield(self.connection_lost_waiter)

    @property
    def host(self) -> str | None:
        """Host that was connected to.

        .. deprecated:: 1.0
            Use ``remote_address[0]`` or ``local_address[0]``.
        """
        warn_caller(f"use {self._address}[0] instead of host")
        return self._host

    @property
    def port(self) -> int | None:
        """Port that was connected to.

        .. deprecated:: 1.0
            Use ``remote_address[1]`` or ``local_address[1]``.
        """
        warn_caller(f"use {self._address}[1] instead of port")
        return self._port

    @property
    def secure(self) -> bool | None:
        """Whether the connection uses TLS.

        .. deprecated:: 1.0
        """
        warn_caller("don't use secure")
        if self._secure is None and hasattr(self, "_transport"):
            return self._get_extra_info("sslcontext") is not None
        return self._secure

    @property
    def _address(self) -> str:
        return "remote_address" if self.is_client else "local_address"

    # Public methods

    async def __aiter__(self) -> AsyncIterator[Data]:
        """Iterate over messages until the connection is closed normally.

        Raises:
            ConnectionClosedError: The connection was closed with an error.

        """
        # Whoever overrides recv() sees every message.
        direct = getattr(self.recv, "__func__", None) is WebSocketCommonProtocol.recv
        try:
            while True:
                if (
                    direct
                    and self._receiver is None
                    and (message := self._take_message()) is not None
                ):
                    yield message
                else:
                    yield await self.recv()
        except ConnectionClosedOK:
            return

    async def recv(self) -> Data:
        """Receive the next message.

        Messages that arrived before the connection was closed can still be received afterwards.

        Cancelling it is safe: the next call receives the message.

        Returns:
            A :class:`str` for a text message, :class:`bytes` for a binary one.

        Raises:
            ConnectionClosed: The connection is closed, and there are no more messages.
            RuntimeError: Another task is receiving.
            InvalidState: The connection isn't open yet.

        """
        if self._receiver is not None:
            raise ConcurrencyError(
                "cannot call recv while another coroutine is already waiting for the next message"
            )
        if (message := self._take_message()) is not None:
            return message
        while not self.messages:
            if self._protocol.state is State.CONNECTING:
                raise InvalidState("WebSocket connection isn't established yet")
            if self.connection_lost_waiter.done():
                if self.legacy_recv:
                    # What the annotation says is for programs that don't ask for this.
                    return cast(Data, None)
                raise self.connection_closed_exc()
            self._receiver = self.loop.create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        message = self.messages.popleft()
        if self._session.messages.paused:
            self._adjust_queue()
        return message

    async def send(self, message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike]) -> None:
        """Send a message.

        A :class:`str` is sent as a text message; :class:`bytes`, :class:`bytearray` or
        :class:`memoryview` as a binary one. An iterable or asynchronous iterable of either is sent
        as one message in fragments, a frame for each item; while that goes on, other tasks that
        send messages wait. Nothing is sent if it is empty.

        It waits while more than ``write_limit`` bytes wait to be sent. When the sending of
        fragments is cancelled or fails after the first, there is no way to take back what was sent,
        and the connection fails with close code 1011.

        Args:
            message: The message.

        Raises:
            ConnectionClosed: The connection is closed.
            TypeError: The message has another type, or its fragments aren't all of one kind.

        """
        # Most of the time it is open, and to call a coroutine costs more than to look.
        if self._protocol.state is not State.OPEN or self._transport.is_closing():
            await self.ensure_open()
        while self._fragmenting:
            await self._wait_for_turn()
            await self.ensure_open()
        if isinstance(message, (str, bytes, bytearray, memoryview)):
            self._protocol.send_message(message)
            self._send(self._protocol.data_to_send())
            if self._writing_paused:
                await self._drain()
        else:
            await self._send_fragments(check_iterable(message))

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection: perform the closing handshake, and wait for the TCP connection to
        close (RFC 6455, section 7).

        It takes no longer than ``close_timeout``: then the TCP connection is closed, whatever the
        peer does. Calling it again waits for the same. Cancelling it is safe: the connection closes
        all the same.

        Args:
            code: Close code.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            InvalidState: There is no TCP connection yet.
            ProtocolError: The code isn't allowed in a frame, or the reason is too long.

        """
        if not hasattr(self, "_transport"):
            raise InvalidState("WebSocket connection isn't established yet")
        if self._protocol.state is State.CONNECTING:
            self.fail_connection()
        else:
            self._session.close(code, reason)
            self._write()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed: until :attr:`state` is CLOSED, and the TCP
        connection is gone."""
        await asyncio.shield(self.connection_lost_waiter)

    async def ensure_open(self) -> None:
        """Check that the connection is open.

        Raises:
            InvalidState: It isn't open yet.
            ConnectionClosed: It is closed, or was closing; that is waited for.

        """
        if self._protocol.state is State.CONNECTING:
            raise InvalidState("WebSocket connection isn't established yet")
        # The transport knows first that it is lost. Whoever sends without a pause, to a transport
        # that drops everything, would never let the event loop tell it.
        if self._protocol.state is not State.OPEN or self._transport.is_closing():
            await self.wait_closed()
            raise self.connection_closed_exc()

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping (RFC 6455, section 5.5.2).

        Args:
            data: Payload, at most 125 bytes, a string being encoded in UTF-8; by default, random
                bytes.

        Returns:
            A future that is done when the peer has answered this ping or a later one. Its result is
            the latency in seconds. You need not wait for it::

                pong_waiter = await websocket.ping()
                latency = await pong_waiter

        Raises:
            ConnectionClosed: The connection is closed. The future raises it, too.
            RuntimeError: Another ping with the same payload waits for its pong.
            ProtocolError: The payload is too long.

        """
        await self.ensure_open()
        pong_waiter: asyncio.Future[float] = self.loop.create_future()
        payload = None if data is None else encode_payload(data)
        self._session.send_ping(payload, pong_waiter, self.loop.time())
        self._write()
        if self._writing_paused:
            await self._drain()
        return pong_waiter

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong that answers no ping (RFC 6455, section 5.5.3).

        Pings are answered without it. This one tells the peer that this side is there, and asks for
        nothing.

        Args:
            data: Payload, at most 125 bytes, a string being encoded in UTF-8.

        Raises:
            ConnectionClosed: The connection is closed.
            ProtocolError: The payload is too long.

        """
        await self.ensure_open()
        self._protocol.send_pong(encode_payload(data))
        self._write()
        if self._writing_paused:
            await self._drain()

    # Opening

    def connection_open(self) -> None:
        """Begin to exchange messages, when the opening handshake is complete."""
        if self._protocol.state is State.CONNECTING:
            self._protocol.state = State.OPEN
        now = self.loop.time()
        self._session.start_keepalive(now)
        self._set_timer()
        # There may be frames already, which arrived before the response was sent.
        self._process_received(self._session.process_events(now))

    # Sending

    async def _send_fragments(self, message: Iterable[Any] | AsyncIterable[Any]) -> None:
        """Send a fragmented message."""
        self._fragmenting = True
        kind: type[str | bytes] | None = None
        try:
            async with contextlib.aclosing(iterate(message)) as fragments:
                async for fragment in fragments:
                    fragment_kind = check_fragment(fragment, kind)
                    await self.ensure_open()
                    self._session.send_fragment(fragment, None, first=kind is None)
                    kind = fragment_kind
                    self._write()
                    await self._drain()
            if kind is not None:
                await self.ensure_open()
                # Only now is it known which fragment was the last.
                self._protocol.send_continuation(b"", fin=True)
                self._write()
                await self._drain()
        except BaseException:
            # There is no way to end a message in the middle.
            if self._protocol.sending_fragments:
                self.fail_connection(CloseCode.INTERNAL_ERROR)
            raise
        finally:
            self._fragmenting = False
            self._give_turn()

    def send_shared(self, message: SharedMessage) -> None:
        """Send a message without waiting for anything; nothing, if the connection isn't open. It is
        what :func:`broadcast` does.

        Args:
            message: The message.

        Raises:
            ConcurrencyError: A fragmented message is being sent.

        """
        if not self.open:
            return
        if self._fragmenting:
            raise ConcurrencyError("sending a fragmented message")
        self._protocol.send_shared(message)
        self._writer.send_alone(self._protocol.data_to_send())

    def get_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._writer.get_buffer_size()

    def give_up(self, reason: str, exc: BaseException) -> None:
        """Fail the connection, with close code 1008 (policy violation), without waiting.

        Args:
            reason: Close reason.
            exc: Why: the cause of the exceptions that tell that the connection is closed.

        """
        self._session.fail(CloseCode.POLICY_VIOLATION, reason, exc)
        self._write()

    # Closing and time

    def fail_connection(self, code: int = CloseCode.ABNORMAL_CLOSURE, reason: str = "") -> None:
        """Fail the connection (RFC 6455, section 7.1.7), without waiting.

        Args:
            code: Close code. With 1006, no close frame is sent, and the TCP connection is closed.
            reason: Close reason. What doesn't fit in a close frame is left out.

        """
        if self._protocol.state is not State.CONNECTING:
            self._protocol.fail(code, reason)
            self._write()
            if code == CloseCode.ABNORMAL_CLOSURE:
                # What was sent leaves before.
                self.transport.close()
        elif hasattr(self, "_transport"):
            self._transport.abort()


def broadcast(
    websockets: Iterable[WebSocketCommonProtocol],
    message: DataLike,
    raise_exceptions: bool = False,
    *,
    max_buffer: int | None = None,
    slow: Literal["skip", "close"] = "skip",
) -> None:
    """Send a message to several connections.

    It doesn't wait: it neither yields to the event loop nor stops for connections that are slow,
    whose messages pile up in memory until they are read or the connection is closed, by keepalive
    for example. Set ``max_buffer`` to bound that.

    Connections that aren't open are skipped without a word: they are closing, or the program is
    about to notice. Connections on which the fragments of a message are being sent are skipped with
    a warning in the log, since the message can't be sent now.

    Args:
        websockets: The connections.
        message: The message.
        raise_exceptions: Raise an exception group, once the message was sent wherever possible,
            instead of logging warnings.
        max_buffer: How many bytes may wait to be sent to a connection before it is too slow for
            this message; :obj:`None` for no limit.
        slow: What to do with connections that are too slow: ``"skip"`` leaves the message out,
            ``"close"`` fails the connection with close code 1008 (policy violation).

    Raises:
        TypeError: The message has another type. Messages in fragments aren't possible.
        ValueError: ``slow`` is something else.
        ExceptionGroup: Sending failed for some of the connections, and ``raise_exceptions`` is
            true.

    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"data must be str or bytes-like, not {type(message).__name__}")
    broadcast_message(
        websockets,
        message,
        raise_exceptions=raise_exceptions,
        max_buffer=max_buffer,
        slow=slow,
    )
