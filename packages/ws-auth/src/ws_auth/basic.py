"""HTTP Basic Authentication (RFC 7617) of clients by a server."""

from __future__ import annotations

import http
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from ws_protocol.datastructures import Headers, MultipleValuesError
from ws_protocol.exceptions import InvalidHeader
from ws_protocol.headers import build_www_authenticate_basic, parse_authorization_basic
from ws_protocol.http11 import Request, Response
from ws_protocol.typing import StatusLike

from .policy import CredentialsCheck, make_check

__all__ = ["BasicAuth", "basic_auth"]


class _Connection(Protocol):
    """What is needed of a connection, whatever does its I/O."""

    username: str

    def respond(self, status: StatusLike, text: str) -> Response: ...


class BasicAuth:
    """The policy, without I/O: which credentials a request has, and what to answer.

    Args:
        realm: What the credentials are for; shown by browsers.
        credentials: A pair of user name and password, or several.
        check_credentials: A function or coroutine function that takes a user name and a password,
            and tells whether they are good; instead of ``credentials``.

    Raises:
        ValueError: Both ``credentials`` and ``check_credentials`` are given, or none; or the realm
            isn't possible in a header.
        TypeError: ``credentials`` are something else.

    Attributes:
        check: Tells whether a user name and a password are good, or returns an awaitable that does.

    """

    def __init__(
        self,
        realm: str = "",
        credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
        check_credentials: CredentialsCheck | None = None,
    ) -> None:
        self.check: CredentialsCheck = make_check(credentials, check_credentials)
        self._challenge = build_www_authenticate_basic(realm)

    def read(self, headers: Headers) -> tuple[str, str] | str:
        """Return the credentials of a request.

        Args:
            headers: Headers of the request.

        Returns:
            User name and password, or a text that says what is wrong.

        """
        try:
            return parse_authorization_basic(headers["Authorization"])
        except KeyError:
            return "Missing credentials\n"
        except (InvalidHeader, MultipleValuesError):
            return "Unsupported credentials\n"

    def challenge(self, connection: _Connection, text: str) -> Response:
        """Make the response that asks for credentials, with status 401.

        Args:
            connection: The connection.
            text: Body.

        """
        response = connection.respond(http.HTTPStatus.UNAUTHORIZED, text)
        response.headers["WWW-Authenticate"] = self._challenge
        return response

    def conclude(self, connection: _Connection, username: str, good: bool) -> Response | None:
        """Let a user in, or don't.

        Args:
            connection: The connection. Its attribute ``username`` is set.
            username: User name.
            good: Whether the credentials are.

        Returns:
            :obj:`None`, or the response that asks for others.

        """
        if not good:
            return self.challenge(connection, "Invalid credentials\n")
        connection.username = username
        return None


def basic_auth(
    realm: str = "",
    credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
    check_credentials: CredentialsCheck | None = None,
) -> Callable[[Any, Request], Awaitable[Response | None]]:
    """Make a ``process_request`` coroutine function for ``serve()`` that performs HTTP Basic
    Authentication.

    It sets the attribute ``username`` of the connection. Credentials are compared in constant time.

    Args:
        realm: What the credentials are for; shown by browsers.
        credentials: A pair of user name and password, or several.
        check_credentials: A function or coroutine function that takes a user name and a password,
            and tells whether they are good; instead of ``credentials``.

    Raises:
        ValueError: Both ``credentials`` and ``check_credentials`` are given, or none; or the realm
            isn't possible in a header.
        TypeError: ``credentials`` are something else.

    """
    policy = BasicAuth(realm, credentials, check_credentials)

    async def process_request(connection: _Connection, request: Request) -> Response | None:
        """Perform HTTP Basic Authentication."""
        found = policy.read(request.headers)
        if isinstance(found, str):
            return policy.challenge(connection, found)
        username, password = found
        good = policy.check(username, password)
        if inspect.isawaitable(good):
            good = await good
        return policy.conclude(connection, username, good)

    return process_request
