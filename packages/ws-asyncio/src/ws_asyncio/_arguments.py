"""Arguments of the original API, which programs may still pass.

Those that aren't known go to the event loop, whose exception would tell of a function that the
program didn't call.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["reject_original_arguments"]

_INSTEAD = {
    "create_protocol": "create_connection",
    "klass": "create_connection",
    "timeout": "close_timeout",
}
_WITHOUT = {"legacy_recv", "loop", "read_limit"}


def reject_original_arguments(function: str, names: Iterable[str], *, extra_headers: str) -> None:
    """Tell of an argument of the original API what to write instead.

    Args:
        function: Name of the function that was called.
        names: Arguments that it doesn't know.
        extra_headers: Name of its argument that has the role of ``extra_headers``.

    Raises:
        TypeError: One of them is of the original API.

    """
    instead = {**_INSTEAD, "extra_headers": extra_headers}
    for name in names:
        if name in instead:
            hint = f"the new API has {instead[name]} instead"
        elif name in _WITHOUT:
            hint = "the new API has no such thing, remove it"
        else:
            continue
        raise TypeError(f"{function}() got an unexpected keyword argument {name!r}; {hint}")
