"""Alias of :mod:`ws_protocol.protocol`."""

from ws_protocol.protocol import *
from ws_protocol.protocol import __all__ as __all__
