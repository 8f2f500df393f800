"""Bytes that are made beforehand, without any library: handshakes and frames, as in RFC 6455."""

from __future__ import annotations

import base64
import hashlib
import zlib
from functools import cache

from payloads import make_payloads

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Not zeros: whoever has a short way for those would be measured on it.
MASK = b"\x12\x34\x56\x78"

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40


def mask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask bytes."""
    repeated = (key * (len(data) // 4 + 1))[: len(data)]
    masked = int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")
    return masked.to_bytes(len(data), "big")


def make_frame(head: int, payload: bytes, masked: bool) -> bytes:
    """Build a frame.

    Args:
        head: Its first byte.
        payload: Its payload.
        masked: Whether a client sends it.

    """
    size, mask_bit = len(payload), 0x80 if masked else 0
    if size < 126:
        start = bytes([head, mask_bit | size])
    elif size < 65536:
        start = bytes([head, mask_bit | 126]) + size.to_bytes(2, "big")
    else:
        start = bytes([head, mask_bit | 127]) + size.to_bytes(8, "big")
    return start + MASK + mask(payload, MASK) if masked else start + payload


def make_deflater() -> zlib._Compress:
    """Return what compresses the messages of a connection."""
    return zlib.compressobj(wbits=-12)


def make_message(
    opcode: int, payload: bytes, masked: bool, deflater: zlib._Compress | None = None
) -> bytes:
    """Build a message of one frame, compressed if there is something to compress it."""
    if deflater is None:
        return make_frame(FIN | opcode, payload, masked)
    compressed = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return make_frame(FIN | RSV1 | opcode, compressed[:-4], masked)


@cache
def make_messages(kind: str, size: int, deflate: bool, masked: bool) -> list[bytes]:
    """Build messages of :func:`~payloads.make_payloads`, which can be sent over and over."""
    opcode = BINARY if kind == "binary" else TEXT
    # The first needs nothing that came before it, so that it can come after the last.
    deflater = make_deflater() if deflate else None
    return [make_message(opcode, data, masked, deflater) for data in make_payloads(kind, size)]


def make_close(masked: bool) -> bytes:
    """Build a close frame, with code 1000."""
    return make_frame(FIN | CLOSE, b"\x03\xe8", masked)


def make_request(target: str, deflate: bool) -> bytes:
    """Build the request of an opening handshake."""
    extensions = "permessage-deflate; client_max_window_bits"
    lines = [
        f"GET {target} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef").decode(),
        "Sec-WebSocket-Version: 13",
        *([f"Sec-WebSocket-Extensions: {extensions}"] if deflate else []),
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def make_response(key: str, deflate: bool, *headers: str) -> bytes:
    """Build the response that accepts an opening handshake.

    Args:
        key: ``Sec-WebSocket-Key`` of the request.
        deflate: Whether compression is accepted.
        headers: More lines.

    """
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
        *(["Sec-WebSocket-Extensions: permessage-deflate"] if deflate else []),
        *headers,
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
