"""Exceptions that stay behind, without what they refer to."""

from __future__ import annotations

__all__ = ["forget_tracebacks"]


def forget_tracebacks(exc: BaseException | None) -> None:
    """Remove the traceback from an exception, and from those behind it.

    It shows how this library found out about a mistake of the peer, which nobody needs to know, and
    refers to the connection. As long as the connection refers to the exception, only the garbage
    collector could free them.
    """
    excs, seen = [exc], set[int]()
    for exc in excs:
        if exc is not None and id(exc) not in seen:
            seen.add(id(exc))
            exc.__traceback__ = None
            excs += [exc.__cause__, exc.__context__]
