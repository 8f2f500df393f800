"""Warnings about what is deprecated: each points at the line that has to be changed."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

__all__ = [
    "drop_empty_origin",
    "reject_new_arguments",
    "rename_arguments",
    "warn_about",
    "warn_caller",
]

T = TypeVar("T")

# Arguments of the new API that this one lacks, and what it has instead, if anything.
_NEW_ARGUMENTS = {
    "additional_headers": "extra_headers",
    "allowed_hosts": None,
    "create_connection": "create_protocol",
    "max_connections": None,
    "max_handshakes": None,
    "process_exception": None,
    "process_response": "extra_headers",
    "proxy": None,
    "reconnect_delays": None,
}


def warn_caller(message: str) -> None:
    """Warn, and point at the line that called this package.

    How many functions are between depends on subclasses.

    Args:
        message: What replaces what is deprecated.

    """
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
        level += 1
    warnings.warn(message, DeprecationWarning, stacklevel=level)


def warn_about(function: Callable[..., Any], message: str) -> None:
    """Warn, and point at the definition of a function that the event loop calls.

    Args:
        function: The function.
        message: What replaces what is deprecated.

    """
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    code = getattr(function, "__code__", None)
    if code is None:
        warn_caller(message)
        return
    warnings.warn_explicit(
        message,
        DeprecationWarning,
        code.co_filename,
        code.co_firstlineno,
        function.__module__,
        # Where those that were shown already are kept, so that each is shown once.
        registry=getattr(function, "__globals__", {}).setdefault("__warningregistry__", {}),
    )


def rename_arguments(
    kwargs: dict[str, Any], create_protocol: T | None, close_timeout: float | None, default: T
) -> tuple[T, float, bool, Any]:
    """Take the deprecated arguments of ``connect()`` and ``serve()``.

    Args:
        kwargs: Arguments that have no parameter of their own. The deprecated ones are taken out.
        create_protocol: Argument that was called ``klass``.
        close_timeout: Argument that was called ``timeout``.
        default: What ``create_protocol`` is by default.

    Returns:
        ``create_protocol``, ``close_timeout``, whether ``recv()`` returns :obj:`None` once the
        connection is closed, and the event loop, if there was one.

    """
    timeout = kwargs.pop("timeout", None)
    if timeout is not None:
        warn_caller("rename timeout to close_timeout")
        if close_timeout is None:
            close_timeout = timeout
    klass = kwargs.pop("klass", None)
    if klass is not None:
        warn_caller("rename klass to create_protocol")
        if create_protocol is None:
            create_protocol = klass
    legacy_recv = kwargs.pop("legacy_recv", False)
    if legacy_recv:
        warn_caller("legacy_recv is deprecated: handle ConnectionClosed instead")
    loop = kwargs.pop("loop", None)
    if loop is not None:
        warn_caller("remove loop argument")
    return (
        default if create_protocol is None else create_protocol,
        10 if close_timeout is None else close_timeout,
        bool(legacy_recv),
        loop,
    )


def reject_new_arguments(function: str, module: str, names: Iterable[str]) -> None:
    """Tell that an argument is of the new API, before the event loop tells of a function that the
    program didn't call.

    Args:
        function: Name of the function that was called.
        module: Where the new API has it.
        names: Arguments that it doesn't know.

    Raises:
        TypeError: One of them is of the new API.

    """
    for name in names:
        if name in _NEW_ARGUMENTS:
            instead = _NEW_ARGUMENTS[name]
            rename = "" if instead is None else f"rename it to {instead}, or "
            raise TypeError(
                f"{function}() got an unexpected keyword argument {name!r}, which the new API has; "
                f"{rename}import {function} from websockets.asyncio.{module}"
            )


def drop_empty_origin(origins: Sequence[Any] | None) -> Sequence[Any] | None:
    """Return ``origins`` with :obj:`None` instead of an empty string.

    Raises:
        TypeError: It is a string, which is a sequence of strings.

    """
    if isinstance(origins, str):
        raise TypeError("origins must be a list, not a str")
    if origins is not None and "" in origins:
        warn_caller("use None instead of '' in origins")
        return [None if origin == "" else origin for origin in origins]
    return origins
