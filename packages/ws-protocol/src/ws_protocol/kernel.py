"""What touches every byte: masking (RFC 6455, section 5.3), frames built, messages read.

There are two forms with the same results: plain Python, which runs everywhere, and C, which wheels
for CPython may have. The compiled one is used where it is there. The environment variable
``WS_PROTOCOL_KERNEL`` selects one, when this module is imported: ``pure``, or ``compiled`` to make
the import fail where that isn't possible.
"""

from __future__ import annotations

import importlib
import logging
import os
from types import ModuleType
from typing import TYPE_CHECKING

from . import _pure

__all__ = [
    "IMPLEMENTATION",
    "PayloadBuffer",
    "apply_mask",
    "are_messages",
    "build_frame",
    "log_implementation",
    "message_taker",
    "read_messages",
]

_logger = logging.getLogger("websockets.kernel")

_COMPILED = f"{__package__}._compiled"


def select_implementation(wanted: str | None) -> ModuleType:
    """Return the module that has the functions.

    Args:
        wanted: ``"pure"``, ``"compiled"``, or :obj:`None` for the compiled one if it is there.

    Raises:
        ImportError: ``"compiled"`` is wanted, and isn't there or can't be loaded.
        ValueError: Something else is wanted.

    """
    if wanted not in ("pure", "compiled", None):
        raise ValueError(
            f"environment variable WS_PROTOCOL_KERNEL must be pure or compiled, got {wanted!r}"
        )
    if wanted == "pure":
        return _pure
    try:
        return importlib.import_module(_COMPILED)
    except ImportError as exc:
        if wanted == "compiled":
            raise
        # Not to be there is normal. To be there and not to load is for somebody to look at.
        if not (isinstance(exc, ModuleNotFoundError) and exc.name == _COMPILED):
            _logger.warning("compiled kernel can't be loaded, and the pure one is used: %s", exc)
        return _pure


_selected = select_implementation(os.environ.get("WS_PROTOCOL_KERNEL") or None)

IMPLEMENTATION: str = "pure" if _selected is _pure else "compiled"
"""Which form is in use: ``"compiled"`` or ``"pure"``."""

if TYPE_CHECKING:
    from ._pure import (
        PayloadBuffer,
        apply_mask,
        are_messages,
        build_frame,
        message_taker,
        read_messages,
    )
else:
    PayloadBuffer = _selected.PayloadBuffer
    apply_mask = _selected.apply_mask
    are_messages = _selected.are_messages
    build_frame = _selected.build_frame
    message_taker = _selected.message_taker
    read_messages = _selected.read_messages

_logged = False


def log_implementation() -> None:
    """Log which form is in use at level DEBUG, the first time this is called.

    That is for the first connection. When this module is imported, nobody has configured logging.
    """
    global _logged
    if not _logged:
        _logged = True
        _logger.debug("kernel is %s", IMPLEMENTATION)
