"""Whether credentials are good: a pair, a list of pairs, or whatever a function says."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias, TypeGuard, cast

__all__ = ["CredentialsCheck", "is_credentials", "make_check"]

CredentialsCheck: TypeAlias = Callable[[str, str], bool | Awaitable[bool]]
"""A function or coroutine function that takes a user name and a password, and tells whether they
are good."""

# What is compared with when there is no such user: it takes the same time.
_NOBODY = b"\0"


def is_credentials(credentials: Any) -> TypeGuard[tuple[str, str]]:
    """Tell whether something is a pair of user name and password."""
    return (
        isinstance(credentials, tuple)
        and len(credentials) == 2
        and all(isinstance(item, str) for item in credentials)
    )


def make_check(
    credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
    check_credentials: CredentialsCheck | None = None,
) -> CredentialsCheck:
    """Return a function that tells whether credentials are good.

    Args:
        credentials: A pair of user name and password, or several.
        check_credentials: A function or coroutine function to use instead.

    Raises:
        ValueError: Both are given, or none.
        TypeError: ``credentials`` are something else.

    """
    if (credentials is None) == (check_credentials is None):
        raise ValueError("provide either credentials or check_credentials")
    if check_credentials is not None:
        return check_credentials
    if is_credentials(credentials):
        pairs = [credentials]
    else:
        try:
            pairs = list(cast(Iterable[tuple[str, str]], credentials))
        except TypeError:
            pairs = []
            valid = False
        else:
            valid = all(is_credentials(pair) for pair in pairs)
        if not valid:
            # Without their value, which has a password.
            raise TypeError(
                "credentials must be a (username, password) tuple or a list of them, "
                f"not {type(credentials).__name__}"
            )
    passwords = {username: password.encode() for username, password in pairs}

    def check(username: str, password: str) -> bool:
        # How long it takes tells neither the password nor whether there is such a user. On bytes,
        # because str must be ASCII for compare_digest().
        expected = passwords.get(username)
        equal = hmac.compare_digest(_NOBODY if expected is None else expected, password.encode())
        return equal and expected is not None

    return check
