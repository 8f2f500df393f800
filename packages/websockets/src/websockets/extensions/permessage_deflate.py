"""Alias of :mod:`ws_protocol.extensions.permessage_deflate`."""

from ws_protocol.extensions.permessage_deflate import *
from ws_protocol.extensions.permessage_deflate import __all__ as __all__
