"""Asynchronous iterators that can be given up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, NoReturn, Self, TypeVar

import trio

__all__ = ["Iterator"]

T_co = TypeVar("T_co", covariant=True)


class Iterator(AsyncIterator[T_co], Generic[T_co]):
    """Calls a function for each item.

    An asynchronous generator would do the same, but trio warns of those that aren't exhausted, and
    there is nothing wrong with a loop over messages that ends early.

    Args:
        next_item: Returns the next item, or raises :exc:`StopAsyncIteration`.

    """

    def __init__(self, next_item: Callable[[], Awaitable[T_co]]) -> None:
        self._next_item = next_item

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[T_co]:
        return self._next_item()

    async def aclose(self) -> None:
        """End the iteration, as :func:`contextlib.aclosing` does with asynchronous generators."""
        self._next_item = end_iteration
        await trio.lowlevel.checkpoint()


async def end_iteration() -> NoReturn:
    """Return no item."""
    raise StopAsyncIteration
