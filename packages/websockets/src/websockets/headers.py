"""Alias of :mod:`ws_protocol.headers`."""

from ws_protocol.headers import *
from ws_protocol.headers import __all__ as __all__
