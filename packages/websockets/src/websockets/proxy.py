"""Alias of :mod:`ws_protocol.proxy`."""

from ws_protocol.proxy import *
from ws_protocol.proxy import __all__ as __all__
