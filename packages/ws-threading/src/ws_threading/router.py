"""Running a WebSocket server with a handler for each path, by the routing of werkzeug."""

from __future__ import annotations

import os
import ssl as ssl_module
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ws_protocol.routing import BaseRouter

from .server import Server, ServerConnection, serve

if TYPE_CHECKING:
    from werkzeug.routing import Map

__all__ = ["Router", "route", "unix_route"]


class Router(BaseRouter):
    """Finds the handler for a connection by the path of its request.

    Override a method to change what it does, and pass the class as ``create_router``.

    Args:
        url_map: Rules, whose endpoints are connection handlers.
        server_name: Host name, and port if it isn't the default, that clients connect to. It is for
            redirects; by default, it is the ``Host`` header.
        url_scheme: ``"ws"`` or ``"wss"``, for redirects.

    Attributes:
        url_map: Rules.
        server_name: Host name, or :obj:`None`.
        url_scheme: Scheme.

    """

    def handler(self, connection: ServerConnection) -> None:
        """Run the handler that was found for a connection."""
        connection.handler(connection, **connection.handler_kwargs)


def route(
    url_map: Map,
    *args: Any,
    server_name: str | None = None,
    ssl: ssl_module.SSLContext | Literal[True] | None = None,
    create_router: Callable[..., Router] | None = None,
    **kwargs: Any,
) -> Server:
    """Run a WebSocket server with a connection handler for each path.

    It requires werkzeug, whose documentation says what is possible in rules. Parts of the path that
    a rule names become arguments of the handler::

        from werkzeug.routing import Map, Rule

        def channel(connection, channel_id):
            ...

        url_map = Map([Rule("/channel/<uuid:channel_id>", endpoint=channel)])

        with route(url_map, "localhost", 8765) as server:
            server.serve_forever()

    Rules need no ``websocket=True``. A path that no rule matches is answered with HTTP status 404.

    It has the arguments of :func:`~ws_threading.server.serve` except ``handler``, and:

    Args:
        url_map: Rules, whose endpoints are connection handlers.
        server_name: Host name, and port if it isn't the default, that clients connect to, for
            redirects. By default, it is the ``Host`` header. Set it behind a reverse proxy that
            changes that header.
        ssl: TLS context. :obj:`True` redirects to ``wss`` URLs without TLS here, behind a reverse
            proxy that terminates it.
        create_router: Makes the router, with the arguments of :class:`Router`, which is the
            default.

    Raises:
        ImportError: werkzeug isn't installed.

    """
    try:
        import werkzeug  # noqa: F401  # to tell at once, not at the first request
    except ImportError as exc:
        raise ImportError("route() requires werkzeug: install ws-threading[router]") from exc

    if ssl is not None and ssl is not True:
        kwargs["ssl"] = ssl
    router = (Router if create_router is None else create_router)(
        url_map, server_name, "ws" if ssl is None else "wss"
    )
    process_request = router.route_after(kwargs.pop("process_request", None))
    return serve(router.handler, *args, process_request=process_request, **kwargs)


def unix_route(url_map: Map, path: str | os.PathLike[str] | None = None, **kwargs: Any) -> Server:
    """Run a WebSocket server that listens on a Unix socket, with a connection handler for each
    path.

    It has the arguments of :func:`~ws_threading.server.unix_serve` and of :func:`route`.

    Args:
        url_map: Rules, whose endpoints are connection handlers.
        path: Path of the socket.
        kwargs: Other arguments.

    """
    if path is not None:
        kwargs["path"] = os.fspath(path)
    return route(url_map, unix=True, **kwargs)
