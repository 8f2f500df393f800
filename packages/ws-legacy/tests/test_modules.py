"""Modules that connections don't need, and exceptions."""

import asyncio
import pickle

import pytest

from ws_legacy.exceptions import AbortHandshake, InvalidStatusCode, RedirectHandshake
from ws_legacy.framing import (
    Frame,
    encode_data,
    parse_close,
    prepare_ctrl,
    prepare_data,
    serialize_close,
)
from ws_legacy.handshake import build_request, build_response, check_request, check_response
from ws_legacy.http import read_request, read_response
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import InvalidHandshake, InvalidHeaderValue, ProtocolError
from ws_protocol.frames import Opcode

# handshake


def test_handshake_of_both_sides():
    request, response = Headers(), Headers()
    key = build_request(request)
    assert check_request(request) == key
    build_response(response, key)
    check_response(response, key)


def test_handshake_with_another_key_is_refused():
    response = Headers()
    build_response(response, "dGhlIHNhbXBsZSBub25jZQ==")
    with pytest.raises(InvalidHeaderValue):
        check_response(response, build_request(Headers()))


def test_request_with_another_version_is_refused():
    request = Headers()
    build_request(request)
    del request["Sec-WebSocket-Version"]
    request["Sec-WebSocket-Version"] = "12"
    with pytest.raises(InvalidHeaderValue):
        check_request(request)


# http


def stream(data):
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def test_read_request_leaves_what_follows():
    reader = stream(b"GET /a?b HTTP/1.1\r\nA: b\r\n\r\nrest")
    path, headers = await read_request(reader)
    assert (path, list(headers.raw_items())) == ("/a?b", [("A", "b")])
    assert await reader.read() == b"rest"


async def test_read_response_leaves_the_body():
    reader = stream(b"HTTP/1.1 403 Not you\r\nContent-Length: 4\r\n\r\nrest")
    status_code, reason_phrase, headers = await read_response(reader)
    assert (status_code, reason_phrase, headers["Content-Length"]) == (403, "Not you", "4")
    assert await reader.read() == b"rest"


@pytest.mark.parametrize("read", [read_request, read_response])
@pytest.mark.parametrize(
    "data, error", [(b"", EOFError), (b"GET /", EOFError), (b"hello\r\n", ValueError)]
)
async def test_read_refuses_what_is_not_http(read, data, error):
    with pytest.raises(error):
        await read(stream(data))


async def test_what_is_not_ascii_is_escaped():
    reader = asyncio.StreamReader()
    reader.feed_data(b"GET / HTTP/1.1\r\nX-Name: Bob\r\nX-Name: " + "Zoë".encode() + b"\r\n\r\n")
    _, headers = await read_request(reader)
    names = [name.encode("ascii", "surrogateescape") for name in headers.get_all("X-Name")]
    assert names == [b"Bob", "Zoë".encode()]


async def test_read_request_refuses_other_methods():
    with pytest.raises(ValueError, match="unsupported HTTP method: POST"):
        await read_request(stream(b"POST / HTTP/1.1\r\n\r\n"))


async def test_read_request_refuses_other_versions():
    with pytest.raises(ValueError, match=r"unsupported HTTP version: HTTP/1\.0"):
        await read_request(stream(b"GET / HTTP/1.0\r\n\r\n"))


# framing


def test_frame():
    frame = Frame(True, Opcode.TEXT, b"abc")
    frame.check()
    assert str(frame) == str(frame.new_frame)
    written = []
    frame.write(written.append, mask=False)
    assert written == [b"\x81\x03abc"]


def test_frame_that_is_not_valid():
    with pytest.raises(ProtocolError):
        Frame(False, Opcode.PING, b"").check()


def test_payloads():
    assert prepare_data("é") == (Opcode.TEXT, b"\xc3\xa9")
    assert prepare_data(bytearray(b"a")) == (Opcode.BINARY, b"a")
    assert encode_data("a") == prepare_ctrl(b"a") == b"a"
    for prepare in (prepare_data, prepare_ctrl):
        with pytest.raises(TypeError, match="data must be str or bytes-like"):
            prepare(1)


def test_close():
    assert parse_close(serialize_close(1000, "bye")) == (1000, "bye")


# exceptions


@pytest.mark.parametrize(
    "exception, text",
    [
        (AbortHandshake(200, {"A": "b"}, b"abc"), "HTTP 200, 1 headers, 3 bytes"),
        (InvalidStatusCode(404, Headers()), "server rejected WebSocket connection: HTTP 404"),
        (RedirectHandshake("ws://a/"), "redirect to ws://a/"),
    ],
)
def test_exceptions_have_texts_and_can_be_pickled(exception, text):
    assert isinstance(exception, InvalidHandshake)
    loaded = pickle.loads(pickle.dumps(exception))
    assert str(exception) == str(loaded) == text


def test_abort_handshake_has_a_response():
    exception = AbortHandshake(200, [("A", "b")])
    assert (exception.status, exception.headers["a"], exception.body) == (200, "b", b"")
    with pytest.raises(ValueError, match="299"):
        AbortHandshake(299, [])
    with pytest.raises(TypeError, match="body of an HTTP response must be bytes, not str"):
        AbortHandshake(200, [], "text")
