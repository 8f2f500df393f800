"""Compression: the permessage-deflate extension (RFC 7692).

The environment variable ``WS_PROTOCOL_ZLIB`` selects what compresses, when this module is imported:
``zlib``, which is Python's and the default, or ``zlib-ng``, which is faster, and comes with
``pip install ws-protocol[zlib-ng]``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

from ..exceptions import (
    DuplicateParameter,
    InvalidParameterName,
    InvalidParameterValue,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
)
from ..frames import Frame, Opcode
from ..typing import BytesLike, ExtensionName, ExtensionParameter
from ._zlib import compressobj, decompressobj, error
from .base import ClientExtensionFactory, Extension, ServerExtensionFactory

__all__ = [
    "ClientPerMessageDeflateFactory",
    "PerMessageDeflate",
    "ServerPerMessageDeflateFactory",
    "choose_client_extensions",
    "choose_server_extensions",
    "enable_client_permessage_deflate",
    "enable_server_permessage_deflate",
]

NAME = ExtensionName("permessage-deflate")

# The bit in the first byte of a frame that says that a message is compressed (RFC 7692, section 6).
_RSV1 = 0x40

# Opcodes of the first frames of messages, and of the others. Members of Opcode are slow to compare.
_CONT = int(Opcode.CONT)
_FIRST = (int(Opcode.TEXT), int(Opcode.BINARY))

# An empty uncompressed block: what Z_SYNC_FLUSH puts at the end. RFC 7692, section 7.2.1: senders
# take it off the last frame of a message, receivers put it back.
_EMPTY_BLOCK = b"\x00\x00\xff\xff"

# RFC 7692, section 7.1.2, allows 8 to 15. zlib inflates what was deflated with 8, but deflates
# with 9 when asked for 8, which the other side can't inflate.
_BITS = range(8, 16)
_BITS_TO_DEFLATE = range(9, 16)


class PerMessageDeflate(Extension):
    """The extension in use on a connection.

    Args:
        remote_no_context_takeover: Whether the peer starts afresh with each message.
        local_no_context_takeover: Whether this side starts afresh with each message.
        remote_max_window_bits: Size of the peer's LZ77 window, as a power of two: 8 to 15.
        local_max_window_bits: Size of this side's LZ77 window, as a power of two: 8 to 15. With 8,
            nothing is deflated, because zlib can't.
        compress_settings: More arguments for :func:`zlib.compressobj`, such as ``level`` and
            ``memLevel``.

    """

    name = NAME

    def __init__(
        self,
        remote_no_context_takeover: bool,
        local_no_context_takeover: bool,
        remote_max_window_bits: int,
        local_max_window_bits: int,
        compress_settings: dict[str, Any] | None = None,
    ) -> None:
        if remote_max_window_bits not in _BITS:
            raise ValueError(
                f"remote_max_window_bits must be between 8 and 15, got {remote_max_window_bits!r}"
            )
        if local_max_window_bits not in _BITS:
            raise ValueError(
                f"local_max_window_bits must be between 8 and 15, got {local_max_window_bits!r}"
            )
        self.remote_no_context_takeover = remote_no_context_takeover
        self.local_no_context_takeover = local_no_context_takeover
        self.remote_max_window_bits = remote_max_window_bits
        self.local_max_window_bits = local_max_window_bits
        self.compress_settings: dict[str, Any] = check_compress_settings(compress_settings)

        # Made on first use: they are most of the memory of an idle connection.
        self._decompressor: zlib._Decompress | None = None
        self._compressor: zlib._Compress | None = None

        # Opcodes of frames that begin a compressed message. RFC 7692, section 6.1: no message need
        # be.
        self._deflated = _FIRST if local_max_window_bits in _BITS_TO_DEFLATE else ()
        # Whether the continuation frames that follow belong to a compressed message.
        self._decoding = False
        self._encoding = False

    def __repr__(self) -> str:
        return (
            "PerMessageDeflate("
            f"remote_no_context_takeover={self.remote_no_context_takeover}, "
            f"local_no_context_takeover={self.local_no_context_takeover}, "
            f"remote_max_window_bits={self.remote_max_window_bits}, "
            f"local_max_window_bits={self.local_max_window_bits})"
        )

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Inflate a frame, but not past the limit.

        Args:
            frame: The frame.
            max_size: How many bytes its payload may inflate to.

        Raises:
            PayloadTooBig: It would inflate to more. No more than ``max_size`` bytes and one are
                ever held.
            ProtocolError: It isn't valid.

        """
        head = frame.head
        if not self._is_compressed(head):
            return frame  # if rsv1 is set, it remains so, which is the error
        data = self.inflate(bytes(frame.data), frame.fin, max_size)
        return Frame(frame.opcode, data, frame.fin, False, frame.rsv2, frame.rsv3)

    def decode_payload(self, head: int, payload: bytes, max_size: int | None) -> bytes:
        """Inflate the payload of a frame, but not past the limit.

        It is :meth:`decode` for whoever has no :class:`~ws_protocol.frames.Frame`.

        Args:
            head: The first byte of the frame.
            payload: Its payload.
            max_size: How many bytes it may inflate to; :obj:`None` if there is no limit.

        Returns:
            The payload; the same if it isn't compressed.

        Raises:
            PayloadTooBig: It would inflate to more.
            ProtocolError: It isn't valid, or a reserved bit is set where it mustn't be.

        """
        if self._is_compressed(head):
            return self.inflate(payload, head > 127, max_size)
        if head & _RSV1:
            raise ProtocolError("reserved bits must be 0")
        return payload

    def _is_compressed(self, head: int) -> bool:
        # RFC 7692, section 6.1: control frames are never compressed, and the bit is on the first
        # frame of a message.
        opcode = head & 0x0F
        if opcode == _CONT:
            return self._decoding and not head & _RSV1
        return opcode in _FIRST and head & _RSV1 != 0

    def inflate(self, data: bytes, fin: bool, max_size: int | None) -> bytes:
        """Inflate the payload of a compressed frame, but not past the limit.

        Args:
            data: The payload.
            fin: Whether the frame is the last one of a message.
            max_size: How many bytes it may inflate to; :obj:`None` if there is no limit.

        Raises:
            PayloadTooBig: It would inflate to more.
            ProtocolError: It isn't valid.

        """
        decompressor = self._decompressor
        if decompressor is None:
            decompressor = self._new_decompressor()
        if fin:
            data += _EMPTY_BLOCK
        # With room for one byte more, all input is consumed unless the output is too long. To zlib
        # a limit of 0 means none.
        limit = 0 if max_size is None else max_size + 1
        try:
            inflated = decompressor.decompress(data, limit)
            if decompressor.eof and (max_size is None or len(inflated) <= max_size):
                # RFC 7692, section 7.2.3.4: a sender may set BFINAL, which ends the stream as far
                # as zlib is concerned. What follows is the empty block, whole or its end.
                rest = decompressor.unused_data
                decompressor = self._new_decompressor()
                if rest != _EMPTY_BLOCK:
                    inflated += decompressor.decompress(rest, limit and limit - len(inflated))
                    if decompressor.eof:
                        # Each costs a new decompressor; a frame can hold very many.
                        raise ProtocolError("decompression failed: too many final blocks")
        except error as exc:
            raise ProtocolError("decompression failed") from exc
        if max_size is not None and len(inflated) > max_size:
            raise PayloadTooBig(None, max_size)
        self._decoding = not fin
        self._decompressor = None if fin and self.remote_no_context_takeover else decompressor
        return inflated

    def _new_decompressor(self) -> zlib._Decompress:
        return decompressobj(wbits=-self.remote_max_window_bits)

    def encode(self, frame: Frame) -> Frame:
        """Deflate a frame.

        Args:
            frame: The frame.

        """
        head = frame.head
        if not self._compresses(head):
            return frame
        head, data = self.encode_payload(head, frame.data)
        return Frame(frame.opcode, data, frame.fin, bool(head & _RSV1), frame.rsv2, frame.rsv3)

    def encode_payload(self, head: int, payload: BytesLike) -> tuple[int, BytesLike]:
        """Deflate the payload of a frame.

        It is :meth:`encode` for whoever has no :class:`~ws_protocol.frames.Frame`.

        Args:
            head: The first byte of the frame.
            payload: Its payload.

        Returns:
            The first byte, and the payload; the same if the frame isn't compressed.

        """
        if not self._compresses(head):
            return head, payload
        compressor = self._compressor
        if compressor is None:
            compressor = self._compressor = self._new_compressor()
        data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        self._encoding = head < 128
        if head > 127:
            # zlib has nothing to flush when there is nothing new. RFC 7692, section 7.2.3.6: an
            # empty fragment is one byte, the start of an empty block.
            data = data[:-4] if data.endswith(_EMPTY_BLOCK) else data + b"\x00"
            if self.local_no_context_takeover:
                self._compressor = None
        return head | _RSV1 if head & 0x0F in _FIRST else head, data

    def forget_context(self) -> None:
        """Make what is deflated from now on refer to nothing that was sent before.

        A sender may do so whatever was negotiated: to use its context is its right and no duty
        (RFC 7692, section 7.1.1). It must, when it sent a message that this didn't deflate.
        """
        self._compressor = None

    def deflates_like(self, other: PerMessageDeflate) -> bool:
        """Tell whether another one, without context, makes the same of a message."""
        return self is other or (
            self.local_max_window_bits == other.local_max_window_bits
            and self.compress_settings == other.compress_settings
        )

    def _compresses(self, head: int) -> bool:
        opcode = head & 0x0F
        return opcode in self._deflated or (opcode == _CONT and self._encoding)

    def _new_compressor(self) -> zlib._Compress:
        return compressobj(wbits=-self.local_max_window_bits, **self.compress_settings)


def find_deflate(extensions: Sequence[Extension]) -> PerMessageDeflate | None:
    """Return the extension if it is the only one, and does what :class:`PerMessageDeflate` does.

    What it does can be done without frames then.
    """
    if len(extensions) != 1:
        return None
    extension = extensions[0]
    if type(extension) is PerMessageDeflate or (
        isinstance(extension, PerMessageDeflate)
        and type(extension).decode is PerMessageDeflate.decode
        and type(extension).encode is PerMessageDeflate.encode
    ):
        return extension
    return None


def check_compress_settings(compress_settings: dict[str, Any] | None) -> dict[str, Any]:
    """Return settings for :func:`zlib.compressobj`, so that mistakes show here and not at the first
    message.

    Raises:
        ValueError: ``wbits`` is among them, which is negotiated, or a value isn't possible.
        TypeError: There is no such setting.

    """
    if compress_settings is None:
        return {}
    if "wbits" in compress_settings:
        raise ValueError("compress_settings must not include wbits; set max_window_bits instead")
    compressobj(wbits=-9, **compress_settings)
    return compress_settings


def build_parameters(
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: int | None,
    client_max_window_bits: int | bool | None,
) -> list[ExtensionParameter]:
    """Build the parameters of an offer or of a response (RFC 7692, section 7.1)."""
    params: list[ExtensionParameter] = []
    if server_no_context_takeover:
        params.append(("server_no_context_takeover", None))
    if client_no_context_takeover:
        params.append(("client_no_context_takeover", None))
    if server_max_window_bits:
        params.append(("server_max_window_bits", str(server_max_window_bits)))
    if client_max_window_bits is True:  # only in offers
        params.append(("client_max_window_bits", None))
    elif client_max_window_bits:
        params.append(("client_max_window_bits", str(client_max_window_bits)))
    return params


def parse_parameters(
    params: Sequence[ExtensionParameter], is_server: bool
) -> tuple[bool, bool, int | None, int | bool | None]:
    """Parse the parameters of an offer or of a response (RFC 7692, section 7.1).

    Args:
        params: The parameters.
        is_server: Whether this side is the server, and the parameters therefore an offer.

    Returns:
        ``server_no_context_takeover``, ``client_no_context_takeover``, ``server_max_window_bits``,
        ``client_max_window_bits``. The last is :obj:`True` if it is there without a value.

    Raises:
        DuplicateParameter: A parameter is repeated.
        InvalidParameterName: A parameter isn't known.
        InvalidParameterValue: A value isn't allowed, missing, or there.

    """
    found: dict[str, int | bool] = {}
    for name, value in params:
        if name in found:
            raise DuplicateParameter(name)
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                raise InvalidParameterValue(name, value)
            found[name] = True
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if value is None and is_server and name == "client_max_window_bits":
                found[name] = True
            elif value in _WINDOW_BITS:
                found[name] = int(value)
            else:
                raise InvalidParameterValue(name, value)
        else:
            raise InvalidParameterName(name)
    return (
        bool(found.get("server_no_context_takeover", False)),
        bool(found.get("client_no_context_takeover", False)),
        found.get("server_max_window_bits"),
        found.get("client_max_window_bits"),
    )


# RFC 7692, section 7.1.2: a decimal integer without leading zeroes. int() would let more pass.
_WINDOW_BITS = frozenset(str(bits) for bits in _BITS)


def check_window_bits(name: str, value: int | None) -> None:
    """Check window bits in the arguments of a factory.

    Raises:
        ValueError: They aren't possible.

    """
    if value is not None and (isinstance(value, bool) or value not in _BITS_TO_DEFLATE):
        raise ValueError(f"{name} must be between 9 and 15, got {value!r}")


class ClientPerMessageDeflateFactory(ClientExtensionFactory):
    """A client's side of negotiating the extension.

    Args:
        server_no_context_takeover: Ask the server to start afresh with each message.
        client_no_context_takeover: Start afresh with each message.
        server_max_window_bits: Ask the server for an LZ77 window of at most this size, as a power
            of two: 9 to 15.
        client_max_window_bits: Size of the client's LZ77 window, as a power of two: 9 to 15;
            :obj:`True` lets the server choose, :obj:`None` keeps it at 15.
        compress_settings: More arguments for :func:`zlib.compressobj`.

    Raises:
        ValueError: An argument isn't possible. 8 bits aren't: zlib can't deflate with them.

    """

    name = NAME

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | bool | None = True,
        compress_settings: dict[str, Any] | None = None,
    ) -> None:
        check_window_bits("server_max_window_bits", server_max_window_bits)
        if client_max_window_bits is False:
            client_max_window_bits = None
        if client_max_window_bits is not True:
            check_window_bits("client_max_window_bits", client_max_window_bits)
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.compress_settings: dict[str, Any] = check_compress_settings(compress_settings)

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return the parameters to offer the extension with."""
        return build_parameters(
            self.server_no_context_takeover,
            self.client_no_context_takeover,
            self.server_max_window_bits,
            self.client_max_window_bits,
        )

    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> PerMessageDeflate:
        """Make the extension with the parameters that the server answered.

        Raises:
            NegotiationError: The server left out what was asked for, or asks for what wasn't
                offered.

        """
        check_not_accepted_yet(accepted_extensions)
        (
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        ) = parse_parameters(params, is_server=False)

        # RFC 7692, section 7.1.1.1: the server must grant it.
        if self.server_no_context_takeover and not server_no_context_takeover:
            raise NegotiationError("expected server_no_context_takeover")

        # Section 7.1.1.2: the server may ask for it, and the client does it unasked, too.
        if self.client_no_context_takeover:
            client_no_context_takeover = True

        # Section 7.1.2.1: the server must grant this size or a smaller one.
        if self.server_max_window_bits is not None:
            if server_max_window_bits is None:
                raise NegotiationError("expected server_max_window_bits")
            if server_max_window_bits > self.server_max_window_bits:
                raise NegotiationError("unsupported server_max_window_bits")

        # Section 7.1.2.2: the server may only ask for it if it was offered, and then for 8, too.
        if client_max_window_bits is None:
            if isinstance(self.client_max_window_bits, int) and self.client_max_window_bits > 1:
                client_max_window_bits = self.client_max_window_bits
        elif self.client_max_window_bits is None:
            raise NegotiationError("unexpected client_max_window_bits")
        elif (
            self.client_max_window_bits is not True
            and client_max_window_bits > self.client_max_window_bits
        ):
            raise NegotiationError("unsupported client_max_window_bits")

        return PerMessageDeflate(
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits or 15,
            client_max_window_bits or 15,
            self.compress_settings,
        )


class ServerPerMessageDeflateFactory(ServerExtensionFactory):
    """A server's side of negotiating the extension.

    Args:
        server_no_context_takeover: Start afresh with each message.
        client_no_context_takeover: Make the client start afresh with each message.
        server_max_window_bits: Size of the server's LZ77 window, as a power of two: 9 to 15.
        client_max_window_bits: Make the client use an LZ77 window of at most this size, as a power
            of two: 9 to 15, if it lets the server choose.
        compress_settings: More arguments for :func:`zlib.compressobj`.
        require_client_max_window_bits: Go without compression if the client doesn't let the server
            choose.

    Raises:
        ValueError: An argument isn't possible. 8 bits aren't: zlib can't deflate with them.

    """

    name = NAME

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | None = None,
        compress_settings: dict[str, Any] | None = None,
        require_client_max_window_bits: bool = False,
    ) -> None:
        check_window_bits("server_max_window_bits", server_max_window_bits)
        check_window_bits("client_max_window_bits", client_max_window_bits)
        if require_client_max_window_bits and client_max_window_bits is None:
            raise ValueError(
                "require_client_max_window_bits is meaningless without client_max_window_bits"
            )
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.compress_settings: dict[str, Any] = check_compress_settings(compress_settings)
        self.require_client_max_window_bits = require_client_max_window_bits

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Make the extension from the parameters that the client offered.

        Raises:
            NegotiationError: The offer isn't acceptable.

        """
        check_not_accepted_yet(accepted_extensions)
        (
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        ) = parse_parameters(params, is_server=True)

        # RFC 7692, sections 7.1.1.1 and 7.1.1.2: asked for or not, the server may decide so.
        server_no_context_takeover |= self.server_no_context_takeover
        client_no_context_takeover |= self.client_no_context_takeover

        # Section 7.1.2.1: the server may only go below what was asked for.
        server_max_window_bits = smaller(server_max_window_bits, self.server_max_window_bits)
        if server_max_window_bits is not None and server_max_window_bits not in _BITS_TO_DEFLATE:
            raise NegotiationError("unsupported server_max_window_bits")

        # Section 7.1.2.2: the server may only ask for it if it was offered.
        if client_max_window_bits is None:
            if self.require_client_max_window_bits:
                raise NegotiationError("required client_max_window_bits")
        elif client_max_window_bits is True:
            client_max_window_bits = self.client_max_window_bits
        else:
            client_max_window_bits = smaller(client_max_window_bits, self.client_max_window_bits)

        return (
            build_parameters(
                server_no_context_takeover,
                client_no_context_takeover,
                server_max_window_bits,
                client_max_window_bits,
            ),
            PerMessageDeflate(
                client_no_context_takeover,
                server_no_context_takeover,
                client_max_window_bits or 15,
                server_max_window_bits or 15,
                self.compress_settings,
            ),
        )


def check_not_accepted_yet(accepted_extensions: Sequence[Extension]) -> None:
    """Check that the extension isn't accepted already: its bit can be used once.

    Raises:
        NegotiationError: It is.

    """
    if any(extension.name == NAME for extension in accepted_extensions):
        raise NegotiationError(f"received duplicate {NAME}")


def smaller(first: int | None, second: int | None) -> int | None:
    """Return the smaller of two limits that may be absent."""
    limits = [limit for limit in (first, second) if limit is not None]
    return min(limits, default=None)


# The public websockets library measured these: little memory for most of the compression.
_COMPRESS_SETTINGS: dict[str, Any] = {"memLevel": 5}
_MAX_WINDOW_BITS = 12


def enable_client_permessage_deflate(
    extensions: Sequence[ClientExtensionFactory] | None,
) -> Sequence[ClientExtensionFactory]:
    """Add permessage-deflate with default settings, unless it is there already.

    Args:
        extensions: Extensions of a client.

    """
    return _enable(
        extensions, lambda: ClientPerMessageDeflateFactory(compress_settings=_COMPRESS_SETTINGS)
    )


def enable_server_permessage_deflate(
    extensions: Sequence[ServerExtensionFactory] | None,
) -> Sequence[ServerExtensionFactory]:
    """Add permessage-deflate with default settings, unless it is there already.

    Args:
        extensions: Extensions of a server.

    """
    return _enable(
        extensions,
        lambda: ServerPerMessageDeflateFactory(
            server_max_window_bits=_MAX_WINDOW_BITS,
            client_max_window_bits=_MAX_WINDOW_BITS,
            compress_settings=_COMPRESS_SETTINGS,
        ),
    )


def choose_client_extensions(
    extensions: Sequence[ClientExtensionFactory] | None, compression: str | None
) -> Sequence[ClientExtensionFactory] | None:
    """Return the extensions that a client offers.

    Args:
        extensions: Those that the user wants to offer.
        compression: ``"deflate"`` to offer permessage-deflate with default settings, too;
            :obj:`None` not to.

    Raises:
        TypeError: ``extensions`` are strings.
        ValueError: ``compression`` is something else.

    """
    if check_compression(compression):
        return enable_client_permessage_deflate(extensions)
    return extensions


def choose_server_extensions(
    extensions: Sequence[ServerExtensionFactory] | None, compression: str | None
) -> Sequence[ServerExtensionFactory] | None:
    """Return the extensions that a server accepts.

    Args:
        extensions: Those that the user wants to accept.
        compression: ``"deflate"`` to accept permessage-deflate with default settings, too;
            :obj:`None` not to.

    Raises:
        TypeError: ``extensions`` are strings.
        ValueError: ``compression`` is something else.

    """
    if check_compression(compression):
        return enable_server_permessage_deflate(extensions)
    return extensions


def check_compression(compression: str | None) -> bool:
    """Tell whether an argument ``compression`` asks for permessage-deflate.

    Raises:
        ValueError: It is something else than ``"deflate"`` or :obj:`None`.

    """
    if compression not in ("deflate", None):
        raise ValueError(f"unsupported compression: {compression}")
    return compression is not None


def _enable(extensions: Sequence[Any] | None, factory: Callable[[], Any]) -> Sequence[Any]:
    if extensions is None:
        extensions = []
    if any(isinstance(extension, str) for extension in extensions):
        raise TypeError(
            "extensions must be a list of extension factories, such as "
            "ServerPerMessageDeflateFactory() or ClientPerMessageDeflateFactory(), not of str"
        )
    if any(extension.name == NAME for extension in extensions):
        return extensions
    return [*extensions, factory()]
