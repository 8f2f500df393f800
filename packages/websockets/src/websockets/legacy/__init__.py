"""The original asyncio implementation: aliases of the modules of :mod:`ws_legacy`."""

from typing import TYPE_CHECKING

from .. import _aliases

if TYPE_CHECKING:
    from . import auth as auth
    from . import client as client
    from . import exceptions as exceptions
    from . import framing as framing
    from . import handshake as handshake
    from . import http as http
    from . import protocol as protocol
    from . import server as server
else:
    __getattr__, __dir__ = _aliases.lazy_attributes(
        globals(),
        names={},
        submodules=[
            "auth",
            "client",
            "exceptions",
            "framing",
            "handshake",
            "http",
            "protocol",
            "server",
        ],
    )
