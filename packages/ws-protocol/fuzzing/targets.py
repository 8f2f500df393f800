"""What is fuzzed: functions that take any bytes, and fail when the code under test does.

A target checks more than that nothing unexpected is raised: that it doesn't matter in which chunks
bytes arrive, that what is parsed can be built and parsed again, and that limits hold. Each is in
:data:`TARGETS`, by its name, and has seeds in the directory of that name.

Nothing here needs a fuzzer: tests run all targets on their seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from ws_protocol import frames, headers, server
from ws_protocol import protocol as protocol_module
from ws_protocol.client import ClientProtocol
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
    SecurityError,
    TooManyFragments,
)
from ws_protocol.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from ws_protocol.frames import Frame, Opcode
from ws_protocol.http11 import Request, Response
from ws_protocol.protocol import Protocol, Side, State
from ws_protocol.proxy import ConnectTunnel, parse_proxy
from ws_protocol.redirects import follow_redirect
from ws_protocol.server import ServerProtocol
from ws_protocol.session import Session
from ws_protocol.uri import parse_uri

URI = parse_uri("ws://localhost/")

# Of the example in RFC 6455, section 1.3, so that seeds can have the answer to it.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

# Linear parsers take some milliseconds for this many bytes, quadratic ones minutes.
LARGE = 2**17
CPU_SECONDS = 2.0


def remove_randomness(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Remove what differs from one run to the next, or answers couldn't be compared."""
    for module in (frames, protocol_module):
        replace(module, "new_mask", lambda: b"mask")
    replace(server, "build_date", lambda: "Thu, 01 Jan 1970 00:00:00 GMT")


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for i in range(0, len(data), size):
        yield data[i : i + size]


def outcome(protocol: Protocol) -> tuple[Any, ...]:
    """What a protocol made of what it received, in a form that can be compared."""
    return (
        protocol.events_received(),
        b"".join(protocol.data_to_send()),
        protocol.eof_sent,
        protocol.state,
        protocol.close_rcvd,
        protocol.close_sent,
        protocol.close_expected(),
        describe(protocol.parser_exc),
        describe(protocol.handshake_exc),
    )


def describe(exc: Exception | None) -> str:
    if isinstance(exc, UnicodeDecodeError):
        # It has the piece that isn't text. The close reason, which is compared, has the position.
        return f"UnicodeDecodeError: {exc.reason}"
    return repr(exc)


def receive(protocol: Protocol, data: bytes, size: int | None, eof: bool = True) -> Protocol:
    for chunk in [data] if size is None else cut(data, size):
        protocol.receive_data(chunk)
        accept_request(protocol)
    if eof:
        protocol.receive_eof()
        assert protocol.state is State.CLOSED
        assert not protocol.close_expected()
        protocol.close_exc  # noqa: B018  # it must be possible to make
    return protocol


def accept_request(protocol: Protocol) -> None:
    """Answer the request of an opening handshake, once it has arrived."""
    if (
        isinstance(protocol, ServerProtocol)
        and protocol._events
        and protocol.state is State.CONNECTING
        and not protocol.close_expected()
    ):
        request = protocol._events[0]
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))


def check_chunks(make: Callable[[], Protocol], data: bytes, sizes: tuple[int, ...]) -> None:
    """Check that it doesn't matter how bytes are cut."""
    if not data:
        return
    for eof in (False, True):
        whole = outcome(receive(make(), data, None, eof))
        for size in sizes:
            assert outcome(receive(make(), data, size, eof)) == whole, f"in chunks of {size}"


def check_documented(exc: Exception | None, *documented: type[Exception]) -> None:
    assert exc is None or isinstance(exc, documented), repr(exc)


def fuzz_request(data: bytes) -> None:
    """The request of an opening handshake, and frames after it."""

    def make() -> ServerProtocol:
        return ServerProtocol(
            origins=None,
            extensions=[ServerPerMessageDeflateFactory()],
            subprotocols=["chat", "superchat"],
        )

    check_chunks(make, data, (1, 7))
    if data:
        protocol = receive(make(), data, None)
        check_documented(protocol.handshake_exc, InvalidHandshake, SecurityError)


def fuzz_response(data: bytes) -> None:
    """The response of an opening handshake, and frames after it."""

    def make() -> ClientProtocol:
        protocol = ClientProtocol(
            URI,
            extensions=[ClientPerMessageDeflateFactory()],
            subprotocols=["chat", "superchat"],
        )
        protocol.key = KEY
        protocol.send_request(protocol.connect())
        return protocol

    check_chunks(make, data, (1, 7))
    if data:
        protocol = receive(make(), data, None)
        check_documented(protocol.handshake_exc, InvalidHandshake, SecurityError)


def fuzz_frames(data: bytes) -> None:
    """Frames: the first two bytes choose the side, the extension, limits and the size of chunks."""
    if len(data) < 3:
        return
    flags, size = data[0], data[1] % 32 + 2

    def make() -> Protocol:
        side = Side.CLIENT if flags & 1 else Side.SERVER
        protocol = Protocol(
            side, max_size=(None if flags & 2 else 1000, 200 if flags & 4 else None)
        )
        if flags & 8:
            protocol.max_fragments = 3
        if flags & 16:
            protocol.extensions = [
                PerMessageDeflate(bool(flags & 32), False, 9 if flags & 64 else 15, 15)
            ]
        if flags & 128:
            protocol.send_close(1000)
        return protocol

    check_chunks(make, data[2:], (1, size))
    protocol = receive(make(), data[2:], None)
    check_documented(
        protocol.parser_exc,
        ProtocolError,
        PayloadTooBig,
        TooManyFragments,
        UnicodeDecodeError,
        EOFError,
    )
    check_messages(protocol, flags)


def check_messages(protocol: Protocol, flags: int) -> None:
    """Check that frames received are in order, and within limits, and that text is UTF-8."""
    opcode, message, fragments = None, b"", 0
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG):
            assert frame.fin
            assert len(frame.data) <= 125
            continue
        assert (frame.opcode is Opcode.CONT) is (opcode is not None)
        opcode = opcode or frame.opcode
        message += frame.data
        fragments += 1
        assert flags & 2 or len(message) <= 1000
        assert not flags & 4 or len(frame.data) <= 200
        assert not flags & 8 or fragments <= 3
        if frame.fin:
            if opcode is Opcode.TEXT:
                message.decode()
            opcode, message, fragments = None, b"", 0


def fuzz_session(data: bytes) -> None:
    """A session: bytes arrive, time passes, messages are read, in the order that the bytes say."""
    session: Session[int] = Session(Protocol(Side.CLIENT), max_queue=4, ping_interval=5)
    session.start_keepalive(0)
    now, pos = 0.0, 0
    while pos < len(data) and not session.lost:
        action, size = data[pos] & 3, data[pos] >> 2
        pos += 1
        if action == 0 and not session.eof_received:
            chunk = data[pos : pos + size]
            pos += size
            if chunk:
                session.receive_data(chunk, now)
        elif action == 1:
            now += size
            if session.meet_deadline(now):
                session.lose_connection()
        elif action == 2:
            session.messages.get_message()
            if session.wants_unread():
                session.process_events(now)
        elif size & 1:
            session.receive_eof()
        session.wants_data(now)
        session.next_deadline(now)
        session.protocol.data_to_send()
    session.lose_connection()
    assert session.protocol.state is State.CLOSED
    assert session.next_deadline(now) is None
    session.closed_exception()


HEADER_PARSERS: list[Callable[[str], Any]] = [
    headers.parse_connection,
    headers.parse_upgrade,
    headers.parse_extension,
    headers.parse_subprotocol,
    headers.parse_authorization_basic,
    headers.is_valid_host,
]

# What builds a header of what was parsed.
HEADER_BUILDERS: dict[Callable[[str], Any], Callable[[Any], str]] = {
    headers.parse_extension: headers.build_extension,
    headers.parse_subprotocol: headers.build_subprotocol,
    headers.parse_authorization_basic: lambda pair: headers.build_authorization_basic(*pair),
}


def fuzz_headers(data: bytes) -> None:
    """Grammars of headers: the first byte chooses one."""
    if not data:
        return
    parse = HEADER_PARSERS[data[0] % len(HEADER_PARSERS)]
    # As headers are decoded.
    value = data[1:].decode("iso-8859-1")
    try:
        parsed = parse(value)
    except InvalidHeader:
        return
    build = HEADER_BUILDERS.get(parse)
    if build is not None:
        try:
            header = build(parsed)
        except ValueError:
            # Credentials with control characters can be received, but not sent.
            assert parse is headers.parse_authorization_basic
            return
        assert parse(header) == parsed


def fuzz_header_time(data: bytes) -> None:
    """Time that grammars of headers take for long input, which repeats what the fuzzer made."""
    if len(data) < 3:
        return
    parse = HEADER_PARSERS[data[0] % len(HEADER_PARSERS)]
    cycle = max(1, data[1] % len(data[2:]))
    value = data[2:].decode("iso-8859-1")
    value = value[:cycle] + value[cycle:] * (LARGE // max(1, len(value) - cycle))
    start = time.process_time()
    try:
        parse(value)
    except InvalidHeader:
        pass
    assert time.process_time() - start < CPU_SECONDS, "more than linear"


def fuzz_negotiation(data: bytes) -> None:
    """Offers and responses of permessage-deflate: what is agreed on works both ways."""
    if not data:
        return
    flags = data[0]
    try:
        offers = headers.parse_extension(data[1:].decode("iso-8859-1"))
    except InvalidHeader:
        return
    server_factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover=bool(flags & 1),
        client_no_context_takeover=bool(flags & 2),
        server_max_window_bits=9 + (flags >> 2 & 3) if flags & 16 else None,
        client_max_window_bits=9 + (flags >> 2 & 3) if flags & 32 else None,
        require_client_max_window_bits=bool(flags & 32 and flags & 64),
    )
    client_factory = ClientPerMessageDeflateFactory(
        server_no_context_takeover=bool(flags & 1),
        client_no_context_takeover=bool(flags & 2),
        server_max_window_bits=9 + (flags >> 2 & 3) if flags & 16 else None,
        client_max_window_bits=9 + (flags >> 2 & 3) if flags & 32 else True,
    )
    for name, params in offers:
        try:
            client_factory.process_response_params(params, [])
        except NegotiationError:
            pass
        try:
            answer, server_side = server_factory.process_request_params(params, [])
        except NegotiationError:
            continue
        # What a server answers can be sent, and understood by who made the offer.
        headers.parse_extension(headers.build_extension([(name, answer)]))
        found = dict(answer)
        client_side = PerMessageDeflate(
            "server_no_context_takeover" in found,
            "client_no_context_takeover" in found,
            int(found.get("server_max_window_bits") or 15),
            max(9, int(found.get("client_max_window_bits") or 15)),
        )
        message = Frame(Opcode.BINARY, data * 40)
        pairs = [(server_side, client_side)]
        # zlib can inflate what was deflated with 8 bits, but not deflate so.
        if found.get("client_max_window_bits") != "8":
            pairs.append((client_side, server_side))
        for sender, receiver in pairs * 2:
            assert receiver.decode(sender.encode(message)) == message


def fuzz_deflate(data: bytes) -> None:
    """Payloads: what is inflated is within limits, and what is deflated comes back."""
    if len(data) < 3:
        return
    flags, size = data[0], data[1] + 1
    fragments = list(cut(data[2:], size))
    bits = 9 + flags % 7
    receiver = PerMessageDeflate(bool(flags & 8), False, bits, 15)
    limit = None if flags & 16 else 1000
    try:
        for number, fragment in enumerate(fragments, 1):
            opcode = Opcode.BINARY if number == 1 else Opcode.CONT
            fin = number == len(fragments)
            frame = Frame(opcode, fragment, fin, rsv1=number == 1)
            inflated = receiver.decode(frame, max_size=limit)
            assert limit is None or len(inflated.data) <= limit
    except (PayloadTooBig, ProtocolError):
        pass

    sender = PerMessageDeflate(False, bool(flags & 8), 15, bits)
    receiver = PerMessageDeflate(bool(flags & 8), False, bits, 15)
    for _ in range(2):
        for number, fragment in enumerate(fragments, 1):
            opcode = Opcode.TEXT if number == 1 else Opcode.CONT
            frame = Frame(opcode, fragment, number == len(fragments))
            assert receiver.decode(sender.encode(frame), max_size=len(fragment)) == frame


def fuzz_uri(data: bytes) -> None:
    """URIs, addresses of proxies, and locations of redirects."""
    text = data.decode("utf-8", "surrogateescape") if data[:1] < b"\x80" else data.decode("latin-1")
    try:
        uri = parse_uri(text)
    except InvalidURI:
        pass
    else:
        request = ClientProtocol(uri).connect().serialize()
        assert request.count(b"\r\n\r\n") == 1
        [line] = request.split(b"\r\n")[:1]
        assert line.isascii()
        assert line.count(b" ") == 2
        server_side = ServerProtocol()
        server_side.receive_data(request)
        assert server_side.handshake_exc is None
        [received] = server_side.events_received()
        assert isinstance(received, Request)
        assert server_side.accept(received).status_code == 101
    try:
        proxy = parse_proxy(text)
    except InvalidProxy:
        pass
    else:
        request = ConnectTunnel(proxy, URI).request
        assert request.index(b"\r\n\r\n") == len(request) - 4
    try:
        location = Headers(Location=text)
    except InvalidHeader:
        return
    try:
        follow_redirect("ws://localhost/", URI, InvalidStatus(Response(302, "Found", location)))
    except (InvalidURI, SecurityError):
        pass


def fuzz_proxy_response(data: bytes) -> None:
    """What a proxy answers."""

    def feed(size: int) -> tuple[str, str]:
        tunnel = ConnectTunnel(parse_proxy("http://proxy:8080"), URI)
        try:
            for chunk in cut(data, size):
                if tunnel.receive_data(chunk):
                    return "open", ""
            tunnel.receive_eof()
        except (InvalidProxyMessage, InvalidProxyStatus) as exc:
            return type(exc).__name__, repr(exc.__cause__) if exc.__cause__ else str(exc)
        raise AssertionError("neither a tunnel nor a reason")

    # A tunnel is there as soon as the response is complete: what follows is noticed if it is in
    # the same chunk, and else belongs to the tunnel.
    whole, cut_up = feed(len(data) or 1), feed(1)
    assert whole == cut_up or (cut_up[0] == "open" and "after the response" in whole[1])


TARGETS: dict[str, Callable[[bytes], None]] = {
    name.removeprefix("fuzz_"): function
    for name, function in list(globals().items())
    if name.startswith("fuzz_")
}
