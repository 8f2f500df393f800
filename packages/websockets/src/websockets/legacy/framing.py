"""Alias of :mod:`ws_legacy.framing`."""

from ws_legacy.framing import *
from ws_legacy.framing import __all__ as __all__
