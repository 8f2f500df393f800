"""What trio's streams don't say by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import trio

__all__ = ["closing_on_failure", "describe_broken", "get_address", "get_listener_address"]


def get_address(stream: trio.abc.Stream, method: str) -> Any:
    """Return an address of a stream's socket.

    Args:
        stream: The stream.
        method: ``"getsockname"`` for this side, ``"getpeername"`` for the other.

    Returns:
        :obj:`None` if there is no socket, or if it isn't connected any more.

    """
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return None
    try:
        return getattr(stream.socket, method)()
    except OSError:
        return None


def get_listener_address(listener: trio.abc.Listener[Any]) -> Any:
    """Return the address that a listener listens on; :obj:`None` if it has no socket."""
    while isinstance(listener, trio.SSLListener):
        listener = listener.transport_listener
    return listener.socket.getsockname() if isinstance(listener, trio.SocketListener) else None


def describe_broken(exc: trio.BrokenResourceError) -> OSError:
    """Return what the operating system or TLS said, where trio says that a stream is broken."""
    cause = exc.__cause__
    return cause if isinstance(cause, OSError) else ConnectionError("stream is broken")


@contextlib.asynccontextmanager
async def closing_on_failure(stream: trio.abc.Stream) -> AsyncGenerator[None, None]:
    """Close a stream when what is done with it fails or is cancelled.

    Args:
        stream: The stream.

    Raises:
        OSError: It is broken.

    """
    try:
        yield
    except BaseException as exc:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
        if isinstance(exc, trio.BrokenResourceError):
            raise describe_broken(exc) from None
        raise
