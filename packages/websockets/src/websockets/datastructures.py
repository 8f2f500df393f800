"""Alias of :mod:`ws_protocol.datastructures`."""

from ws_protocol.datastructures import *
from ws_protocol.datastructures import __all__ as __all__
