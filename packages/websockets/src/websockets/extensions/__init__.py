"""Alias of :mod:`ws_protocol.extensions`."""

from ws_protocol.extensions import *
from ws_protocol.extensions import __all__ as __all__
