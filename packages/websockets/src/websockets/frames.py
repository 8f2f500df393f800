"""Alias of :mod:`ws_protocol.frames`."""

from ws_protocol.frames import *
from ws_protocol.frames import __all__ as __all__
