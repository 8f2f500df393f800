"""Helpers of the protocol, under the path where they used to be."""

from ws_protocol.handshake import accept_key as accept_key
from ws_protocol.masking import apply_mask as apply_mask

__all__ = ["accept_key", "apply_mask"]
