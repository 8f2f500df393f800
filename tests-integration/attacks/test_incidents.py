"""What happened to others, on protocols without I/O, or on connections in this process."""

import array
import asyncio
import base64
import hmac
import itertools
import re
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ws_legacy
from ws_asyncio import connect, serve
from ws_auth import basic_auth
from ws_protocol.client import ClientProtocol
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import InvalidHandshake, InvalidHeader, InvalidStatus, InvalidURI
from ws_protocol.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from ws_protocol.frames import Close, Frame, Opcode, serialize_frame
from ws_protocol.headers import (
    build_subprotocol,
    build_www_authenticate_basic,
    parse_connection,
    parse_extension,
    parse_subprotocol,
    parse_upgrade,
    validate_subprotocols,
)
from ws_protocol.http11 import Request, RequestReader, Response, ResponseReader
from ws_protocol.limits import MAX_UNSENT_PONGS
from ws_protocol.protocol import Protocol, Side, State
from ws_protocol.reconnection import Reconnection
from ws_protocol.redirects import follow_redirect
from ws_protocol.server import ServerProtocol
from ws_protocol.session import Session
from ws_protocol.uri import parse_uri

MIB = 2**20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "Host": "example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}

both_sides = pytest.mark.parametrize("side", Side)


def other(side):
    return Side.CLIENT if side is Side.SERVER else Side.SERVER


def frame(side, head, payload=b""):
    """Return a frame for one side."""
    return serialize_frame(head, payload, side is Side.SERVER)


def opened(side, deflate=False, **kwargs):
    """Return an open connection."""
    protocol = Protocol(side, **kwargs)
    if deflate:
        protocol.extensions = [PerMessageDeflate(False, False, 15, 15)]
    return protocol


def answer_to(protocol, *data):
    """Receive bytes; return the code of the close frame that answers them, if any."""
    for chunk in data:
        protocol.receive_data(chunk)
    return None if protocol.close_sent is None else protocol.close_sent.code


def deflate(data):
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def status_of(data, **kwargs):
    """Return the status that answers a request."""
    server = ServerProtocol(**kwargs)
    server.receive_data(data)
    for event in server.events_received():
        server.send_response(server.accept(event))
    return int(b"".join(server.data_to_send()).split()[1])


def request_with(*changes):
    """Return the bytes of a request: a value to set, a list of values, None to leave out."""
    lines = [
        f"{name}: {item}\r\n"
        for name, value in (HEADERS | dict(changes)).items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]
    return ("GET / HTTP/1.1\r\n" + "".join(lines) + "\r\n").encode("latin-1")


def assert_linear(work, size):
    """Check that work takes no more than a little more than four times as long for four times as
    much.

    What takes quadratic time takes sixteen times as long. Each is measured several times, as
    machines are busy, and only the best counts. The time of this process is measured, not that of
    the world.

    Args:
        work: Gets a size, and returns a function without arguments whose time is measured.
        size: The smaller size.

    """

    def cost(size):
        run = work(size)
        start = time.process_time()
        run()
        return time.process_time() - start

    smaller = larger = 1e9
    for _ in range(12):
        smaller, larger = min(smaller, cost(size)), min(larger, cost(4 * size))
        # Clocks are coarse: what takes no time at all takes at least this much.
        if larger <= 8 * max(smaller, 1e-3):
            return
    raise AssertionError(f"{larger / smaller:.1f} times as long for 4 times as much")


# Sizes


@both_sides
@pytest.mark.parametrize("fragments", [1, 100])
def test_message_is_measured_while_it_inflates(side, fragments):
    protocol = opened(side, deflate=True)
    payload = deflate(bytes(64 * MIB))
    step = len(payload) // fragments + 1
    pieces = [payload[pos : pos + step] for pos in range(0, len(payload), step)]
    heads = [0xC2] if fragments == 1 else [0x42, *[0x00] * (len(pieces) - 2), 0x80]
    chunks = [frame(side, head, piece) for head, piece in zip(heads, pieces, strict=True)]
    assert answer_to(protocol, *chunks) == 1009
    # Nothing that inflates to more than is allowed was kept.
    kept = sum(len(event.data) for event in protocol.events_received())
    assert kept <= MIB


@both_sides
@pytest.mark.parametrize("fragments", [1, 2, 7])
def test_limit_is_on_the_whole_message_once_inflated(side, fragments):
    for size, code in [(1000, None), (1001, 1009)]:
        sender, protocol = opened(other(side), True), opened(side, True, max_size=1000)
        message = bytes(range(250)) * 4 + b"x" * (size - 1000)
        step = -(-size // fragments)
        for pos in range(0, size, step):
            fin = pos + step >= size
            if pos == 0:
                sender.send_binary(message[:step], fin)
            else:
                sender.send_continuation(message[pos : pos + step], fin)
        assert answer_to(protocol, *sender.data_to_send()) == code
        if code is None:
            received = b"".join(event.data for event in protocol.events_received())
            assert received == message


@both_sides
def test_limit_holds_by_default(side):
    assert answer_to(opened(side), frame(side, 0x82, bytes(MIB))) is None
    # Before anything but the header is there.
    for size in [MIB + 1, 2**32, 2**63 - 1]:
        head = bytes((0x82, 127 | (0x80 if side is Side.SERVER else 0))) + size.to_bytes(8, "big")
        assert answer_to(opened(side), head + bytes(4)) == 1009


@both_sides
@pytest.mark.parametrize(
    "length",
    [
        b"\x7f" + (2**63).to_bytes(8, "big"),
        b"\x7f" + (2**64 - 1).to_bytes(8, "big"),
        b"\x7f" + (65535).to_bytes(8, "big"),
        b"\x7f" + (0).to_bytes(8, "big"),
        b"\x7e" + (125).to_bytes(2, "big"),
        b"\x7e" + (0).to_bytes(2, "big"),
    ],
    ids=["2^63", "2^64-1", "64 bits for 65535", "64 bits for 0", "16 bits for 125", "16 for 0"],
)
def test_length_must_be_possible(side, length):
    bit = 0x80 if side is Side.SERVER else 0
    wire = bytes((0x82, length[0] | bit)) + length[1:] + bytes(4)
    assert answer_to(opened(side, max_size=None), wire) == 1002
    assert answer_to(opened(side), *(wire[i : i + 1] for i in range(len(wire)))) == 1002


@both_sides
@pytest.mark.parametrize("head", [0xC2, 0xA2, 0x92, 0xF2, 0xC9, 0xC8])
@pytest.mark.parametrize("continued", [False, True])
def test_reserved_bits_fail_the_connection(side, head, continued):
    start = []
    if continued and not head & 0x08:
        start, head = [frame(side, 0x02, b"a")], head & 0xF0
    assert answer_to(opened(side), *start, frame(side, head, b"a")) == 1002


# Fragments and messages


@both_sides
def test_many_messages_trip_no_limit(side):
    session = Session(opened(side), max_queue=None)
    chunk = (frame(side, 0x01, b"a") + frame(side, 0x00) + frame(side, 0x80, b"b")) * 1000
    for _ in range(100):
        session.receive_data(chunk, 0.0)
        assert [session.messages.get_message() for _ in range(1000)] == ["ab"] * 1000
    assert session.protocol.state is State.OPEN


@both_sides
def test_bytes_that_come_one_by_one(side):
    session = Session(opened(side), max_queue=None)
    message = bytes(range(256)) * 40
    for byte in frame(side, 0x82, message):
        session.receive_data(bytes((byte,)), 0.0)
    assert session.messages.get_message() == message


@both_sides
@pytest.mark.parametrize("payload", [b"", b"a"])
@pytest.mark.parametrize("streaming", [False, True])
def test_time_grows_with_the_number_of_fragments(side, payload, streaming):
    fragment = frame(side, 0x00, payload)

    def work(count):
        chunks = [frame(side, 0x02), *[fragment * 100] * (count // 100), frame(side, 0x80)]

        def run():
            session = Session(opened(side), max_queue=None)
            session.messages.joining = not streaming
            for chunk in chunks:
                session.receive_data(chunk, 0.0)
            if streaming:
                while session.messages.get_fragment() is not None:
                    pass
            else:
                assert len(session.messages.get_message()) == count * len(payload)

        return run

    assert_linear(work, 5000)


# Control frames


@both_sides
@pytest.mark.parametrize("congested", [False, True])
def test_pongs_do_not_pile_up(side, congested):
    protocol = opened(side)
    protocol.congested = congested
    for number in range(10000):
        protocol.receive_data(frame(side, 0x89, b"%d" % number))
    assert len(protocol.data_to_send()) <= (0 if congested else MAX_UNSENT_PONGS + 1)
    # The latest is what must be answered.
    protocol.congested = False
    protocol.receive_data(frame(side, 0x89, b"last"))
    peer = opened(other(side))
    peer.receive_data(b"".join(protocol.data_to_send()))
    assert peer.events_received()[-1].data == b"last"


@both_sides
def test_pongs_may_be_repeated_unasked_and_in_any_order(side):
    session = Session(opened(side))
    for payload in [b"1", b"2", b"3"]:
        session.send_ping(payload, payload.decode(), 0.0)
    answered = []
    for payload in [b"unasked", b"2", b"2", b"1", b"3", b"3", b""]:
        answered += session.receive_data(frame(side, 0x8A, payload), 1.0)
    assert answered == [("1", 1.0), ("2", 1.0), ("3", 1.0)]
    assert session.protocol.state is State.OPEN


# Compression

IMPOSSIBLE = ["0", "7", "16", "08", "-8", "+9", "9.0", "1_0", "9" * 1000, '""', "a"]


@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
@pytest.mark.parametrize("value", [*IMPOSSIBLE, "10; {name}=10"])
def test_offer_with_impossible_window_bits_is_declined(name, value):
    server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()])
    offer = f"permessage-deflate; {name}={value.format(name=name)}"
    server.receive_data(request_with(("Sec-WebSocket-Extensions", offer)))
    (request,) = server.events_received()
    response = server.accept(request)
    # What isn't even a token is a mistake of the request.
    assert response.status_code in (101, 400)
    assert "Sec-WebSocket-Extensions" not in response.headers
    assert server.extensions == []


@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
@pytest.mark.parametrize("value", [*IMPOSSIBLE, "10; {name}=10"])
def test_response_with_impossible_window_bits_fails_the_handshake(name, value):
    client = ClientProtocol(
        parse_uri("ws://example.com/"), extensions=[ClientPerMessageDeflateFactory()]
    )
    server = ServerProtocol()
    request = client.connect()
    client.send_request(request)
    response = server.accept(request)
    response.headers["Sec-WebSocket-Extensions"] = (
        f"permessage-deflate; {name}={value.format(name=name)}"
    )
    client.receive_data(response.serialize())
    assert isinstance(client.handshake_exc, InvalidHandshake)
    assert client.state is State.CONNECTING


@settings(max_examples=300)
@given(
    st.sampled_from(Side),
    st.lists(st.tuples(st.sampled_from([0xC1, 0xC2, 0x42, 0x00, 0x80]), st.binary()), min_size=1),
)
def test_any_bytes_can_be_inflated_or_fail_the_connection(side, frames):
    protocol = opened(side, deflate=True)
    code = answer_to(protocol, *(frame(side, head, payload) for head, payload in frames))
    assert code in (None, 1002, 1007, 1009)


# Sending


@both_sides
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        memoryview(b"a-b-c-")[::2],
        memoryview(b"abc")[::-1],
        memoryview(array.array("I", [1, 2, 3])),
        memoryview(array.array("d", [1.5])),
        memoryview(bytes(12)).cast("B", [3, 4]),
        memoryview(b""),
        bytearray(b"abc"),
    ],
    ids=["strided", "reversed", "integers", "floats", "matrix", "empty", "bytearray"],
)
def test_odd_buffers_are_sent_as_their_bytes(side, deflated, data):
    sender, receiver = opened(side, deflated), opened(other(side), deflated)
    sender.send_binary(data)
    sender.send_ping(data)
    sender.send_pong(data)
    receiver.receive_data(b"".join(sender.data_to_send()))
    assert [event.data for event in receiver.events_received()] == [bytes(data)] * 3


# The opening handshake


@pytest.mark.parametrize("name", HEADERS)
def test_missing_header_is_answered(name):
    assert status_of(request_with((name, None))) in (400, 426)


@pytest.mark.parametrize(
    "parse, make",
    [
        (parse_extension, lambda size: "a;b=" + '"' + "\\" * size),
        (parse_extension, lambda size: "a;" * size),
        (parse_extension, lambda size: "a" + " " * size + "\x01"),
        (parse_extension, lambda size: "," * size),
        (parse_extension, lambda size: "a;b=c," * (size // 6) + "="),
        (parse_subprotocol, lambda size: "a" + " " * size + "b"),
        (parse_subprotocol, lambda size: "," * size + "="),
        (parse_subprotocol, lambda size: "a" * size + "="),
        (parse_connection, lambda size: " \t" * size + "="),
        (parse_upgrade, lambda size: "a/" * size),
        (parse_upgrade, lambda size: "a, " * size + "/"),
    ],
)
def test_time_grows_with_the_length_of_a_header(parse, make):
    def work(size):
        header = make(size)

        def run():
            try:
                parse(header)
            except InvalidHeader:
                pass

        return run

    # Far beyond the limit on a line, so that it shows.
    assert_linear(work, 2**15)


@pytest.mark.parametrize("reader", [RequestReader, ResponseReader])
@pytest.mark.parametrize("step", [1, 7])
def test_time_grows_with_the_number_of_chunks_of_a_handshake(reader, step):
    start = b"GET / HTTP/1.1\r\n" if reader is RequestReader else b"HTTP/1.1 101 OK\r\n"

    def work(size):
        data = start + b"".join(b"X: %s\r\n" % (b"a" * 1000) for _ in range(size // 1000))
        chunks = [data[pos : pos + step] for pos in range(0, len(data), step)]

        def run():
            read = reader()
            for chunk in chunks:
                read.feed(chunk)

        return run

    assert_linear(work, 20000)


@pytest.mark.parametrize("name", ["X", "Connection", "Upgrade", "Sec-WebSocket-Extensions"])
def test_time_grows_with_the_number_of_headers_of_one_name(name):
    def work(count):
        def run():
            server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()])
            headers = Headers(HEADERS)
            for _ in range(count):
                headers[name] = "a"
            server.accept(Request("/", headers))

        return run

    # The limit on headers is far below.
    assert_linear(work, 2000)


@pytest.mark.parametrize(
    "header",
    [
        ("Content-Length", "5"),
        ("Content-Length", "+5"),
        ("Content-Length", "1_0"),
        ("Content-Length", "-1"),
        ("Content-Length", "5, 5"),
        ("Content-Length", ["5", "6"]),
        ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "identity"),
    ],
)
def test_request_with_a_body_is_refused(header):
    server = ServerProtocol()
    server.receive_data(request_with(header) + b"5\r\nhello\r\n0\r\n\r\n")
    assert server.events_received() == []
    assert b"".join(server.data_to_send()).startswith(b"HTTP/1.1 400 ")
    assert server.close_expected()


@pytest.mark.parametrize("accepted", [False, True])
def test_nothing_after_a_request_is_another_one(accepted):
    server = ServerProtocol(origins=None if accepted else [])
    server.receive_data(request_with() * 3)
    (request,) = server.events_received()
    server.send_response(server.accept(request))
    server.receive_data(request_with())
    assert not any(isinstance(event, Request) for event in server.events_received())
    assert b"".join(server.data_to_send()).count(b"HTTP/1.1 ") == 1
    # "GET " is no frame.
    assert answer_to(server) == (1002 if accepted else None)


@pytest.mark.parametrize(
    "value", ["notupgrade", "upgrade-not", "up grade", "keep-alive", "", "x-upgrade, close"]
)
def test_options_of_connection_are_compared_whole(value):
    assert status_of(request_with(("Connection", value))) in (400, 426)


@settings(max_examples=300)
@given(
    st.sampled_from(
        [*HEADERS, "Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Authorization"]
    ),
    st.text(st.characters(max_codepoint=255)),
)
def test_any_header_is_answered(name, value):
    server = ServerProtocol(
        origins="same-origin",
        allowed_hosts=["example.com"],
        extensions=[ServerPerMessageDeflateFactory()],
        subprotocols=["a"],
    )
    server.receive_data(request_with((name, value)))
    for event in server.events_received():
        server.send_response(server.accept(event))
    server.receive_eof()
    assert server.state in (State.CONNECTING, State.CLOSED)
    data = b"".join(server.data_to_send())
    assert not data or 101 <= int(data.split()[1]) < 500


# Credentials


@pytest.mark.parametrize("user", ["known", "unknown"])
@pytest.mark.parametrize("password", ["wrong", "", "pässwörd", "\U0001f600" * 100])
async def test_passwords_are_compared_as_bytes_for_every_user(monkeypatch, user, password):
    compared = []

    def compare_digest(a, b):
        assert isinstance(a, bytes)
        assert isinstance(b, bytes)
        compared.append(b)
        return original(a, b)

    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    authenticate = basic_auth(credentials=("known", "sécret"))
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = Headers({"Authorization": f"Basic {credentials}"})

    class Connection:
        respond = ServerProtocol().reject

    response = await authenticate(Connection(), Request("/", headers))
    assert response.status_code == 401
    assert compared == [password.encode()]


FROM = "ws://user:secret@a.example/"


@pytest.mark.parametrize(
    "location, same",
    [
        ("/elsewhere", True),
        ("ws://a.example/elsewhere", True),
        ("ws://A.EXAMPLE:80/", True),
        ("http://a.example/", True),
        ("//b.example/", False),
        ("ws://b.example/", False),
        ("ws://a.example:8080/", False),
        ("wss://a.example/", False),
        ("ws://a.example.b.example/", False),
        ("ws://sub.a.example/", False),
    ],
)
@pytest.mark.parametrize("change_case", [str, str.lower, str.upper])
def test_credentials_stay_with_their_origin(location, same, change_case):
    response = Response(302, "Found", Headers({"Location": location}))
    redirect = follow_redirect(FROM, parse_uri(FROM), InvalidStatus(response))
    names = ["Authorization", "Cookie", "Host", "Proxy-Authorization"]
    headers = {change_case(name): "secret" for name in names} | {"X": "harmless"}
    allowed = redirect.allowed_headers(headers)
    assert redirect.same_origin is same
    assert len(list(allowed.raw_items())) == (5 if same else 1)
    assert (redirect.ws_uri.password == "secret") is same


@pytest.mark.parametrize("library", ["ws-asyncio", "ws-legacy"])
async def test_credentials_of_a_uri_stay_there(library):
    seen = []

    def look(connection, request):
        seen.append(request.headers.get("Authorization"))

    async def handler(_):
        pass

    async with serve(handler, "127.0.0.1", 0, process_request=look) as target:
        port = target.sockets[0].getsockname()[1]

        def redirect(connection, request):
            seen.append(request.headers.get("Authorization"))
            response = connection.respond(302, "")
            response.headers["Location"] = f"ws://127.0.0.1:{port}/"
            return response

        async with serve(handler, "127.0.0.1", 0, process_request=redirect) as server:
            port_of_server = server.sockets[0].getsockname()[1]
            start = connect if library == "ws-asyncio" else ws_legacy.connect
            kwargs = {"proxy": None} if library == "ws-asyncio" else {}
            async with start(f"ws://user:secret@127.0.0.1:{port_of_server}/", **kwargs):
                pass
    assert seen[0].startswith("Basic ")
    assert seen[1:] == [None]


# Control characters


@pytest.mark.parametrize("character", ["\r", "\n", "\r\n", "\0", "\x1b", "\x7f", "\x01"])
def test_control_characters_are_refused_in_headers(character):
    text = f"a{character}X-Injected: 1"
    with pytest.raises(ValueError, match="invalid header name"):
        Headers()[text] = "a"
    with pytest.raises(InvalidHeader):
        Headers()["X"] = text
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        build_www_authenticate_basic(text)
    with pytest.raises(ValueError):  # noqa: PT011
        validate_subprotocols([text])
    with pytest.raises(ValueError):  # noqa: PT011
        ServerProtocol(subprotocols=[text])
    with pytest.raises(ValueError):  # noqa: PT011
        Response(200, text, Headers()).serialize()
    with pytest.raises(InvalidURI):
        parse_uri(f"ws://example.com/{text}")
    with pytest.raises(InvalidURI):
        parse_uri(f"ws://example.com{text}/")
    with pytest.raises(ValueError):  # noqa: PT011
        Request(f"/{text}", Headers()).serialize()
    assert build_subprotocol(["a"]) == "a"


@both_sides
def test_control_characters_of_a_reason_are_not_shown(side):
    reason = "\x1b[2J\r\nERROR forged\0"
    protocol = opened(side)
    protocol.receive_data(frame(side, 0x88, Close(1000, reason).serialize()))
    protocol.receive_eof()
    assert protocol.close_reason == reason
    shown = f"{protocol.close_exc} {Frame(Opcode.CLOSE, Close(1000, reason).serialize())}"
    assert not re.search(r"[\x00-\x1f\x7f]", shown)


# Tasks


@pytest.mark.parametrize("library", ["ws-asyncio", "ws-legacy"])
async def test_messages_make_no_tasks(library):
    release = asyncio.Event()

    async def handler(connection):
        await release.wait()
        async for message in connection:
            await connection.send(message)

    start = serve if library == "ws-asyncio" else ws_legacy.serve
    async with start(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", proxy=None) as connection:
            await connection.send("0")
            tasks = len(asyncio.all_tasks())
            for number in range(1, 1000):
                await connection.send(str(number))
            pong = await connection.ping()
            release.set()
            for number in range(1000):
                assert await connection.recv() == str(number)
                assert len(asyncio.all_tasks()) <= tasks + 1
            await pong


# Pages and names


@pytest.mark.parametrize(
    "origin, host, status",
    [
        ("https://example.com", "example.com", 101),
        ("https://EXAMPLE.com:443", "example.com", 101),
        ("http://example.com", "example.com:80", 101),
        ("http://[::1]:8080", "[::1]:8080", 101),
        (None, "example.com", 101),
        ("null", "example.com", 403),
        ("", "example.com", 403),
        ("https://evil.example", "example.com", 403),
        ("https://example.com:8443", "example.com", 403),
        ("http://[::2]:8080", "[::1]:8080", 403),
        # The page and the name are the attacker's: DNS rebinding.
        ("http://evil.example", "evil.example", 400),
    ],
)
def test_pages_and_names_are_checked(origin, host, status):
    allowed_hosts = ["example.com", "[::1]"]
    request = request_with(("Origin", origin), ("Host", host))
    assert status_of(request, origins="same-origin", allowed_hosts=allowed_hosts) == status


@pytest.mark.parametrize(
    "host", [None, "", " ", "a b", "@", "a@b", "a/b", "a:b", "a:1:2", "[::1", "::1", "a,b c"]
)
def test_host_is_required_once_and_valid(host):
    assert status_of(request_with(("Host", host))) == 400
    assert status_of(request_with(("Host", ["example.com", "example.com"]))) == 400


# Trying again


def test_delays_are_random_and_follow_every_failure():
    firsts = set()
    for _ in range(20):
        reconnection = Reconnection()
        delays = [reconnection.delay_after_failure(OSError()) for _ in range(20)]
        firsts.add(delays[0])
        assert all(delay > 0 for delay in delays)
        # Even if every attempt fails at once.
        assert all(a <= b for a, b in itertools.pairwise(delays[1:]))
        assert delays[-1] == 90
    assert len(firsts) > 1
