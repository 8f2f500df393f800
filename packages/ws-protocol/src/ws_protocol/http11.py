"""The HTTP/1.1 messages of the opening handshake (RFC 9110, RFC 9112).

Just what the opening handshake needs: a request without a body, a response that may have one. The
readers are strict, because what one parser lets pass another understands differently; bounded,
because peers send what they like; and linear in time, however the bytes are cut into chunks.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import warnings
import weakref
from typing import Any

from ._version import __version__
from .buffers import PieceBuffer
from .datastructures import Headers
from .exceptions import (
    HeaderLineTooLong,
    InvalidProtocol,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyHeaders,
)
from .limits import MAX_BODY_SIZE, MAX_HEAD_SIZE, MAX_LINE_LENGTH, MAX_NUM_HEADERS

__all__ = [
    "SERVER",
    "USER_AGENT",
    "Request",
    "RequestReader",
    "Response",
    "ResponseReader",
]

_PRODUCT = f"Python/{sys.version_info[0]}.{sys.version_info[1]} websockets/{__version__}"

USER_AGENT = os.environ.get("WEBSOCKETS_USER_AGENT", _PRODUCT)
"""``User-Agent`` header of clients, unless they are told another."""

SERVER = os.environ.get("WEBSOCKETS_SERVER", _PRODUCT)
"""``Server`` header of servers, unless they are told another."""

# RFC 9112, sections 3 and 4. Targets have visible characters only: anything else would have to be
# percent-encoded (RFC 3986). HTTP-version is upper case, and has one digit on each side. Bytes are
# decoded from ISO-8859-1, where each is a character.
_request_line = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) (HTTP/[0-9]\.[0-9])")
_status_line = re.compile(r"(HTTP/[0-9]\.[0-9]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")

# RFC 9112, section 3.2.2: what stands before the path if the request is meant for a proxy, too. The
# group is what stands in the Host header otherwise.
absolute_form: re.Pattern[str] = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://([^/?]*)")

# RFC 9110, sections 5.1 and 5.5.
_field_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_field_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# A whole head that is valid, and has no white space at the ends of lines: start line, header lines,
# and the empty line. One call for all of it is several times as fast as one for each line. The
# quantifiers of header lines are possessive: nothing is looked at twice. Within another one, ++
# matches nothing as well on PyPy 7.3.19.
_field_char = "[!#$%&'*+.^_`|~0-9A-Za-z-]"
_header_lines = rf"((?:{_field_char}{_field_char}*+:[\t\x20-\x7e\x80-\xff]*+(?<![\t ])\r\n)*+)"
_request_head = re.compile(_request_line.pattern + r"\r\n" + _header_lines + r"\r\n")
_response_head = re.compile(_status_line.pattern + r"\r\n" + _header_lines + r"\r\n")

# Name and value, in header lines of which that is known.
_header_line = re.compile(r"([^:]++):[\t ]*+([^\r]*+)\r\n")

# RFC 9110, section 8.6; RFC 9112, section 7.1. int() would let more pass: signs, underscores,
# digits of other scripts.
_decimal = re.compile(r"[0-9]+")
_chunk_line = re.compile(r"([0-9A-Fa-f]{1,16})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?")

_target = re.compile(r"[\x21-\x7e]+")
_phrase = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclasses.dataclass
class _Message:
    """What requests and responses have in common: they may know why their handshake failed.

    Sans-I/O users read that from them before protocols had the attribute ``handshake_exc``. It is
    taken from there, by a weak reference, because the exception may refer to the message.
    """

    _protocol: weakref.ref[Any] | None = dataclasses.field(
        default=None, repr=False, compare=False, kw_only=True
    )

    def _handshake_exc(self) -> Exception | None:
        return None if self._protocol is None else getattr(self._protocol(), "handshake_exc", None)

    def __getstate__(self) -> dict[str, Any]:
        # Weak references can't be pickled.
        return self.__dict__ | {"_protocol": None}


@dataclasses.dataclass
class Request(_Message):
    """A request of the opening handshake.

    Attributes:
        path: Path and query, as in the request line.
        headers: Headers.
        method: Method.
        protocol: HTTP version.

    """

    path: str
    headers: Headers
    method: str = "GET"
    protocol: str = "HTTP/1.1"

    @property
    def exception(self) -> Exception | None:
        """Why the opening handshake failed.

        .. deprecated:: 1.0
            Use ``ServerProtocol.handshake_exc``.
        """
        warnings.warn(  # deprecated in the public library's 10.3
            "Request.exception is deprecated; use ServerProtocol.handshake_exc instead",
            DeprecationWarning,
            stacklevel=2,
        )
        return self._handshake_exc()

    def serialize(self) -> bytes:
        """Build the bytes of the request.

        Raises:
            ValueError: The path has characters that must be percent-encoded.

        """
        if _target.fullmatch(self.path) is None:
            raise ValueError(f"invalid request target: {self.path!r}")
        request_line = f"{self.method} {self.path} {self.protocol}\r\n".encode()
        return request_line + self.headers.serialize()


@dataclasses.dataclass
class Response(_Message):
    """A response of the opening handshake.

    Attributes:
        status_code: Status code.
        reason_phrase: Reason phrase; may be empty.
        headers: Headers.
        body: Body, with chunked transfer coding taken off, but not compression.

    """

    status_code: int
    reason_phrase: str
    headers: Headers
    body: bytes = b""

    @property
    def exception(self) -> Exception | None:
        """Why the opening handshake failed.

        .. deprecated:: 1.0
            Use ``ClientProtocol.handshake_exc``.
        """
        warnings.warn(  # deprecated in the public library's 10.3
            "Response.exception is deprecated; use ClientProtocol.handshake_exc instead",
            DeprecationWarning,
            stacklevel=2,
        )
        return self._handshake_exc()

    def serialize(self) -> bytes:
        """Build the bytes of the response.

        Raises:
            ValueError: The reason phrase has control characters, or characters outside ISO-8859-1.

        """
        if _phrase.fullmatch(self.reason_phrase) is None:
            raise ValueError(f"invalid reason phrase: {self.reason_phrase!r}")
        status_line = f"HTTP/1.1 {self.status_code:d} {self.reason_phrase}\r\n"
        return status_line.encode("iso-8859-1") + self.headers.serialize() + self.body


class _LineReader:
    """Bytes that arrive in chunks and are taken line by line."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pos = 0
        # There is no line feed before it. A peer that sends a byte at a time would else have the
        # line searched again for each.
        self._scanned = 0

    def _add(self, data: bytes) -> None:
        """Add a chunk."""
        del self._buffer[: self._pos]
        self._scanned -= self._pos
        self._pos = 0
        self._buffer += data

    def _read_line(self, too_long: type[SecurityError]) -> str | None:
        """Take a line, without its end; :obj:`None` if it isn't there yet.

        Raises:
            SecurityError: It is longer than the limit.
            ValueError: It doesn't end with CRLF.

        """
        end = self._buffer.find(b"\n", self._scanned)
        self._scanned = len(self._buffer) if end == -1 else end + 1
        # The CR may count or not: nobody will tell 8,192 from 8,193.
        if self._scanned - self._pos - 1 > MAX_LINE_LENGTH:
            raise too_long(f"expected no more than {MAX_LINE_LENGTH} bytes in a line")
        if end == -1:
            return None
        line = self._buffer[self._pos : end].decode("iso-8859-1")
        self._pos = end + 1
        # RFC 9112, section 2.2, allows to accept a lone LF. Not all do, and who doesn't sees other
        # headers.
        if not line.endswith("\r"):
            raise ValueError("line doesn't end with CRLF")
        return line[:-1]

    def _read_match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take lines that match a pattern, ends included, if they are no longer together than one
        may be, and nothing of them was looked at before."""
        if self._scanned > self._pos:
            return None
        text = self._buffer[self._pos : self._pos + MAX_LINE_LENGTH].decode("iso-8859-1")
        match = pattern.match(text)
        if match is not None:
            self._pos += match.end()
            self._scanned = self._pos
        return match

    def _read(self, size: int) -> bytes:
        """Take up to so many bytes."""
        data = bytes(self._buffer[self._pos : self._pos + size])
        self._pos += len(data)
        self._scanned = max(self._scanned, self._pos)
        return data

    def _read_all(self) -> bytes:
        """Take all that is there."""
        data = bytes(self._buffer[self._pos :])
        self._pos = self._scanned = len(self._buffer)
        return data


class _HeadReader(_LineReader):
    """Reader of start line and headers, which requests and responses have in common."""

    _is_tls: str
    _start_line_too_long: type[SecurityError]
    _start_line_name: str
    _start_line_pattern: re.Pattern[str]
    # The same groups, and another for the header lines.
    _head_pattern: re.Pattern[str]

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._headers = Headers()
        self._num_headers = 0
        self._head_size = 0

    def _read_head(self) -> bool:
        """Read what there is of the head; tell whether it is complete."""
        if not self._started:
            # Most heads are there at once, short and valid.
            match = self._read_match(self._head_pattern)
            if match is not None:
                self._take_head(match)
                return True
            # Records of TLS: an alert, or a handshake (RFC 8446, section 5.1).
            if self._buffer.startswith((b"\x15\x03", b"\x16\x03"), self._pos):
                raise ValueError(self._is_tls)
            line = self._read_line(self._start_line_too_long)
            if line is None:
                return False
            self._count(len(line) + 2)
            match = self._start_line_pattern.fullmatch(line)
            if match is None:
                raise ValueError(f"invalid HTTP {self._start_line_name}: {show(line)}")
            self._take_start_line(match)
            self._started = True
        while True:
            line = self._read_line(HeaderLineTooLong)
            if line is None:
                return False
            if not line:
                return True
            self._count(len(line) + 2, 1)
            # RFC 9112, section 5.1: no white space before the colon. Section 5.2: no line folding;
            # the white space at the start of a folded line isn't in a name.
            name, colon, value = line.partition(":")
            if not colon or _field_name.fullmatch(name) is None:
                raise ValueError(f"invalid HTTP header line: {show(line)}")
            value = value.strip("\t ")
            if _field_value.fullmatch(value) is None:
                raise ValueError(f"invalid HTTP header value: {show(line)}")
            self._headers.set_insecure(name, value)

    def _take_head(self, match: re.Match[str]) -> None:
        """Take a whole head, which is valid."""
        self._started = True
        self._take_start_line(match)
        headers = _header_line.findall(match[4])
        # The empty line doesn't count.
        self._count(match.end() - 2, len(headers))
        self._headers.update_insecure(headers)

    def _count(self, size: int, headers: int = 0) -> None:
        self._num_headers += headers
        if self._num_headers > MAX_NUM_HEADERS:
            raise TooManyHeaders(f"expected no more than {MAX_NUM_HEADERS} headers")
        # Start lines count, too: else interim responses without headers could go on forever.
        self._head_size += size
        if self._head_size > MAX_HEAD_SIZE:
            raise TooManyHeaders(f"expected no more than {MAX_HEAD_SIZE} bytes of headers")

    def _take_start_line(self, match: re.Match[str]) -> None:
        raise NotImplementedError

    def _content_length(self) -> int | None:
        """Return the value of ``Content-Length``; :obj:`None` if there is none.

        Raises:
            ValueError: It isn't valid.

        """
        values = self._headers.get_all("Content-Length")
        if not values:
            return None
        # RFC 9110, section 8.6, allows a list of equal values. It serves nobody but attackers.
        if len(values) > 1 or _decimal.fullmatch(values[0]) is None:
            raise ValueError("invalid Content-Length header")
        # int() refuses thousands of digits; no length has that many, leading zeros apart.
        return int(values[0].lstrip("0")[:20] or "0")


def show(line: str) -> str:
    """Return a line from a peer for an error message: short, and without control characters."""
    return repr(line[:100])


class RequestReader(_HeadReader):
    """Reader of a request.

    Attributes:
        rest: Bytes that came after the request.

    """

    _is_tls = "TLS handshake on a port without TLS; the URI for it has scheme ws"
    _start_line_too_long = RequestLineTooLong
    _start_line_name = "request line"
    _start_line_pattern = _request_line
    _head_pattern = _request_head

    _parts: tuple[str, str, str] | None = None
    rest: bytes = b""

    def feed(self, data: bytes) -> Request | None:
        """Read a chunk; return the request when it is complete.

        Raises:
            SecurityError: The request exceeds a limit.
            InvalidProtocol: It isn't HTTP/1.1 or HTTP/1.0.
            ValueError: It isn't valid, or has a body.

        """
        self._add(data)
        if not self._read_head():
            return None
        # RFC 6455, section 4.1: the request is a GET request, which has no body. Whatever stood
        # there would be taken for frames.
        if "Transfer-Encoding" in self._headers:
            raise ValueError("transfer codings aren't supported")
        if self._content_length():
            raise ValueError("request bodies aren't supported")
        self.rest = self._read_all()
        assert self._parts is not None
        method, path, protocol = self._parts
        return Request(path, self._headers, method, protocol)

    def _take_start_line(self, match: re.Match[str]) -> None:
        method, path, protocol = match[1], match[2], match[3]
        # HTTP/1.0 isn't enough for WebSocket, but is for a health check.
        if protocol not in ("HTTP/1.1", "HTTP/1.0"):
            raise InvalidProtocol(protocol)
        self._parts = method, path, protocol


class ResponseReader(_HeadReader):
    """Reader of a response.

    Args:
        proxy: Whether it is a proxy's response to CONNECT.
        body: Whether to read the body, too, if there is one.

    Attributes:
        rest: Bytes that came after the response.

    """

    _is_tls = "TLS alert from a port with TLS; the URI for it has scheme wss"
    _start_line_too_long = StatusLineTooLong
    _start_line_name = "status line"
    _start_line_pattern = _status_line
    _head_pattern = _response_head

    def __init__(self, proxy: bool = False, body: bool = True) -> None:
        super().__init__()
        self._proxy = proxy
        self._has_body = body
        self._status_code = 0
        self._reason_phrase = ""
        self._head_read = False
        # None when there is none.
        self._body: PieceBuffer | None = None
        self._chunked = False
        # Bytes missing in the body or in the chunk; None when it ends with the connection.
        self._missing: int | None = 0
        # In a chunked body: whether the last chunk was read, and the CRLF after this one.
        self._last_chunk = False
        self._chunk_ended = True
        self.rest: bytes = b""

    def feed(self, data: bytes) -> Response | None:
        """Read a chunk; return the response when it is complete.

        Raises:
            SecurityError: The response exceeds a limit.
            ValueError: It isn't valid.

        """
        self._add(data)
        while not self._head_read:
            if not self._read_head():
                return None
            # RFC 9110, section 15.2: clients skip interim responses, even those they don't expect.
            # 101 isn't interim here: it is what is waited for.
            if 100 <= self._status_code < 200 and self._status_code != 101:
                self._started = False
                self._headers = Headers()
                continue
            self._head_read = True
            self._begin_body()
        if self._body is not None and not self._read_body(self._body):
            return None
        self.rest = self._read_all()
        return self._build()

    def feed_eof(self) -> Response:
        """Say that no more bytes come; return the response if that is how it ends.

        Raises:
            EOFError: It isn't complete.

        """
        if self._missing is None:
            return self._build()
        if self._head_read:
            raise EOFError("connection closed while reading HTTP body")
        if self._started:
            raise EOFError("connection closed while reading HTTP headers")
        raise EOFError("connection closed while reading HTTP status line")

    def _build(self) -> Response:
        body = b"" if self._body is None else self._body.take()
        return Response(self._status_code, self._reason_phrase, self._headers, body)

    def _take_start_line(self, match: re.Match[str]) -> None:
        self._status_code = int(match[2])
        # Servers and proxies that know HTTP/1.0 only can't upgrade, but can refuse or tunnel.
        supported = ("HTTP/1.1",) if self._status_code == 101 else ("HTTP/1.1", "HTTP/1.0")
        if match[1] not in supported:
            # Only the line, of what may be a whole head.
            line = match[0].partition("\r\n")[0]
            raise ValueError(f"unsupported HTTP version: {show(line)}")
        self._reason_phrase = match[3] or ""

    def _begin_body(self) -> None:
        """Find out how the body ends (RFC 9112, section 6.3)."""
        if self._status_code in (101, 204, 304) or (self._proxy and 200 <= self._status_code < 300):
            return
        if not self._has_body:
            return
        self._body = PieceBuffer()
        codings = self._headers.get_all("Transfer-Encoding")
        if codings:
            if [coding.lower() for coding in codings] != ["chunked"]:
                raise ValueError("transfer codings other than chunked aren't supported")
            if "Content-Length" in self._headers:
                raise ValueError("Content-Length and Transfer-Encoding exclude each other")
            self._chunked = True
        else:
            self._missing = self._content_length()
            if self._missing is not None and self._missing > MAX_BODY_SIZE:
                raise SecurityError(f"expected no more than {MAX_BODY_SIZE} bytes of body")

    def _read_body(self, body: PieceBuffer) -> bool:
        """Read what there is of the body; tell whether it is complete."""
        if self._chunked:
            return self._read_chunks(body)
        self._read_data(body)
        return self._missing == 0

    def _read_data(self, body: PieceBuffer) -> None:
        if self._missing is None:
            data = self._read_all()
        else:
            data = self._read(self._missing)
            self._missing -= len(data)
        if body.size + len(data) > MAX_BODY_SIZE:
            raise SecurityError(f"expected no more than {MAX_BODY_SIZE} bytes of body")
        if data:
            body.append(data)

    def _read_chunks(self, body: PieceBuffer) -> bool:
        """Read what there is of a chunked body (RFC 9112, section 7.1)."""
        while not self._last_chunk:
            self._read_data(body)
            if self._missing:
                return False
            if not self._chunk_ended:
                end = self._read_line(HeaderLineTooLong)
                if end is None:
                    return False
                if end:
                    raise ValueError("invalid chunk: longer than its size")
                self._chunk_ended = True
            line = self._read_line(HeaderLineTooLong)
            if line is None:
                return False
            match = _chunk_line.fullmatch(line)
            if match is None:
                raise ValueError(f"invalid chunk size: {show(line)}")
            # Extensions count as headers do: else the body needn't grow for much to be read.
            self._count(len(line) - len(match.group(1)))
            self._missing = int(match.group(1), 16)
            self._chunk_ended = False
            self._last_chunk = self._missing == 0
        while True:
            # Trailers. They count as headers do, and are dropped.
            line = self._read_line(HeaderLineTooLong)
            if line is None:
                return False
            if not line:
                return True
            self._count(0, 1)
