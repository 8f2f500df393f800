"""Alias of :mod:`ws_protocol.exceptions`."""

from ws_protocol.exceptions import *
from ws_protocol.exceptions import __all__ as __all__
