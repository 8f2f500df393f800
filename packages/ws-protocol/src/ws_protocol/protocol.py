"""A WebSocket connection without I/O: frames and the closing handshake (RFC 6455, sections 5 to 7).

Bytes from the network go in, with :meth:`Protocol.receive_data` and :meth:`Protocol.receive_eof`.
What they mean comes out of :meth:`Protocol.events_received`, and bytes for the network come out of
:meth:`Protocol.data_to_send`. Nothing here waits, or knows what time it is.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from typing import TypeAlias

from ._arguments import parse_limit
from ._escaping import show_header
from .datastructures import Headers
from .exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    PayloadTooBig,
    ProtocolError,
    TooManyFragments,
)
from .extensions.base import Extension
from .extensions.permessage_deflate import find_deflate
from .frames import (
    CTRL_OPCODES,
    DATA_OPCODES,
    OK_CLOSE_CODES,
    Close,
    CloseCode,
    Frame,
    Opcode,
    contiguous,
    serialize_unmasked,
)
from .http11 import Request, Response
from .kernel import build_frame, log_implementation
from .limits import MAX_FRAGMENTS, MAX_SIZE, MAX_UNSENT_PONGS
from .masking import new_mask
from .reader import FrameReader
from .shared import SharedMessage
from .state import Side, State, Transition, next_state
from .tracebacks import forget_tracebacks
from .typing import BytesLike, Data, DataLike, LoggerLike, Origin, Subprotocol

__all__ = ["SEND_EOF", "Event", "Protocol", "Side", "State"]

Event: TypeAlias = Request | Response | Frame
"""What :meth:`Protocol.events_received` returns."""

SEND_EOF = b""
"""What stands in :meth:`Protocol.data_to_send` for closing this side of the TCP connection."""


class Protocol:
    """A WebSocket connection without I/O.

    Use :class:`~ws_protocol.client.ClientProtocol` or :class:`~ws_protocol.server.ServerProtocol`
    for connections that begin with an opening handshake; this class alone for those whose opening
    handshake something else performed.

    Args:
        side: :attr:`Side.CLIENT` or :attr:`Side.SERVER`.
        state: State to begin with.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit. A pair sets a limit for messages and one for frames, each of
            which may be :obj:`None`.
        logger: Logger; ``logging.getLogger("websockets.client")`` or ``"websockets.server"`` by
            default. Each frame is logged at level DEBUG.

    Raises:
        TypeError: ``max_size`` isn't an integer, :obj:`None`, or a pair of those.
        ValueError: ``max_size`` is negative.

    Attributes:
        side: Side of the connection.
        logger: Logger.
        debug: Whether the logger logs at level DEBUG.
        extensions: Extensions in use, in the order in which they encode frames.
        subprotocol: Subprotocol in use, or :obj:`None`.
        origin: The client's origin, or :obj:`None`.
        max_fragment_size: Limit on the payload of a frame, in bytes, or :obj:`None`.
        max_fragments: Limit on the frames of a message, or :obj:`None`.
        handshake_exc: Why the opening handshake failed, or :obj:`None`.
        parser_exc: Why what was received made the connection fail, or :obj:`None`.
        close_rcvd: Close frame received, or :obj:`None`.
        close_sent: Close frame sent, or :obj:`None`.
        close_rcvd_then_sent: If close frames were received and sent, whether the one received came
            first; :obj:`None` otherwise.
        sending_fragments: Whether a fragmented message was begun, and its last frame wasn't sent.
        eof_sent: Whether this side of the TCP connection was closed.
        messages: Where data frames go, instead of :meth:`events_received`, for whoever has no use
            for frames; :obj:`None` by default. Those that are whole messages may be there as such:
            :class:`str` for text, :class:`bytes` for binary. Whoever sets it takes them out.
        congested: For the I/O layer to set while what it was given piles up, because the peer
            doesn't read. No more than one pong is made meanwhile, and it leaves afterwards: a peer
            that sends pings and reads nothing can't fill memory with answers.

    """

    # What most connections never set, or when they end, are attributes of the class until then:
    # those of an object with more than 30 take a dictionary of their own, of 1.5 KiB.
    _id: uuid.UUID | None = None
    handshake_exc: Exception | None = None
    parser_exc: Exception | None = None
    close_rcvd: Close | None = None
    close_sent: Close | None = None
    close_rcvd_then_sent: bool | None = None
    # How many writes unsent_size has counted, and their bytes.
    _counted_writes: tuple[int, int] | None = None

    def __init__(
        self,
        side: Side,
        *,
        state: State = State.OPEN,
        max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
        logger: LoggerLike | None = None,
    ) -> None:
        self.side = side
        if logger is None:
            logger = logging.getLogger(f"websockets.{side.name.lower()}")
        self.logger: LoggerLike = logger
        self.debug: bool = logger.isEnabledFor(logging.DEBUG)
        log_implementation()
        self._state = state

        self._max_message_size: int | None
        self.max_fragment_size: int | None
        if isinstance(max_size, tuple):
            if len(max_size) != 2:
                raise ValueError(f"max_size must be a limit, or a pair of two, got {max_size}")
        else:
            max_size = max_size, None
        self._max_message_size = parse_limit("max_size", max_size[0])
        self.max_fragment_size = parse_limit("max_size", max_size[1])
        if any(limit is not None and limit < 0 for limit in max_size):
            raise ValueError(f"max_size must be at least 0, or None for no limit, got {max_size}")
        self.max_fragments: int | None = MAX_FRAGMENTS

        self.extensions: list[Extension] = []
        self.subprotocol: Subprotocol | None = None
        self.origin: Origin | None = None
        self.eof_sent: bool = False
        self.congested: bool = False
        self.messages: list[Frame | Data] | None = None

        self._events: list[Event] = []
        self._writes: list[bytes] = []
        # Pongs among the writes, and the last ping, if it is still to be answered.
        self._unsent_pongs = 0
        self._held_pong: bytes | None = None
        # Made for the first frame, when the extensions are known.
        self._reader: FrameReader | None = None
        # Whether the peer can have nothing more to say, and what it says is dropped.
        self._discarding = False
        self._eof_received = False
        self.sending_fragments: bool = False

    # Attributes

    @property
    def max_message_size(self) -> int | None:
        """Limit on the payload of a message, in bytes, or :obj:`None`.

        Setting it is for what is received from then on.
        """
        return self._max_message_size

    @max_message_size.setter
    def max_message_size(self, max_message_size: int | None) -> None:
        self._max_message_size = max_message_size
        if self._reader is not None:
            self._reader.limit_messages(max_message_size)

    @property
    def id(self) -> uuid.UUID:
        """Unique identifier of the connection; useful in logs."""
        if self._id is None:
            self._id = uuid.uuid4()
        return self._id

    @id.setter  # noqa: A003  # it is the property above
    def id(self, value: uuid.UUID) -> None:
        self._id = value

    @property
    def state(self) -> State:
        """State of the connection (RFC 6455, sections 4.1, 4.2, 7.1.3 and 7.1.4)."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        if self.debug:
            self.logger.debug("= connection is %s", state.name)
        self._state = state

    def _change_state(self, transition: Transition) -> None:
        state = next_state(self._state, transition)
        if state is not self._state:
            self.state = state

    @property
    def close_code(self) -> int | None:
        """Close code (RFC 6455, section 7.1.5).

        1006 if no close frame was received; :obj:`None` if the connection isn't closed.
        """
        if self._state is not State.CLOSED:
            return None
        if self.close_rcvd is None:
            return CloseCode.ABNORMAL_CLOSURE
        return self.close_rcvd.code

    @property
    def close_reason(self) -> str | None:
        """Close reason (RFC 6455, section 7.1.6).

        ``""`` if no close frame was received; :obj:`None` if the connection isn't closed.
        """
        if self._state is not State.CLOSED:
            return None
        if self.close_rcvd is None:
            return ""
        return self.close_rcvd.reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """A new exception to raise when somebody wants to use the closed connection.

        Its ``__cause__`` is :attr:`parser_exc`.

        Raises:
            InvalidState: The connection isn't closed.

        """
        if self._state is not State.CLOSED:
            raise InvalidState("connection isn't closed yet")
        exc_type: type[ConnectionClosed]
        if (
            self.close_rcvd is not None
            and self.close_sent is not None
            and self.close_rcvd.code in OK_CLOSE_CODES
            and self.close_sent.code in OK_CLOSE_CODES
        ):
            exc_type = ConnectionClosedOK
        else:
            exc_type = ConnectionClosedError
        exc = exc_type(self.close_rcvd, self.close_sent, self.close_rcvd_then_sent)
        exc.__cause__ = self.parser_exc
        return exc

    # Receiving

    def receive_data(self, data: BytesLike) -> None:
        """Receive bytes from the network.

        Afterwards, call :meth:`data_to_send` and send what it returns, and process what
        :meth:`events_received` returns. Whatever the bytes are, no exception comes of them: they
        are accepted, or make the connection fail.

        Args:
            data: Bytes, at least one.

        Raises:
            EOFError: :meth:`receive_eof` was called before.

        """
        if self._eof_received:
            raise EOFError("stream ended")
        if self._discarding:
            return
        if self._state is State.CONNECTING:
            self._receive_handshake(bytes(data))
        else:
            self._receive_frames(data if type(data) is bytes else bytes(data))

    def receive_piece(self, data: bytes, pos: int, until: int) -> int:
        """Receive bytes from the network, but only some of them, for those who keep bytes back when
        enough waits to be read.

        That may be after the end of the stream was received, if they arrived before. What is among
        them can still be read then, and a close frame is noted, but nothing is answered.

        Args:
            data: Bytes.
            pos: Position of those that weren't received yet.
            until: Position where to stop: the last frame that is received begins before. During the
                opening handshake, it is where the bytes end.

        Returns:
            Position of those that weren't received.

        """
        if self._discarding:
            return len(data)
        if self._state is State.CONNECTING:
            self._receive_handshake(data[pos:until])
            return min(until, len(data))
        return self._receive_frames(data, pos, until)

    def receive_messages(
        self, data: BytesLike, size: int, until: int, limit: int, messages: deque[Frame | Data]
    ) -> int:
        """Receive the start of a chunk from the network, as far as it is whole messages: the most
        frequent case, for the least cost.

        Args:
            data: What has the chunk at its beginning.
            size: Size of the chunk, in bytes.
            until: Position where to stop: the last frame that is received begins before.
            limit: How many messages to receive at most, of those that this chunk begins.
            messages: Where the messages are added, instead of anywhere else: :class:`str` for text,
                :class:`bytes` for binary.

        Returns:
            Position of what is to be received in another way, from there to the end of the chunk.

        """
        reader = self._reader
        if reader is None or self._state is not State.OPEN or self.debug:
            return 0
        try:
            return reader.read_messages(data, size, until, limit, messages)
        except Exception as exc:
            self._fail_receiving(exc)
            return 0

    def get_buffer(self) -> memoryview | None:
        """Return what the rest of a large frame's payload can be read into, without another copy.

        Returns:
            :obj:`None` most of the time, when there is no such frame. Otherwise, read from the
            network into it, and tell :meth:`receive_payload`. It is good until anything else is
            received.

        """
        if self._reader is None or self._discarding:
            return None
        return self._reader.get_buffer()

    def receive_payload(self, size: int) -> None:
        """Receive what was read into what :meth:`get_buffer` returned, like :meth:`receive_data`.

        Args:
            size: How many bytes were.

        """
        if self._discarding:
            return  # the connection failed while it was read
        reader = self._reader
        assert reader is not None  # it was asked before
        frames: list[Frame] = []
        failure: Exception | None = None
        try:
            reader.receive_payload(size, frames, None if self.debug else self.messages)
        except Exception as exc:
            failure = exc
        self._process_frames(frames, failure, control=False)

    def receive_eof(self) -> None:
        """Receive the end of the stream from the network: the peer closed its side of the TCP
        connection, or the connection is lost.

        Afterwards, call :meth:`data_to_send` and send what it returns. Calling it again does
        nothing.
        """
        if self._eof_received:
            return
        self._eof_received = True
        if self.debug:
            self.logger.debug("< EOF")
        if self._state is State.CONNECTING:
            if not self._discarding:
                self._receive_handshake_eof()
        elif not self._discarding:
            missing = None if self._reader is None else self._reader.describe_missing()
            self.parser_exc = EOFError(
                "stream ended unexpectedly" + (f", in {missing}" if missing else "")
            )
        if self._state is not State.CLOSED:
            self._change_state(Transition.EOF_RECEIVED)
        # RFC 6455, section 7.1.1: both sides close the TCP connection.
        self.send_eof()

    def events_received(self) -> list[Event]:
        """Return what was received since the last call.

        A request or a response of the opening handshake, and then every frame, with extensions
        decoded. Pings and close frames are among them, although they are answered already. The text
        messages among them are valid UTF-8, and fragments are in order.
        """
        events, self._events = self._events, []
        return events

    def _receive_handshake(self, data: bytes) -> None:
        """Receive bytes of the opening handshake."""
        raise InvalidState("connection is connecting, and has no opening handshake")

    def _receive_handshake_eof(self) -> None:
        """Receive the end of the stream before the opening handshake is complete."""

    def _receive_frames(self, data: bytes, pos: int = 0, until: int | None = None) -> int:
        """Receive bytes of frames; see :meth:`receive_piece`."""
        reader = self._reader
        if reader is None:
            reader = self._reader = FrameReader(
                masked=self.side is Side.SERVER,
                max_message_size=self._max_message_size,
                max_fragment_size=self.max_fragment_size,
                max_fragments=self.max_fragments,
                extensions=self.extensions,
            )
        frames: list[Frame] = []
        control_frames = reader.control_frames
        failure: Exception | None = None
        end = len(data)
        try:
            # Frames are logged, and so there must be some.
            end = reader.feed(data, frames, None if self.debug else self.messages, pos, until)
        except Exception as exc:
            failure = exc
        self._process_frames(frames, failure, control=reader.control_frames != control_frames)
        return end

    def _process_frames(
        self, frames: list[Frame], failure: Exception | None, *, control: bool
    ) -> None:
        """Process what was read.

        Args:
            frames: Frames.
            failure: What is wrong with those after them.
            control: Whether there are control frames among them.

        """
        if frames:
            if self.debug:
                frames = self._log_received(frames)
            if control:
                failure = self._receive_control_frames(frames) or failure
            self._events += frames
        if failure is not None:
            self._fail_receiving(failure)

    def _log_headers(self, direction: str, headers: Headers) -> None:
        """Log headers of the opening handshake, at level DEBUG.

        Args:
            direction: ``"<"`` or ``">"``.
            headers: The headers.

        """
        for name, value in headers.raw_items():
            self.logger.debug("%s %s: %s", direction, name, show_header(name, value))

    def _log_received(self, frames: list[Frame]) -> list[Frame]:
        """Log frames; return those that aren't for :attr:`messages`."""
        for frame in frames:
            self.logger.debug("< %s", frame)
        if self.messages is None:
            return frames
        self.messages += [frame for frame in frames if frame.opcode in DATA_OPCODES]
        return [frame for frame in frames if frame.opcode in CTRL_OPCODES]

    def _receive_control_frames(self, frames: list[Frame]) -> Exception | None:
        """Answer pings and close frames; return what is wrong with a close frame, if anything."""
        for frame in frames:
            if frame.opcode is Opcode.PING:
                # RFC 6455, section 5.5.3.
                self._answer_ping(bytes(frame.data))
            elif frame.opcode is Opcode.CLOSE:
                try:
                    self._receive_close(Close.parse(frame.data))
                except (ProtocolError, UnicodeDecodeError) as exc:
                    frames.pop()  # the reader stops at a close frame
                    return exc
        return None

    def _receive_close(self, close: Close) -> None:
        """Receive a close frame (RFC 6455, section 5.5.1)."""
        self.close_rcvd = close
        # RFC 6455, section 1.4: nothing more comes after it.
        self._discarding = True
        if self._eof_received:
            # It is late, and the end of the stream wasn't unexpected after all.
            self.parser_exc = None
            if self.close_sent is not None:
                self.close_rcvd_then_sent = False
            return
        self._change_state(Transition.CLOSE_RECEIVED)
        if self.close_sent is not None:
            self.close_rcvd_then_sent = False
        elif not self.eof_sent:
            self.close_rcvd_then_sent = True
            # RFC 6455, section 5.5.1: typically, the answer echoes the code. Section 7.4.1: 1005,
            # which stands for none, is never sent.
            if close.code == CloseCode.NO_STATUS_RCVD:
                self._send_close_frame(close, b"")
            else:
                self._send_close_frame(close, close.serialize())
        # RFC 6455, section 7.1.1: the server closes the TCP connection first. A client waits for
        # it.
        if self.side is Side.SERVER:
            self.send_eof()

    def _fail_receiving(self, exc: Exception) -> None:
        """Fail the connection because of what was received."""
        self.parser_exc = exc
        if isinstance(exc, ProtocolError):
            self.fail(CloseCode.PROTOCOL_ERROR, str(exc))
        elif isinstance(exc, UnicodeDecodeError):
            # Of the message, however it was cut into frames and chunks. A close frame that isn't
            # valid is whole, and there is no text in it.
            position = exc.start
            if self._reader is not None and not self._reader.closed:
                position += self._reader.text_position
            self.fail(CloseCode.INVALID_DATA, f"{exc.reason} at position {position}")
        elif isinstance(exc, (PayloadTooBig, TooManyFragments)):
            self.fail(CloseCode.MESSAGE_TOO_BIG, str(exc))
        else:
            # An extension that isn't ours.
            self.logger.error("receiving failed", exc_info=exc)
            self.fail(CloseCode.INTERNAL_ERROR)
            return
        forget_tracebacks(exc)

    # Sending

    def send_continuation(self, data: BytesLike, fin: bool) -> None:
        """Send a continuation frame (RFC 6455, section 5.6).

        Args:
            data: Payload, of the kind of the message's first frame.
            fin: Whether it is the last frame of the message.

        Raises:
            InvalidState: The connection isn't open.
            ProtocolError: No fragmented message is being sent.

        """
        if self._state is not State.OPEN or self.eof_sent:
            raise self._cannot_send()
        if not self.sending_fragments:
            raise ProtocolError("unexpected continuation frame")
        self._send_frame(Opcode.CONT, data, fin)
        self.sending_fragments = not fin

    def send_text(self, data: BytesLike, fin: bool = True) -> None:
        """Send a text frame (RFC 6455, section 5.6).

        Args:
            data: Text in UTF-8.
            fin: Whether it is the whole message. If it isn't, :meth:`send_continuation` sends the
                rest.

        Raises:
            InvalidState: The connection isn't open.
            ProtocolError: A fragmented message is being sent.

        """
        self._send_message(Opcode.TEXT, data, fin)

    def send_binary(self, data: BytesLike, fin: bool = True) -> None:
        """Send a binary frame (RFC 6455, section 5.6).

        Args:
            data: Payload.
            fin: Whether it is the whole message. If it isn't, :meth:`send_continuation` sends the
                rest.

        Raises:
            InvalidState: The connection isn't open.
            ProtocolError: A fragmented message is being sent.

        """
        self._send_message(Opcode.BINARY, data, fin)

    def send_message(self, message: DataLike, text: bool | None = None) -> None:
        """Send an unfragmented message.

        Args:
            message: The message.
            text: Whether to send a text message; by default, it depends on the type.

        Raises:
            InvalidState: The connection isn't open.
            ProtocolError: A fragmented message is being sent.

        """
        if isinstance(message, str):
            message = message.encode()
            opcode = Opcode.BINARY if text is False else Opcode.TEXT
        else:
            opcode = Opcode.TEXT if text else Opcode.BINARY
        self._send_message(opcode, message)

    def send_shared(self, message: SharedMessage) -> None:
        """Send an unfragmented message that other connections send, too.

        What they have in common is done once, for servers that have no other extension than
        compression. Such a message is compressed on its own, even where context takeover was
        agreed, and that context starts anew: many small messages, similar to each other, get
        smaller with :meth:`send_text` or :meth:`send_binary`, which take a multiple of the time.

        Args:
            message: The message.

        Raises:
            InvalidState: The connection isn't open.
            ProtocolError: A fragmented message is being sent.

        """
        deflate = find_deflate(self.extensions)
        sharing = self.side is Side.SERVER and (deflate is not None or not self.extensions)
        possible = self._state is State.OPEN and not self.eof_sent and not self.sending_fragments
        if not sharing or not possible:
            # If it isn't possible, this says why.
            self._send_message(message.opcode, message.payload)
            return
        if self.debug:
            self.logger.debug("> %s", Frame(message.opcode, message.payload))
        self._writes += message.serialize(deflate)

    def _send_message(self, opcode: Opcode, data: BytesLike, fin: bool = True) -> None:
        """Send the first frame of a message, or the only one."""
        if self._state is not State.OPEN or self.eof_sent:
            raise self._cannot_send()
        if self.sending_fragments:
            raise ProtocolError("expected a continuation frame")
        self._send_frame(opcode, data, fin)
        self.sending_fragments = not fin

    def send_close(self, code: int | None = None, reason: str = "") -> None:
        """Send a close frame (RFC 6455, section 5.5.1).

        Args:
            code: Close code.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            InvalidState: The connection isn't open.
            ProtocolError: The code isn't allowed in a frame, the reason is too long, or there is a
                reason without a code.

        """
        if self._state is not State.OPEN or self.eof_sent:
            raise self._cannot_send()
        if code is not None:
            close = Close(code, reason)
            data = close.serialize()
        elif reason:
            raise ProtocolError("cannot send a reason without a code")
        else:
            close = Close(CloseCode.NO_STATUS_RCVD, "")
            data = b""
        self._send_close_frame(close, data)

    def send_ping(self, data: BytesLike) -> None:
        """Send a ping (RFC 6455, section 5.5.2).

        Args:
            data: Payload, at most 125 bytes.

        Raises:
            InvalidState: The connection isn't open, nor closing.
            ProtocolError: The payload is too long.

        """
        self._send_control_frame(Opcode.PING, data)

    def send_pong(self, data: BytesLike) -> None:
        """Send a pong that answers no ping (RFC 6455, section 5.5.3).

        Args:
            data: Payload, at most 125 bytes.

        Raises:
            InvalidState: The connection isn't open, nor closing.
            ProtocolError: The payload is too long.

        """
        self._send_control_frame(Opcode.PONG, data)

    def _send_control_frame(self, opcode: Opcode, data: BytesLike) -> None:
        # RFC 6455, section 5.5.1: after a close frame, no data frames. Control frames may follow.
        if self._state not in (State.OPEN, State.CLOSING) or self.eof_sent:
            raise self._cannot_send()
        if len(contiguous(data)) > 125:
            raise ProtocolError("control frame too long")
        self._send_frame(opcode, data)

    def fail(self, code: int, reason: str = "") -> None:
        """Fail the connection (RFC 6455, section 7.1.7).

        What arrives from now on is dropped. Calling it when the connection failed already does
        nothing.

        Args:
            code: Close code. With 1006, no close frame is sent.
            reason: Close reason. What doesn't fit in a close frame is left out.

        Raises:
            ProtocolError: The code isn't allowed in a frame.

        """
        if self._state is State.CLOSED:
            return
        if self._state is State.OPEN and code != CloseCode.ABNORMAL_CLOSURE and not self.eof_sent:
            # The reason often quotes what was received, and may be as long as that.
            reason = reason.encode()[:123].decode(errors="ignore")
            close = Close(code, reason)
            self._send_close_frame(close, close.serialize())
        elif self._state is not State.CONNECTING:
            self._change_state(Transition.FAILED)
        self._discarding = True
        # A client waits for the server to close the TCP connection, also now.
        if self.side is Side.SERVER:
            self.send_eof()

    def send_eof(self) -> None:
        """Close this side of the TCP connection.

        There is no need to call it. It is called when that is due. Calling it again does nothing.
        """
        if self.eof_sent:
            return
        if self.debug:
            self.logger.debug("> EOF")
        self.eof_sent = True
        self._held_pong = None
        self._writes.append(SEND_EOF)

    def data_to_send(self) -> list[bytes]:
        """Return bytes to send to the network since the last call.

        Send them in this order. Where there is :data:`SEND_EOF`, which is an empty bytestring,
        close the sending side of the TCP connection: it is the last. Over TLS, send the alert
        ``close_notify`` (RFC 8446, section 6.1); if that isn't possible without closing the
        connection, close it.

        The payload of a large frame may stand alone, after its header, which saves to copy it.

        If you call it only when all that it returned before has left, a peer that doesn't read
        can't fill memory with pongs.
        """
        if self._held_pong is not None and not self.congested:
            data, self._held_pong = self._held_pong, None
            if self.close_sent is None:
                self._send_frame(Opcode.PONG, data)
        writes, self._writes = self._writes, []
        self._unsent_pongs = 0
        if self._counted_writes is not None:
            self._counted_writes = None
        return writes

    @property
    def unsent_size(self) -> int:
        """How many bytes :meth:`data_to_send` would return."""
        # Those that were counted aren't again: whoever broadcasts asks before each message, while
        # thousands may wait.
        count, size = self._counted_writes or (0, 0)
        size += sum(map(len, self._writes[count:]))
        self._counted_writes = len(self._writes), size
        return size

    def close_expected(self) -> bool:
        """Tell whether the TCP connection should be closed soon.

        Call it after each of the methods that receive or send. When it returns :obj:`True`, give
        the peer some time, 10 seconds for example, to close the TCP connection; then close it. It
        returns :obj:`False` again once the end of the stream was received.
        """
        if self._state is State.CONNECTING:
            return self._discarding
        return self._state is State.CLOSING

    def _cannot_send(self) -> InvalidState:
        # After the end of this side, nothing can be sent, whatever the state.
        state = State.CLOSED if self.eof_sent else self._state
        return InvalidState(f"connection is {state.name.lower()}")

    def _answer_ping(self, data: bytes) -> None:
        if self.eof_sent:
            return
        if self.congested or self._unsent_pongs >= MAX_UNSENT_PONGS:
            # RFC 6455, section 5.5.3: it is enough to answer the most recent ping.
            self._held_pong = data
            return
        self._held_pong = None
        self._unsent_pongs += 1
        self._send_frame(Opcode.PONG, data)

    def _send_close_frame(self, close: Close, data: bytes) -> None:
        if len(data) > 125:
            raise ProtocolError("control frame too long")
        self._change_state(Transition.CLOSE_SENT)
        self.close_sent = close
        self._send_frame(Opcode.CLOSE, data)

    def _send_frame(self, opcode: Opcode, data: BytesLike, fin: bool = True) -> None:
        head = opcode | 0x80 if fin else int(opcode)
        if not isinstance(data, bytes):
            data = contiguous(data)
        if self.debug or self.extensions:
            head, data = self._encode_frame(opcode, head, data)
        if self.side is Side.CLIENT:
            self._writes.append(build_frame(head, data, new_mask()))
        else:
            self._writes += serialize_unmasked(head, data)

    def _encode_frame(self, opcode: Opcode, head: int, data: BytesLike) -> tuple[int, BytesLike]:
        """Log a frame, and let the extensions encode it; return its first byte and its payload."""
        if self.debug:
            self.logger.debug("> %s", Frame(opcode, data, head > 127))
        deflate = find_deflate(self.extensions)
        if deflate is not None:
            return deflate.encode_payload(head, data)
        frame = Frame(opcode, data, head > 127)
        for extension in self.extensions:
            frame = extension.encode(frame)
        return frame.head, contiguous(frame.data)
