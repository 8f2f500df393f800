import dataclasses
import os
import subprocess
import sys
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_protocol import http11
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    HeaderLineTooLong,
    InvalidProtocol,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyHeaders,
)
from ws_protocol.http11 import Request, RequestReader, Response, ResponseReader
from ws_protocol.limits import MAX_BODY_SIZE, MAX_HEAD_SIZE, MAX_LINE_LENGTH, MAX_NUM_HEADERS
from ws_protocol.protocol import Protocol, Side

TRAILING = b"\x81\x00 GET / HTTP/1.1\r\n\r\n"


def lines(*items):
    """Join lines, and end the last one."""
    return b"".join(item + b"\r\n" for item in items)


def read(reader, way, data):
    """Feed a reader with a message, which must be complete at its last byte and not before."""
    *pieces, last = way.chunks(data, TRAILING)
    for piece in pieces:
        assert reader.feed(piece) is None
    message = reader.feed(last)
    assert message is not None
    assert reader.rest == (TRAILING if way.trailing else b"")
    return message


def refuse(reader, way, data, exception, text):
    """Feed a reader with what it must refuse at the last byte, or before."""
    with pytest.raises(exception) as raised:
        for piece in way.chunks(data, TRAILING):
            assert reader.feed(piece) is None
    assert type(raised.value) is exception
    assert str(raised.value) == text


def wait(reader, way, data):
    """Feed a reader with what isn't complete."""
    for piece in way.chunks(data, b""):
        assert reader.feed(piece) is None


# Requests


@pytest.mark.parametrize(
    "data, request_",
    [
        (lines(b"GET / HTTP/1.1", b""), Request("/", Headers())),
        (
            # RFC 6455, section 1.2.
            lines(
                b"GET /chat HTTP/1.1",
                b"Host: server.example.com",
                b"Upgrade: websocket",
                b"Connection: Upgrade",
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                b"Origin: http://example.com",
                b"Sec-WebSocket-Protocol: chat, superchat",
                b"Sec-WebSocket-Version: 13",
                b"",
            ),
            Request(
                "/chat",
                Headers(
                    [
                        ("Host", "server.example.com"),
                        ("Upgrade", "websocket"),
                        ("Connection", "Upgrade"),
                        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                        ("Origin", "http://example.com"),
                        ("Sec-WebSocket-Protocol", "chat, superchat"),
                        ("Sec-WebSocket-Version", "13"),
                    ]
                ),
            ),
        ),
        # What the server refuses, once it can say so in HTTP.
        (lines(b"HEAD / HTTP/1.0", b""), Request("/", Headers(), "HEAD", "HTTP/1.0")),
        (lines(b"get / HTTP/1.1", b""), Request("/", Headers(), "get")),
        (lines(b"M-SEARCH * HTTP/1.1", b""), Request("*", Headers(), "M-SEARCH")),
        (lines(b"CONNECT a:80 HTTP/1.1", b""), Request("a:80", Headers(), "CONNECT")),
        (lines(b"GET http://a/?b HTTP/1.1", b""), Request("http://a/?b", Headers())),
        (lines(b'GET /%00"<>\\^`{|}~ HTTP/1.1', b""), Request('/%00"<>\\^`{|}~', Headers())),
        # RFC 9110, section 5.5: white space around values doesn't count, that within does.
        (lines(b"GET / HTTP/1.1", b"A:b", b""), Request("/", Headers(A="b"))),
        (lines(b"GET / HTTP/1.1", b"A: \t b \t", b""), Request("/", Headers(A="b"))),
        (lines(b"GET / HTTP/1.1", b"A: b \t c", b""), Request("/", Headers(A="b \t c"))),
        (lines(b"GET / HTTP/1.1", b"A:", b""), Request("/", Headers(A=""))),
        (lines(b"GET / HTTP/1.1", b"A: \t", b""), Request("/", Headers(A=""))),
        (lines(b"GET / HTTP/1.1", b"A: b: c", b""), Request("/", Headers(A="b: c"))),
        (lines(b"GET / HTTP/1.1", b"A: \x80\xff", b""), Request("/", Headers(A="\x80\xff"))),
        (
            lines(b"GET / HTTP/1.1", b"!#$%&'*+-.^_`|~09azAZ: b", b""),
            Request("/", Headers({"!#$%&'*+-.^_`|~09azAZ": "b"})),
        ),
        # Order and repetition are kept.
        (
            lines(b"GET / HTTP/1.1", b"A: b", b"C: d", b"a: e", b"A: b", b""),
            Request("/", Headers([("A", "b"), ("C", "d"), ("a", "e"), ("A", "b")])),
        ),
        # No body, said aloud.
        (
            lines(b"GET / HTTP/1.1", b"Content-Length: 0", b""),
            Request("/", Headers({"Content-Length": "0"})),
        ),
        (
            lines(b"GET / HTTP/1.1", b"Content-Length: " + b"0" * 5000, b""),
            Request("/", Headers({"Content-Length": "0" * 5000})),
        ),
    ],
)
def test_request_is_read(way, data, request_):
    message = read(RequestReader(), way, data)
    assert message == request_
    assert list(message.headers.raw_items()) == list(request_.headers.raw_items())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"GET",
        b"GET /",
        b"GET / ",
        b"GET HTTP/1.1",
        b"/ HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET\t/\tHTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\0 HTTP/1.1",
        b"GET /\r HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /caf\xc3\xa9 HTTP/1.1",
        b"G(T / HTTP/1.1",
        b"G\xcbT / HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP",
        b"GET / HTTP/1",
        b"GET / HTTP/11",
        b"GET / HTTP/1.1.1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/01.1",
        b"GET / HTTP/ 1.1",
        b"GET / HTTP/1,1",
        b"GET / HTTP/-1.1",
        b"GET / HTTP/\xd9\xa1.1",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\0",
        b"GET / XHTTP/1.1",
        b"HTTP/1.1 200 OK",
        # TLS to a server without it.
    ],
)
def test_request_line_that_breaks_the_grammar_is_refused(way, line):
    text = f"invalid HTTP request line: {line.decode('iso-8859-1')!r}"
    refuse(RequestReader(), way, lines(line, b"Host: localhost", b""), ValueError, text)


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0", "HTTP/9.9"])
def test_request_in_another_version_of_http_is_refused(way, version):
    data = lines(f"GET / {version}".encode(), b"")
    text = f"unsupported HTTP version: {version}"
    refuse(RequestReader(), way, data, InvalidProtocol, text)


BAD_HEADER_LINES = [
    # RFC 9112, section 5.2: line folding.
    (b" folded", "invalid HTTP header line: ' folded'"),
    (b"\tfolded", "invalid HTTP header line: '\\tfolded'"),
    (b" A: b", "invalid HTTP header line: ' A: b'"),
    (b" ", "invalid HTTP header line: ' '"),
    # RFC 9112, section 5.1: white space before the colon.
    (b"A : b", "invalid HTTP header line: 'A : b'"),
    (b"A\t: b", "invalid HTTP header line: 'A\\t: b'"),
    (b"A", "invalid HTTP header line: 'A'"),
    (b":", "invalid HTTP header line: ':'"),
    (b": b", "invalid HTTP header line: ': b'"),
    (b"A b: c", "invalid HTTP header line: 'A b: c'"),
    (b"A\0: b", "invalid HTTP header line: 'A\\x00: b'"),
    (b"A\r: b", "invalid HTTP header line: 'A\\r: b'"),
    (b"\rA: b", "invalid HTTP header line: '\\rA: b'"),
    (b"A\x7f: b", "invalid HTTP header line: 'A\\x7f: b'"),
    (b"A(: b", "invalid HTTP header line: 'A(: b'"),
    (b'"A": b', "invalid HTTP header line: '\"A\": b'"),
    (b"A/B: b", "invalid HTTP header line: 'A/B: b'"),
    (b"caf\xe9: b", "invalid HTTP header line: 'caf\xe9: b'"),
    (b"\xef\xbb\xbfA: b", "invalid HTTP header line: '\xef\xbb\xbfA: b'"),
    # RFC 9110, section 5.5: CR, LF and NUL in values, and other control characters.
    (b"A: b\rc", "invalid HTTP header value: 'A: b\\rc'"),
    (b"A: b\r", "invalid HTTP header value: 'A: b\\r'"),
    (b"A: \rb", "invalid HTTP header value: 'A: \\rb'"),
    (b"A:\r", "invalid HTTP header value: 'A:\\r'"),
    (b"A: b\0", "invalid HTTP header value: 'A: b\\x00'"),
    (b"A: \x01b", "invalid HTTP header value: 'A: \\x01b'"),
    (b"A: \x1b[2J", "invalid HTTP header value: 'A: \\x1b[2J'"),
    (b"A: b\x0bc", "invalid HTTP header value: 'A: b\\x0bc'"),
    (b"A: b\x0c", "invalid HTTP header value: 'A: b\\x0c'"),
    (b"A: b\x7f", "invalid HTTP header value: 'A: b\\x7f'"),
    # Error messages stay short.
    (b"a" * 1000, f"invalid HTTP header line: '{'a' * 100}'"),
]

START_LINES = {RequestReader: b"GET / HTTP/1.1", ResponseReader: b"HTTP/1.1 200 OK"}


@pytest.mark.parametrize("line, text", BAD_HEADER_LINES)
@pytest.mark.parametrize("before", [[], [b"Host: localhost"]], ids=["first", "second"])
@pytest.mark.parametrize("reader", START_LINES)
def test_header_line_that_breaks_the_grammar_is_refused(way, reader, before, line, text):
    data = lines(START_LINES[reader], *before, line, b"Date: today", b"")
    refuse(reader(), way, data, ValueError, text)


@pytest.mark.parametrize("reader", START_LINES)
@pytest.mark.parametrize(
    "template",
    [
        b"%s\nA: b\r\n\r\n",
        b"%s\r\nA: b\n\r\n",
        b"%s\r\nA: b\r\n\n",
        b"%s\n\n",
        b"%s\r\n\n",
        b"%s\r\nA: b\nC: d\r\n\r\n",
        b"%s\r\nA: b\n\r\nC: d\r\n\r\n",
    ],
)
def test_line_feed_without_carriage_return_does_not_end_a_line(way, reader, template):
    data = template % START_LINES[reader]
    refuse(reader(), way, data, ValueError, "line doesn't end with CRLF")


@pytest.mark.parametrize(
    "reader, record, message",
    [
        (
            RequestReader,
            b"\x16\x03\x01",
            "TLS handshake on a port without TLS; the URI for it has scheme ws",
        ),
        (
            ResponseReader,
            b"\x15\x03\x03",
            "TLS alert from a port with TLS; the URI for it has scheme wss",
        ),
    ],
)
def test_tls_is_told_from_other_mistakes_at_once(reader, way, record, message):
    # There is no line to end.
    refuse(reader(), way, record + b"\0\x02\x02\x32", ValueError, message)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"-0",
        b"+0",
        b"+5",
        b"-5",
        b"1_0",
        b"0x0",
        b"0.0",
        b"5.",
        b"1e1",
        b"0 0",
        b"0, 0",
        b"5, 5",
        b"5,",
        b"0;a",
        b'"0"',
        b"\xb2",
        b"\xd9\xa0",
        b"\xef\xbc\x90",
        b"zero",
    ],
)
@pytest.mark.parametrize("reader", START_LINES)
def test_content_length_that_is_no_number_is_refused(way, reader, value):
    data = lines(START_LINES[reader], b"Content-Length: " + value, b"")
    refuse(reader(), way, data, ValueError, "invalid Content-Length header")


@pytest.mark.parametrize("values", [(b"0", b"0"), (b"5", b"5"), (b"0", b"5"), (b"5", b"0")])
@pytest.mark.parametrize("reader", START_LINES)
def test_repeated_content_length_is_refused(way, reader, values):
    first, second = values
    data = lines(
        START_LINES[reader], b"Content-Length: " + first, b"content-length: " + second, b""
    )
    refuse(reader(), way, data, ValueError, "invalid Content-Length header")


@pytest.mark.parametrize(
    "value", [b"1", b"5", b"05", b"9" * 20, b"9" * 5000, b"0" * 20 + b"5", b"0" * 5000 + b"1"]
)
def test_request_with_a_body_is_refused(way, value):
    data = lines(b"POST / HTTP/1.1", b"Content-Length: " + value, b"") + b"Hello"
    refuse(RequestReader(), way, data, ValueError, "request bodies aren't supported")


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: chunked",
        b"transfer-encoding: identity",
        b"TRANSFER-ENCODING: gzip, chunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    ],
)
def test_request_with_a_transfer_coding_is_refused(way, header):
    data = lines(b"POST / HTTP/1.1", header, b"", b"0", b"")
    refuse(RequestReader(), way, data, ValueError, "transfer codings aren't supported")


@pytest.mark.parametrize(
    "data",
    [b"", b"G", b"GET / HTTP/1.1\r", lines(b"GET / HTTP/1.1"), lines(b"GET / HTTP/1.1", b"A: b")],
)
def test_request_that_is_not_complete_is_waited_for(way, data):
    reader = RequestReader()
    wait(reader, way, data)
    assert reader.rest == b""


# Responses

OK = b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "data, response",
    [
        # RFC 6455, section 1.2.
        (
            lines(
                b"HTTP/1.1 101 Switching Protocols",
                b"Upgrade: websocket",
                b"Connection: Upgrade",
                b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                b"Sec-WebSocket-Protocol: chat",
                b"",
            ),
            Response(
                101,
                "Switching Protocols",
                Headers(
                    [
                        ("Upgrade", "websocket"),
                        ("Connection", "Upgrade"),
                        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                        ("Sec-WebSocket-Protocol", "chat"),
                    ]
                ),
            ),
        ),
        # RFC 9112, section 4: the reason phrase may be empty, and is by many.
        (lines(b"HTTP/1.1 204 ", b""), Response(204, "", Headers())),
        (lines(b"HTTP/1.1 204", b""), Response(204, "", Headers())),
        (lines(b"HTTP/1.1 204 caf\xe9\t!", b""), Response(204, "caf\xe9\t!", Headers())),
        (lines(b"HTTP/1.0 204 No Content", b""), Response(204, "No Content", Headers())),
        (
            lines(b"HTTP/1.1 999 ?", b"Content-Length: 0", b""),
            Response(999, "?", Headers({"Content-Length": "0"})),
        ),
        # RFC 9112, section 6.3: bodies that end by themselves.
        (
            lines(b"HTTP/1.1 403 Forbidden", b"Content-Length: 5", b"") + b"Hello",
            Response(403, "Forbidden", Headers({"Content-Length": "5"}), b"Hello"),
        ),
        (
            lines(OK, b"Content-Length: 0005", b"") + b"\0\r\n\r\n",
            Response(200, "OK", Headers({"Content-Length": "0005"}), b"\0\r\n\r\n"),
        ),
        (
            lines(OK, b"Content-Length: " + b"0" * 30 + b"5", b"") + b"Hello",
            Response(200, "OK", Headers({"Content-Length": "0" * 30 + "5"}), b"Hello"),
        ),
        # Statuses without a body, whatever the headers say.
        *(
            (
                lines(b"HTTP/1.1 %d A" % status_code, header, b""),
                Response(
                    status_code,
                    "A",
                    Headers([tuple(header.decode().split(": "))]),
                ),
            )
            for status_code in (101, 204, 304)
            for header in (b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Date: today")
        ),
    ],
)
def test_response_is_read(way, data, response):
    message = read(ResponseReader(), way, data)
    assert message == response
    assert list(message.headers.raw_items()) == list(response.headers.raw_items())


@pytest.mark.parametrize(
    "chunks, body",
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nHello\r\n0\r\n\r\n", b"Hello"),
        (b"2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n", b"Hello"),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"10\r\n0123456789ABCDEF\r\n0\r\n\r\n", b"0123456789ABCDEF"),
        # Leading zeros, up to a point, and several of them at the end.
        (b"0000000000000005\r\nHello\r\n00000\r\n\r\n", b"Hello"),
        # RFC 9112, section 7.1.1: unknown extensions are ignored.
        (b"5;a\r\nHello\r\n0;b\r\n\r\n", b"Hello"),
        (b"5;a=b;c=d\r\nHello\r\n0\r\n\r\n", b"Hello"),
        (b'5;a="b;\\"\xe9"\r\nHello\r\n0\r\n\r\n', b"Hello"),
        (b"5 ; a = b\r\nHello\r\n0\t;\r\n\r\n", b"Hello"),
        (b"5 \r\nHello\r\n0 \r\n\r\n", b"Hello"),
        # RFC 9112, section 7.1.2: so are trailers.
        (b"5\r\nHello\r\n0\r\nA: b\r\n\r\n", b"Hello"),
        (b"5\r\nHello\r\n0\r\nContent-Length: 1\r\nA: b\r\n\r\n", b"Hello"),
    ],
)
@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"CHUNKED"])
def test_chunked_body_is_read(way, coding, chunks, body):
    data = lines(OK, b"Transfer-Encoding: " + coding, b"") + chunks
    response = read(ResponseReader(), way, data)
    assert response.body == body
    assert list(response.headers) == ["transfer-encoding"]


@pytest.mark.parametrize(
    "chunks, text",
    [
        (b"\r\n", "invalid chunk size: ''"),
        (b" 5\r\n", "invalid chunk size: ' 5'"),
        (b"+5\r\n", "invalid chunk size: '+5'"),
        (b"-5\r\n", "invalid chunk size: '-5'"),
        (b"0x5\r\n", "invalid chunk size: '0x5'"),
        (b"1_0\r\n", "invalid chunk size: '1_0'"),
        (b"5.0\r\n", "invalid chunk size: '5.0'"),
        (b"G\r\n", "invalid chunk size: 'G'"),
        (b"5 5\r\n", "invalid chunk size: '5 5'"),
        (b";a\r\n", "invalid chunk size: ';a'"),
        (b"5,a\r\n", "invalid chunk size: '5,a'"),
        (b"5\r\r\n", "invalid chunk size: '5\\r'"),
        (b"5;a\rb\r\n", "invalid chunk size: '5;a\\rb'"),
        (b"5;\0\r\n", "invalid chunk size: '5;\\x00'"),
        (b"\xd9\xa5\r\n", "invalid chunk size: 'Ù¥'"),
        # More than 64 bits, even if it is zero.
        (b"10000000000000000\r\n", "invalid chunk size: '10000000000000000'"),
        (b"0" * 17 + b"\r\n", f"invalid chunk size: '{'0' * 17}'"),
        (b"5\n", "line doesn't end with CRLF"),
        (b"5\r\nHello\n", "line doesn't end with CRLF"),
        (b"5\r\nHello!\r\n", "invalid chunk: longer than its size"),
        (b"5\r\nHello5\r\n", "invalid chunk: longer than its size"),
        (b"5\r\nHell\r\n0\r\n", "line doesn't end with CRLF"),
        (b"5\r\nHello\r\n\r\n", "invalid chunk size: ''"),
        (b"0\n", "line doesn't end with CRLF"),
        (b"0\r\n\n", "line doesn't end with CRLF"),
        (b"0\r\nA: b\n", "line doesn't end with CRLF"),
    ],
)
def test_chunked_body_that_breaks_the_grammar_is_refused(way, chunks, text):
    data = lines(OK, b"Transfer-Encoding: chunked", b"") + chunks
    refuse(ResponseReader(), way, data, ValueError, text)


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked;a",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding: ,chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity",
    ],
)
def test_transfer_codings_other_than_chunked_are_refused(way, header):
    text = "transfer codings other than chunked aren't supported"
    refuse(ResponseReader(), way, lines(OK, header, b"", b"0", b""), ValueError, text)


@pytest.mark.parametrize(
    "headers",
    [
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Content-Length: a", b"Transfer-Encoding: chunked"],
    ],
)
def test_chunked_body_with_a_length_is_refused(way, headers):
    text = "Content-Length and Transfer-Encoding exclude each other"
    refuse(ResponseReader(), way, lines(OK, *headers, b"", b"0", b""), ValueError, text)


@pytest.mark.parametrize("protocol", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("body", [b"", b"Hello", b"\r\n0\r\n\r\n"])
def test_body_ends_with_the_connection_when_nothing_tells_its_length(way, protocol, body):
    reader = ResponseReader()
    wait(reader, way, lines(protocol + b" 400 Bad Request", b"Connection: close", b"") + body)
    response = reader.feed_eof()
    assert response == Response(400, "Bad Request", Headers(Connection="close"), body)
    assert reader.rest == b""


@pytest.mark.parametrize(
    "data, text",
    [
        (b"", "connection closed while reading HTTP status line"),
        (b"HTTP/1.1 200 OK\r", "connection closed while reading HTTP status line"),
        (
            lines(b"HTTP/1.1 100 Continue", b""),
            "connection closed while reading HTTP status line",
        ),
        (lines(OK), "connection closed while reading HTTP headers"),
        (lines(OK) + b"A: b", "connection closed while reading HTTP headers"),
        (lines(OK, b"A: b"), "connection closed while reading HTTP headers"),
        (
            lines(b"HTTP/1.1 100 Continue", b"", b"HTTP/1.1 101 A"),
            "connection closed while reading HTTP headers",
        ),
        (
            lines(OK, b"Content-Length: 5", b""),
            "connection closed while reading HTTP body",
        ),
        (
            lines(OK, b"Content-Length: 5", b"") + b"Hell",
            "connection closed while reading HTTP body",
        ),
        *(
            (
                lines(OK, b"Transfer-Encoding: chunked", b"")
                + b"5\r\nHello\r\n0\r\nA: b\r\n\r\n"[:length],
                "connection closed while reading HTTP body",
            )
            for length in range(20)
        ),
    ],
)
def test_response_that_the_connection_cuts_off_is_refused(way, data, text):
    reader = ResponseReader()
    wait(reader, way, data)
    with pytest.raises(EOFError) as raised:
        reader.feed_eof()
    assert str(raised.value) == text


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 OK",
        b"HTTP/1.1  200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1\t200\tOK",
        b"http/1.1 200 OK",
        b"HTTP/1 200 OK",
        b"HTTP/11 200 OK",
        b"HTTP/1.10 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 007 OK",
        b"HTTP/1.1 -20 OK",
        b"HTTP/1.1 2_0 OK",
        b"HTTP/1.1 \xb2\xb2\xb2 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 200 O\0K",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 OK\r",
        b"HTTP/1.1 200 OK\x7f",
        b"HTTP/1.1 200\tOK",
        b"ICY 200 OK",
        b"SSH-2.0-OpenSSH_9.6",
        b"GET / HTTP/1.1",
        # Frames of HTTP/2.
        b"\0\0\x12\x04\0\0\0\0\0",
    ],
)
def test_status_line_that_breaks_the_grammar_is_refused(way, line):
    text = f"invalid HTTP status line: {line.decode('iso-8859-1')!r}"
    refuse(ResponseReader(), way, lines(line, b"Content-Length: 0", b""), ValueError, text)


@pytest.mark.parametrize(
    "line",
    [
        "HTTP/2.0 200 OK",
        "HTTP/0.9 200 OK",
        "HTTP/1.2 200 OK",
        # RFC 9110, section 7.8: there is no upgrade in HTTP/1.0.
        "HTTP/1.0 101 Switching Protocols",
        "HTTP/2.0 101 Switching Protocols",
    ],
)
def test_response_in_another_version_of_http_is_refused(way, line):
    text = f"unsupported HTTP version: {line!r}"
    refuse(ResponseReader(), way, lines(line.encode(), b""), ValueError, text)


@pytest.mark.parametrize(
    "interim",
    [
        lines(b"HTTP/1.1 100 Continue", b""),
        lines(b"HTTP/1.1 103 Early Hints", b"Link: </style.css>", b"Content-Length: 5", b""),
        lines(b"HTTP/1.0 199", b"Transfer-Encoding: chunked", b"")
        + lines(b"HTTP/1.1 102 Processing", b""),
    ],
)
@pytest.mark.parametrize(
    "data, response",
    [
        (lines(b"HTTP/1.1 101 A", b"B: c", b""), Response(101, "A", Headers(B="c"))),
        (
            lines(OK, b"Content-Length: 2", b"") + b"Hi",
            Response(200, "OK", Headers({"Content-Length": "2"}), b"Hi"),
        ),
    ],
)
def test_interim_responses_are_skipped(way, interim, data, response):
    # RFC 9110, section 15.2.
    assert read(ResponseReader(), way, interim + data) == response


@pytest.mark.parametrize("protocol", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("status_code", [200, 201, 204, 299])
@pytest.mark.parametrize(
    "headers",
    [[], [b"Content-Length: 5"], [b"Content-Length: a"], [b"Transfer-Encoding: gzip"]],
)
def test_tunnel_of_a_proxy_begins_after_the_head(way, protocol, status_code, headers):
    # RFC 9110, section 9.3.6: successful responses to CONNECT have no body.
    data = lines(protocol + b" %d Connection established" % status_code, *headers, b"")
    response = read(ResponseReader(proxy=True), way, data)
    assert response.status_code == status_code
    assert response.body == b""


def test_refusal_of_a_proxy_has_a_body(way):
    data = lines(b"HTTP/1.1 407 Who are you", b"Content-Length: 5", b"") + b"Hello"
    response = read(ResponseReader(proxy=True), way, data)
    assert response == Response(407, "Who are you", Headers({"Content-Length": "5"}), b"Hello")


def test_tunnel_of_a_proxy_begins_after_interim_responses(way):
    data = lines(b"HTTP/1.1 100 Continue", b"", b"HTTP/1.1 200 OK", b"")
    assert read(ResponseReader(proxy=True), way, data).status_code == 200


# Limits. Whether the CR counts as part of a line is left open.


@pytest.fixture(params=[2**30, 1000], ids=["whole", "in pieces"])
def pieces(request):
    def pieces(data):
        return (data[i : i + request.param] for i in range(0, len(data), request.param))

    return pieces


def feed(reader, pieces):
    message = None
    for piece in pieces:
        assert message is None
        message = reader.feed(piece)
    return message


def pad(start, end, size):
    return start + b"a" * (size - len(start) - len(end)) + end


LONGEST = MAX_LINE_LENGTH - 1
TOO_LONG = MAX_LINE_LENGTH + 1
LINE_TEXT = "expected no more than 8192 bytes in a line"


def test_longest_lines_are_read(pieces):
    request = lines(
        pad(b"GET /", b" HTTP/1.1", LONGEST),
        pad(b"A: ", b"", LONGEST),
        pad(b"", b":", LONGEST),
        b"",
    )
    assert feed(RequestReader(), pieces(request)).headers["A"] == "a" * (LONGEST - 3)
    response = lines(
        pad(b"HTTP/1.1 200 ", b"", LONGEST),
        b"Transfer-Encoding: chunked",
        pad(b"A: ", b"", LONGEST),
        b"",
        pad(b"5;", b"", LONGEST),
        b"Hello",
        b"0",
        pad(b"B: ", b"", LONGEST),
        b"",
    )
    assert feed(ResponseReader(), pieces(response)).body == b"Hello"


CHUNKED = lines(OK, b"Transfer-Encoding: chunked", b"")


@pytest.mark.parametrize(
    "reader, before, line, exception",
    [
        (RequestReader, b"", pad(b"GET /", b" HTTP/1.1", TOO_LONG), RequestLineTooLong),
        (RequestReader, b"", pad(b"", b"", TOO_LONG), RequestLineTooLong),
        (RequestReader, lines(b"GET / HTTP/1.1"), pad(b"A: ", b"", TOO_LONG), HeaderLineTooLong),
        (
            RequestReader,
            lines(b"GET / HTTP/1.1", b"A: b"),
            pad(b"A: ", b"", TOO_LONG),
            HeaderLineTooLong,
        ),
        (ResponseReader, b"", pad(b"HTTP/1.1 200 ", b"", TOO_LONG), StatusLineTooLong),
        (ResponseReader, lines(OK), pad(b"A: ", b"", TOO_LONG), HeaderLineTooLong),
        (ResponseReader, CHUNKED, pad(b"5;", b"", TOO_LONG), HeaderLineTooLong),
        (ResponseReader, CHUNKED, pad(b"", b"", TOO_LONG), HeaderLineTooLong),
        (ResponseReader, CHUNKED + b"1\r\na", pad(b"", b"", TOO_LONG), HeaderLineTooLong),
        (ResponseReader, CHUNKED + b"0\r\n", pad(b"A: ", b"", TOO_LONG), HeaderLineTooLong),
    ],
)
@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n", b"a"], ids=["CRLF", "LF", "no end"])
def test_longer_lines_are_refused_even_before_they_end(
    pieces, reader, before, line, end, exception
):
    with pytest.raises(exception) as raised:
        feed(reader(), pieces(before + line + end))
    assert type(raised.value) is exception
    assert str(raised.value) == LINE_TEXT


@pytest.mark.parametrize("reader", START_LINES)
def test_number_of_headers_is_limited(pieces, reader):
    most = lines(START_LINES[reader], b"Content-Length: 0", *[b"A: b"] * (MAX_NUM_HEADERS - 1))
    assert len(list(feed(reader(), pieces(most + b"\r\n")).headers.raw_items())) == 128
    with pytest.raises(TooManyHeaders) as raised:
        feed(reader(), pieces(most + b"A: b\r\n"))
    assert str(raised.value) == "expected no more than 128 headers"


def test_trailers_count_as_headers(pieces):
    most = CHUNKED + lines(b"0", *[b"A: b"] * (MAX_NUM_HEADERS - 1))
    assert feed(ResponseReader(), pieces(most + b"\r\n")).body == b""
    with pytest.raises(TooManyHeaders) as raised:
        feed(ResponseReader(), pieces(most + b"A: b\r\n"))
    assert str(raised.value) == "expected no more than 128 headers"


def test_extensions_of_chunks_count_as_headers(pieces):
    chunk = lines(pad(b"1;", b"", 8000), b"a")
    most = CHUNKED + chunk * 16
    assert feed(ResponseReader(), pieces(most + lines(b"0", b""))).body == b"a" * 16
    with pytest.raises(TooManyHeaders) as raised:
        feed(ResponseReader(), pieces(most + chunk))
    assert str(raised.value) == f"expected no more than {MAX_HEAD_SIZE} bytes of headers"


@pytest.mark.parametrize("reader", START_LINES)
def test_size_of_the_head_is_limited(pieces, reader):
    line = pad(b"A: ", b"", 8000)
    head = lines(START_LINES[reader], b"Content-Length: 0", *[line] * 16)
    room = MAX_HEAD_SIZE - len(head) - len(b"\r\n")
    assert 3 <= room <= 8000
    most = head + lines(pad(b"B: ", b"", room), b"")
    assert feed(reader(), pieces(most)).headers["B"] == "a" * (room - 3)
    with pytest.raises(TooManyHeaders) as raised:
        feed(reader(), pieces(head + lines(pad(b"B: ", b"", room + 1), b"")))
    assert str(raised.value) == "expected no more than 131072 bytes of headers"


@pytest.mark.parametrize(
    "interim, text",
    [
        (lines(b"HTTP/1.1 100 ", b""), "expected no more than 131072 bytes of headers"),
        (lines(b"HTTP/1.1 100 ", b"A: b", b""), "expected no more than 128 headers"),
    ],
)
def test_interim_responses_do_not_go_on_forever(pieces, interim, text):
    with pytest.raises(TooManyHeaders) as raised:
        feed(ResponseReader(), pieces(interim * 10_000))
    assert str(raised.value) == text


BODY_TEXT = "expected no more than 1048576 bytes of body"


def chunked(*sizes):
    return b"".join(b"%x\r\n" % size + bytes(size) + b"\r\n" for size in sizes) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        lines(OK, b"Content-Length: %d" % MAX_BODY_SIZE, b"") + bytes(MAX_BODY_SIZE),
        CHUNKED + chunked(MAX_BODY_SIZE),
        CHUNKED + chunked(1, MAX_BODY_SIZE - 2, 1),
    ],
    ids=["length", "one chunk", "chunks"],
)
def test_largest_body_is_read(pieces, data):
    assert feed(ResponseReader(), pieces(data)).body == bytes(MAX_BODY_SIZE)


def test_largest_body_that_ends_with_the_connection_is_read(pieces):
    reader = ResponseReader()
    assert feed(reader, pieces(lines(OK, b"") + bytes(MAX_BODY_SIZE))) is None
    assert reader.feed_eof().body == bytes(MAX_BODY_SIZE)


@pytest.mark.parametrize(
    "data",
    [
        lines(OK, b"Content-Length: %d" % (MAX_BODY_SIZE + 1), b""),
        lines(OK, b"Content-Length: " + b"9" * 20, b""),
        lines(OK, b"Content-Length: " + b"9" * 5000, b""),
        CHUNKED + chunked(MAX_BODY_SIZE + 1),
        CHUNKED + chunked(MAX_BODY_SIZE, 1),
        CHUNKED + b"FFFFFFFFFFFFFFFF\r\n" + bytes(MAX_BODY_SIZE + 1),
        lines(OK, b"") + bytes(MAX_BODY_SIZE + 1),
    ],
    ids=["length", "huge length", "longer length", "chunk", "chunks", "huge chunk", "no length"],
)
def test_larger_body_is_refused(pieces, data):
    with pytest.raises(SecurityError) as raised:
        feed(ResponseReader(), pieces(data))
    assert type(raised.value) is SecurityError
    assert str(raised.value) == BODY_TEXT


@pytest.mark.parametrize(
    "reader, data",
    [
        (RequestReader, b"a" * 4000),
        (RequestReader, lines(b"GET / HTTP/1.1", *[b"A: b"] * 100)),
        (ResponseReader, CHUNKED + b"1\r\na\r\n" * 500),
        (ResponseReader, CHUNKED + b"5;" + b"a" * 4000),
        (ResponseReader, lines(OK, b"Content-Length: 5000", b"") + b"a" * 4000),
        (ResponseReader, lines(OK, b"") + b"a" * 4000),
    ],
    ids=["line", "headers", "chunks", "chunk extension", "length", "no length"],
)
def test_each_byte_is_searched_once_when_they_arrive_one_by_one(reader, data, monkeypatch):
    searched = 0

    class CountingByteArray(bytearray):
        def find(self, sub, start=0):
            nonlocal searched
            found = super().find(sub, start)
            searched += (len(self) if found == -1 else found + 1) - start
            return found

    monkeypatch.setattr(http11, "bytearray", CountingByteArray, raising=False)
    under_test = reader()
    for i in range(len(data)):
        assert under_test.feed(data[i : i + 1]) is None
    assert searched <= len(data)


# Both, with whatever bytes

PARTS = st.sampled_from(
    [
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"GET / HTTP/1.1\r\n",
        b"GET /",
        b" HTTP/1.0\r\n",
        b"HTTP/1.1 101 A\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 404\r\n",
        b"HTTP/1.1 100 \r\n\r\n",
        b"HTTP/2.0",
        b"A: b\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 11\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"5\r\nHello\r\n",
        b"5;a\r\n",
        b"0\r\n",
        b"Hello",
        b"a" * 40,
    ]
)
DATA = st.lists(PARTS | st.binary(max_size=5), max_size=15).map(b"".join)
MESSAGES = st.tuples(st.sampled_from([b"", *map(lines, START_LINES.values()), CHUNKED]), DATA).map(
    b"".join
)


def outcome(reader, pieces):
    """Feed a reader and return what came of it: a message and the rest, or how it failed."""
    remaining = list(pieces)
    message = None
    try:
        while message is None and remaining:
            message = reader.feed(remaining.pop(0))
        if message is None and isinstance(reader, ResponseReader):
            message = reader.feed_eof()
    except UnicodeError:
        raise AssertionError("it is a ValueError, and an accident") from None
    except (SecurityError, InvalidProtocol, ValueError, EOFError) as exc:
        return type(exc), str(exc)
    return message, reader.rest + b"".join(remaining)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_reader",
    [RequestReader, ResponseReader, lambda: ResponseReader(proxy=True)],
    ids=["request", "response", "proxy"],
)
@settings(deadline=None)
@given(MESSAGES, st.lists(st.integers(0, 200), max_size=10))
def test_any_bytes_have_the_same_documented_outcome_however_they_are_cut(make_reader, data, cuts):
    cuts = sorted(cuts)
    pieces = [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        # So that they are reached.
        monkeypatch.setattr(http11, "MAX_LINE_LENGTH", 40)
        monkeypatch.setattr(http11, "MAX_NUM_HEADERS", 4)
        monkeypatch.setattr(http11, "MAX_HEAD_SIZE", 80)
        monkeypatch.setattr(http11, "MAX_BODY_SIZE", 10)
        whole = outcome(make_reader(), [data])
        assert outcome(make_reader(), pieces) == whole
        assert outcome(make_reader(), [bytes([byte]) for byte in data]) == whole


# Building them


def test_request_is_built():
    request = Request("/chat?a=b", Headers([("Host", "localhost"), ("Upgrade", "websocket")]))
    assert request.serialize() == lines(
        b"GET /chat?a=b HTTP/1.1", b"Host: localhost", b"Upgrade: websocket", b""
    )


def test_request_with_another_method_and_version_is_built():
    assert Request("a:80", Headers(), "CONNECT", "HTTP/1.0").serialize() == lines(
        b"CONNECT a:80 HTTP/1.0", b""
    )


@pytest.mark.parametrize(
    "path", ["", "/ ", "/a b", "/\r\nA: b", "/\n", "/\0", "/\t", "/\x7f", "/caf\xe9", "/\u2603"]
)
def test_request_with_a_path_that_must_be_encoded_is_refused(path):
    with pytest.raises(ValueError, match="invalid request target") as raised:
        Request(path, Headers()).serialize()
    assert str(raised.value) == f"invalid request target: {path!r}"


@pytest.mark.parametrize(
    "response, data",
    [
        (
            Response(101, "Switching Protocols", Headers(Upgrade="websocket")),
            lines(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b""),
        ),
        (
            Response(200, "OK", Headers({"Content-Length": "5"}), b"Hello"),
            lines(OK, b"Content-Length: 5", b"") + b"Hello",
        ),
        (Response(299, "", Headers()), lines(b"HTTP/1.1 299 ", b"")),
        (Response(299, "caf\xe9", Headers()), lines(b"HTTP/1.1 299 caf\xe9", b"")),
    ],
)
def test_response_is_built(response, data):
    assert response.serialize() == data


@pytest.mark.parametrize("phrase", ["OK\r\nA: b", "\n", "\0", "\x7f", "\u2603"])
def test_response_with_an_impossible_reason_phrase_is_refused(phrase):
    with pytest.raises(ValueError, match="invalid reason phrase") as raised:
        Response(200, phrase, Headers()).serialize()
    assert str(raised.value) == f"invalid reason phrase: {phrase!r}"


VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]))
HEADERS = st.lists(
    st.tuples(
        st.text("abcXYZ09-_", min_size=1, max_size=10).filter(
            lambda name: name.lower() not in ("content-length", "transfer-encoding")
        ),
        VALUE.map(lambda value: value.strip(" \t")),
    ),
    max_size=10,
).map(Headers)


@pytest.mark.slow
@settings(deadline=None)
@given(st.text(VISIBLE, min_size=1), HEADERS, st.sampled_from(["GET", "HEAD", "OPTIONS"]))
def test_reading_a_request_reverses_building_it(path, headers, method):
    request = Request(path, headers, method)
    reader = RequestReader()
    assert reader.feed(request.serialize()) == request
    assert reader.rest == b""


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(200, 999), VALUE, HEADERS, st.binary())
def test_reading_a_response_reverses_building_it(status_code, phrase, headers, body):
    if status_code in (204, 304):
        body = b""
    headers["Content-Length"] = str(len(body))
    response = Response(status_code, phrase, headers, body)
    reader = ResponseReader()
    assert reader.feed(response.serialize()) == response
    assert reader.rest == b""


@pytest.mark.parametrize("message", [Request("/", Headers()), Response(200, "OK", Headers())])
def test_messages_are_compared_by_what_goes_over_the_wire(message):
    protocol = Protocol(Side.CLIENT)
    assert message == dataclasses.replace(message, _protocol=weakref.ref(protocol))
    assert "Protocol" not in repr(dataclasses.replace(message, _protocol=weakref.ref(protocol)))


# Names of the software


def products(**environ):
    code = "from ws_protocol.http11 import SERVER, USER_AGENT; print(SERVER, USER_AGENT, sep='\\n')"
    env = {**os.environ, **environ}
    for name in ("WEBSOCKETS_SERVER", "WEBSOCKETS_USER_AGENT"):
        if name not in environ:
            env.pop(name, None)
    result = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return result.stdout.splitlines()


@pytest.mark.slow
def test_clients_and_servers_name_python_and_the_library():
    server, user_agent = products()
    assert server == user_agent
    python, library = server.split()
    assert python == f"Python/{sys.version_info[0]}.{sys.version_info[1]}"
    assert library.startswith("websockets/")


@pytest.mark.slow
def test_environment_sets_the_names_of_clients_and_servers():
    assert products(WEBSOCKETS_SERVER="spam", WEBSOCKETS_USER_AGENT="eggs") == ["spam", "eggs"]


# Heads only


def test_body_of_a_response_may_be_left_unread():
    reader = ResponseReader(body=False)
    response = reader.feed(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nrest")
    assert response == Response(403, "Forbidden", Headers({"Content-Length": "4"}))
    assert reader.rest == b"rest"
