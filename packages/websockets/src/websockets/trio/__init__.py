"""The implementation on trio: aliases of the modules of :mod:`ws_trio`."""

import importlib.util
from typing import TYPE_CHECKING

from .. import _aliases

if importlib.util.find_spec("ws_trio") is None:
    raise ImportError("websockets.trio requires ws-trio and trio: install websockets[trio]")

if TYPE_CHECKING:
    from . import client as client
    from . import connection as connection
    from . import router as router
    from . import server as server
else:
    __getattr__, __dir__ = _aliases.lazy_attributes(
        globals(), names={}, submodules=["client", "connection", "router", "server"]
    )
