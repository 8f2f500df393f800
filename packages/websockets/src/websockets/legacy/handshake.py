"""Alias of :mod:`ws_legacy.handshake`."""

from ws_legacy.handshake import *
from ws_legacy.handshake import __all__ as __all__
