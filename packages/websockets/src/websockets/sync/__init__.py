"""The implementation for threads: aliases of the modules of :mod:`ws_threading`."""

from typing import TYPE_CHECKING

from .. import _aliases

if TYPE_CHECKING:
    from . import client as client
    from . import connection as connection
    from . import router as router
    from . import server as server
else:
    __getattr__, __dir__ = _aliases.lazy_attributes(
        globals(), names={}, submodules=["client", "connection", "router", "server"]
    )
