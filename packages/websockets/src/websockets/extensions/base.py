"""Alias of :mod:`ws_protocol.extensions.base`."""

from ws_protocol.extensions.base import *
from ws_protocol.extensions.base import __all__ as __all__
