"""What an extension is, and how one is offered and accepted (RFC 6455, section 9)."""

from __future__ import annotations

from collections.abc import Sequence

from ..frames import Frame
from ..typing import ExtensionName, ExtensionParameter

__all__ = ["ClientExtensionFactory", "Extension", "ServerExtensionFactory"]


class Extension:
    """An extension in use on a connection."""

    name: ExtensionName
    """Name, as registered and in the ``Sec-WebSocket-Extensions`` header."""

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Decode a frame that was received.

        Called for every frame, control frames too, in the order in which they arrive.

        Args:
            frame: The frame. Reserved bits that the extension uses are set; it resets them in the
                frame it returns.
            max_size: How many bytes the payload may have when it is decoded; :obj:`None` if there
                is no limit.

        Returns:
            The decoded frame; the same if the extension leaves it alone.

        Raises:
            PayloadTooBig: The payload would exceed the limit. Raise it before decoding the rest.
            ProtocolError: The frame can't be decoded.

        """
        raise NotImplementedError

    def encode(self, frame: Frame) -> Frame:
        """Encode a frame that is about to be sent.

        Called for every frame, control frames too, in the order in which they are sent.

        Args:
            frame: The frame.

        Returns:
            The encoded frame; the same if the extension leaves it alone.

        """
        raise NotImplementedError


class ClientExtensionFactory:
    """A client's side of negotiating an extension."""

    name: ExtensionName
    """Name of the extension."""

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return the parameters to offer the extension with."""
        raise NotImplementedError

    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> Extension:
        """Make an extension with the parameters that the server answered.

        Args:
            params: The parameters.
            accepted_extensions: Extensions that come before it.

        Raises:
            NegotiationError: The parameters aren't acceptable. The opening handshake fails, unless
                another factory for the same extension accepts them.

        """
        raise NotImplementedError


class ServerExtensionFactory:
    """A server's side of negotiating an extension."""

    name: ExtensionName
    """Name of the extension."""

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], Extension]:
        """Make an extension from the parameters that the client offered.

        Args:
            params: The parameters.
            accepted_extensions: Extensions that come before it.

        Returns:
            Parameters to answer, and the extension.

        Raises:
            NegotiationError: The offer isn't acceptable. The server looks at the next one, and goes
                without the extension if there is none.

        """
        raise NotImplementedError
