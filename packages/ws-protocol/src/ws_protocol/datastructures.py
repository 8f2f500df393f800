"""The header fields of an HTTP message: a multi-dict with case-insensitive keys (RFC 9110,
section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Protocol, TypeAlias

from .exceptions import InvalidHeaderValue

__all__ = ["Headers", "HeadersLike", "MultipleValuesError", "SupportsKeysAndGetItem"]

# RFC 9110, section 5.5: a field value has visible characters, obs-text, spaces and tabs. CR, LF
# and NUL would start another field, or end the message, for whoever parses it next.
_valid_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch

# RFC 9110, section 5.1: a field name is a token.
_valid_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch


# Names that most handshakes have, and what they are looked up by: one string for all connections.
_KNOWN = {
    name: (name, name.lower())
    for name in (
        "Connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "Host",
        "Origin",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Version",
        "Server",
        "Upgrade",
        "User-Agent",
    )
}


class MultipleValuesError(LookupError):
    """Raised when a key of :class:`Headers` has several values and one is asked for."""

    def __str__(self) -> str:
        # As KeyError does, which matters when the key is "" or has spaces around it.
        if len(self.args) == 1:
            return repr(self.args[0])
        return super().__str__()


class Headers(MutableMapping[str, str]):
    """Header fields of an HTTP message.

    Keys are case-insensitive, and a key may have several values. Order and case are kept for
    :meth:`raw_items` and :meth:`serialize`.

    Setting a key adds a value to those it has; deleting a key deletes all of them. Reading a key
    that has several values raises :exc:`MultipleValuesError`, so that a header that must not be
    repeated can't be smuggled in beside another; :meth:`get_all` returns them all.

    Args:
        args: At most one mapping, or iterable of pairs.
        kwargs: More headers.

    Raises:
        InvalidHeaderValue: A value has a control character, or one that isn't in ISO-8859-1.
        ValueError: A name isn't a token (RFC 9110, section 5.6.2).
        TypeError: A name or a value isn't a :class:`str`, or there is a string in the place of a
            pair.

    """

    __slots__ = ("_dict", "_list")

    def __init__(self, *args: HeadersLike, **kwargs: str) -> None:
        # Nearly all have one value. A peer can send many of a name: those are in a list.
        self._dict: dict[str, tuple[str] | list[str]] = {}
        self._list: list[tuple[str, str]] = []
        if args or kwargs:
            self.update(*args, **kwargs)

    def __str__(self) -> str:
        # Not a generator expression, which is a function that is called once more for each.
        return "".join([f"{key}: {value}\r\n" for key, value in self._list]) + "\r\n"

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self._list!r})"

    def copy(self) -> Headers:
        """Return a copy."""
        copy = self.__class__()
        copy._dict = {
            key: values if isinstance(values, tuple) else values.copy()
            for key, values in self._dict.items()
        }
        copy._list = self._list.copy()
        return copy

    __copy__ = copy  # else copy.copy() would give headers that change together

    def serialize(self) -> bytes:
        """Return the bytes that stand between the start line and the body of a message, the empty
        line included."""
        # RFC 9110, section 5.5: field values were ISO-8859-1 once, and nothing else can carry all
        # bytes.
        return str(self).encode("iso-8859-1")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._dict

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def __getitem__(self, key: str) -> str:
        values = self._dict[key.lower()]
        if len(values) == 1:
            return values[0]
        raise MultipleValuesError(key)

    def __setitem__(self, key: str, value: str) -> None:
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(
                "header must be a str with a str value, "
                f"got {type(key).__name__} with {type(value).__name__}"
            )
        if _valid_name(key) is None:
            raise ValueError(f"invalid header name: {key!r}")
        if _valid_value(value) is None:
            # Not the value itself: it may be a token that was read from a file with its line break.
            pos = next(pos for pos, char in enumerate(value) if _valid_value(char) is None)
            raise InvalidHeaderValue(key, f"unexpected character {value[pos]!r} at {pos}")
        self.update_insecure([(key, value)])

    def set_insecure(self, key: str, value: str) -> None:
        """Add a value that is known to be valid, without looking at it.

        Never call it with what came from elsewhere: a line break in a value injects headers.
        """
        self.update_insecure([(key, value)])

    def update_insecure(self, items: Iterable[tuple[str, str]]) -> None:
        """Add headers that are known to be valid, as :meth:`set_insecure` does for one.

        Args:
            items: Names and values.

        """
        values_of = self._dict
        for item in items:
            key, value = item
            known = _KNOWN.get(key)
            if known is None:
                lowered = key.lower()
            else:
                item, lowered = (known[0], value), known[1]
            values = values_of.get(lowered)
            if values is None:
                values_of[lowered] = (value,)
            elif isinstance(values, tuple):
                values_of[lowered] = [*values, value]
            else:
                values.append(value)
            self._list.append(item)

    def __delitem__(self, key: str) -> None:
        lowered = key.lower()
        del self._dict[lowered]
        self._list = [item for item in self._list if item[0].lower() != lowered]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._dict == other._dict

    def clear(self) -> None:
        """Remove all headers."""
        self._dict.clear()
        self._list.clear()

    def update(self, *args: HeadersLike, **kwargs: str) -> None:
        """Add headers, keeping all values that a key has already.

        Args:
            args: At most one mapping, or iterable of pairs. All values of a :class:`Headers` are
                taken.
            kwargs: More headers.

        Raises:
            InvalidHeaderValue, ValueError, TypeError: As for the class.

        """
        if len(args) == 1:
            if isinstance(args[0], Headers):
                args = (list(args[0].raw_items()),)
            elif not hasattr(args[0], "keys"):
                args = (list(_check_pairs(args[0])),)
        super().update(*args, **kwargs)

    def get_all(self, key: str) -> list[str]:
        """Return all values of a header, in order; an empty list if there are none.

        Args:
            key: Name of the header.

        """
        return [*self._dict.get(key.lower(), ())]

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """Return an iterator over names and values, as they were set, in order."""
        return iter(self._list)


def _check_pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Iterate over what must be pairs.

    Raises:
        TypeError: One isn't, such as a whole line of a header.

    """
    for pair in pairs:
        if isinstance(pair, (str, bytes)):
            raise TypeError(
                "headers must be a mapping, or an iterable of pairs of a name and a value; "
                f"got a {type(pair).__name__} in the place of a pair"
            )
        yield pair


class SupportsKeysAndGetItem(Protocol):
    """What :class:`dict` takes beside mappings: an object with ``keys()`` and ``__getitem__()``."""

    def keys(self) -> Iterable[str]: ...  # noqa: D102  # as in any mapping

    def __getitem__(self, key: str) -> str: ...


HeadersLike: TypeAlias = (
    Headers | Mapping[str, str] | Iterable[tuple[str, str]] | SupportsKeysAndGetItem
)
"""Headers, or what they can be made from."""
