"""Alias of :mod:`ws_legacy.protocol`."""

from ws_legacy.protocol import *
from ws_legacy.protocol import __all__ as __all__
