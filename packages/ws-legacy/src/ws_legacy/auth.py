"""HTTP Basic Authentication (RFC 7617) of clients by a server."""

from __future__ import annotations

import functools
import http
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from ws_auth import BasicAuth, is_credentials
from ws_auth.policy import CredentialsCheck, make_check
from ws_protocol.datastructures import Headers
from ws_protocol.headers import build_www_authenticate_basic

from .server import HTTPResponse, WebSocketServerProtocol

__all__ = [
    "BasicAuthWebSocketServerProtocol",
    "Credentials",
    "basic_auth_protocol_factory",
    "is_credentials",
]

Credentials: TypeAlias = tuple[str, str]
"""User name and password."""


class BasicAuthWebSocketServerProtocol(WebSocketServerProtocol):
    """A WebSocket connection of a server that performs HTTP Basic Authentication.

    Override :meth:`check_credentials`, or let :func:`basic_auth_protocol_factory` make it.

    Args:
        args: Arguments of :class:`~ws_legacy.server.WebSocketServerProtocol`.
        realm: What the credentials are for; shown by browsers.
        check_credentials: A coroutine function that takes a user name and a password, and tells
            whether they are good.
        kwargs: Other arguments of :class:`~ws_legacy.server.WebSocketServerProtocol`.

    """

    realm: str = ""
    """What the credentials are for; ASCII, because of what browsers make of anything else."""

    username: str | None = None
    """Name of the user, once authenticated."""

    def __init__(
        self,
        *args: Any,
        realm: str | None = None,
        check_credentials: CredentialsCheck | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if realm is not None:
            self.realm = realm
        self._check_credentials = check_credentials

    async def check_credentials(self, username: str, password: str) -> bool:
        """Tell whether credentials are good.

        Override it, to look them up in a database for example.

        Args:
            username: User name.
            password: Password.

        """
        if self._check_credentials is None:
            return False
        good = self._check_credentials(username, password)
        return await good if inspect.isawaitable(good) else good

    async def process_request(self, path: str, request_headers: Headers) -> HTTPResponse | None:
        """Check the credentials, and then do what
        :meth:`~ws_legacy.server.WebSocketServerProtocol.process_request` does."""
        found = BasicAuth(self.realm, check_credentials=self.check_credentials).read(
            request_headers
        )
        if isinstance(found, str):
            return self._challenge(found)
        username, password = found
        if not await self.check_credentials(username, password):
            return self._challenge("Invalid credentials\n")
        self.username = username
        return await super().process_request(path, request_headers)

    def _challenge(self, text: str) -> HTTPResponse:
        headers = [("WWW-Authenticate", build_www_authenticate_basic(self.realm))]
        return http.HTTPStatus.UNAUTHORIZED, headers, text.encode()


def basic_auth_protocol_factory(
    realm: str | None = None,
    credentials: Credentials | Iterable[Credentials] | None = None,
    check_credentials: Callable[[str, str], Awaitable[bool] | bool] | None = None,
    create_protocol: Callable[..., BasicAuthWebSocketServerProtocol] | None = None,
) -> Callable[..., BasicAuthWebSocketServerProtocol]:
    """Make a ``create_protocol`` argument for :func:`~ws_legacy.server.serve` that performs HTTP
    Basic Authentication.

    For example::

        serve(..., create_protocol=basic_auth_protocol_factory(
            realm="my dev server",
            credentials=("hello", "iloveyou"),
        ))

    It sets the attribute ``username`` of connections. Credentials are compared in constant time.

    Args:
        realm: What the credentials are for; shown by browsers.
        credentials: A pair of user name and password, or several.
        check_credentials: A coroutine function that takes a user name and a password, and tells
            whether they are good; instead of ``credentials``.
        create_protocol: Makes the connections, with the arguments of
            :class:`BasicAuthWebSocketServerProtocol`, which is the default. For subclasses of it.

    Raises:
        TypeError: Both ``credentials`` and ``check_credentials`` are given, or none; or
            ``credentials`` are something else.

    """
    try:
        check = make_check(credentials, check_credentials)
    except ValueError as exc:
        raise TypeError(str(exc)) from None
    return functools.partial(
        create_protocol or BasicAuthWebSocketServerProtocol,
        realm=realm,
        check_credentials=check,
    )
