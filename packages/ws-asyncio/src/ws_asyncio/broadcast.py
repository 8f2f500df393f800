"""Sending one message to many connections at once."""

from ws_protocol.broadcast import broadcast

__all__ = ["broadcast"]
