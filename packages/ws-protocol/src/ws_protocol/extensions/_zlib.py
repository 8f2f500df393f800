"""Which zlib compresses: Python's, or a faster one."""

from __future__ import annotations

import importlib
import os
import zlib
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["compressobj", "decompressobj", "error"]


def select_zlib(wanted: str | None) -> ModuleType:
    """Return the module that has the functions.

    Args:
        wanted: ``"zlib"``, ``"zlib-ng"``, or :obj:`None` for the former.

    Raises:
        ImportError: ``"zlib-ng"`` is wanted, and isn't installed.
        ValueError: Something else is wanted.

    """
    if wanted in ("zlib", None):
        return zlib
    if wanted != "zlib-ng":
        raise ValueError(
            f"environment variable WS_PROTOCOL_ZLIB must be zlib or zlib-ng, got {wanted!r}"
        )
    try:
        return importlib.import_module("zlib_ng.zlib_ng")
    except ImportError as exc:
        raise ImportError(
            "WS_PROTOCOL_ZLIB=zlib-ng needs a package: pip install ws-protocol[zlib-ng]"
        ) from exc


_selected = select_zlib(os.environ.get("WS_PROTOCOL_ZLIB") or None)

# It has the functions of Python's, with the same arguments.
if TYPE_CHECKING:
    from zlib import compressobj, decompressobj, error
else:
    compressobj = _selected.compressobj
    decompressobj = _selected.decompressobj
    error = _selected.error
