"""Arguments that have another name today."""

from __future__ import annotations

import ssl
import warnings
from typing import Any

__all__ = ["take_ssl_context"]


def take_ssl_context(
    context: ssl.SSLContext | None, kwargs: dict[str, Any]
) -> ssl.SSLContext | None:
    """Return the argument ``ssl`` of a function that takes it as ``ssl_context``, too.

    Args:
        context: The argument ``ssl``.
        kwargs: Other arguments. ``ssl_context`` is removed from them.

    """
    if "ssl_context" not in kwargs:
        return context
    warnings.warn(  # deprecated in the public library's 13.0
        "ssl_context was renamed to ssl", DeprecationWarning, stacklevel=3
    )
    renamed: ssl.SSLContext | None = kwargs.pop("ssl_context")
    return renamed
