"""Alias of :mod:`ws_protocol.uri`."""

from ws_protocol.uri import *
from ws_protocol.uri import __all__ as __all__
