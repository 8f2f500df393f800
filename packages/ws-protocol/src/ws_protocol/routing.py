"""Finding the handler for a connection by the path of its request, by the routing of werkzeug.

werkzeug isn't imported here: whoever has rules has it.
"""

from __future__ import annotations

import http
import inspect
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

from .exceptions import InvalidHeader
from .handshake import get_single
from .http11 import Request, Response, absolute_form

__all__ = ["BaseRouter"]


class BaseRouter:
    """Finds the handler for a connection by the path of its request.

    A way of doing I/O adds the method that runs what was found.

    Args:
        url_map: Rules, a :class:`werkzeug.routing.Map`, whose endpoints are connection handlers.
        server_name: Host name, and port if it isn't the default, that clients connect to. It is for
            redirects; by default, it is the ``Host`` header.
        url_scheme: ``"ws"`` or ``"wss"``, for redirects.

    Attributes:
        url_map: Rules.
        server_name: Host name, or :obj:`None`.
        url_scheme: Scheme.

    """

    def __init__(
        self, url_map: Any, server_name: str | None = None, url_scheme: str = "ws"
    ) -> None:
        self.url_map = url_map
        self.server_name = server_name
        self.url_scheme = url_scheme
        for rule in url_map.iter_rules():
            rule.websocket = True

    def get_server_name(self, connection: Any, request: Request) -> str:
        """Return the host name that the client connected to.

        Raises:
            InvalidHeader: The request doesn't say, or the server doesn't have that name.

        """
        if self.server_name is not None:
            return self.server_name
        if connection.protocol.allowed_hosts is not None:
            # Requests are routed before the protocol accepts them, and redirects lead to this name.
            connection.protocol._check_host(request.headers)
        return get_single(request.headers, "Host")

    def redirect(self, connection: Any, url: str) -> Response:
        """Make the response that redirects to another URL."""
        response: Response = connection.respond(http.HTTPStatus.FOUND, f"Found at {url}")
        response.headers["Location"] = url
        return response

    def not_found(self, connection: Any) -> Response:
        """Make the response for a path that no rule matches."""
        response: Response = connection.respond(http.HTTPStatus.NOT_FOUND, "Not Found")
        return response

    def route_request(self, connection: Any, request: Request) -> Response | None:
        """Find the handler for a request; it is a ``process_request`` function.

        Returns:
            :obj:`None` if there is one, or a response that says why not.

        """
        # Not urlsplit(), which takes a path that starts with two slashes for a host.
        path, _, query = absolute_form.sub("", request.path).partition("?")
        try:
            adapter = self.url_map.bind(
                server_name=self.get_server_name(connection, request), url_scheme=self.url_scheme
            )
        except Exception as exc:
            if not isinstance(exc, InvalidHeader) and not _is_http_exception(exc):
                raise
            response: Response = connection.respond(
                http.HTTPStatus.BAD_REQUEST, "Invalid Host header"
            )
            return response
        try:
            endpoint, arguments = adapter.match(
                path_info=urllib.parse.unquote(path), query_args=query, websocket=True
            )
        except Exception as exc:
            if not _is_http_exception(exc):
                raise
            if hasattr(exc, "new_url"):
                return self.redirect(connection, exc.new_url)
            return self.not_found(connection)
        connection.handler, connection.handler_kwargs = endpoint, arguments
        return None

    def route_after(self, first: Callable[[Any, Request], Any] | None) -> Callable[..., Any]:
        """Return a ``process_request`` function that calls the user's first, and then routes.

        Args:
            first: The user's, which may be a coroutine function if the server takes one. What it
                returns is sent instead. :obj:`None` if there is none.

        """
        if first is None:
            return self.route_request

        def process_request(connection: Any, request: Request) -> Any:
            response = first(connection, request)
            if inspect.isawaitable(response):
                return await_first(response, connection, request)
            return self.route_request(connection, request) if response is None else response

        async def await_first(awaitable: Awaitable[Any], connection: Any, request: Request) -> Any:
            response = await awaitable
            return self.route_request(connection, request) if response is None else response

        return process_request


def _is_http_exception(exc: Exception) -> bool:
    """Tell whether it is werkzeug's way to say what to respond; a RequestRedirect has a new_url."""
    return hasattr(exc, "get_response")
