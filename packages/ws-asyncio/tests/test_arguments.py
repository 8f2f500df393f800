"""Programs that pass arguments of the original API are told what to write instead."""

import inspect

import pytest

from ws_asyncio._arguments import reject_original_arguments
from ws_asyncio.client import connect, unix_connect
from ws_asyncio.server import serve, unix_serve


async def handler(websocket):
    raise AssertionError("nobody connects")


@pytest.mark.parametrize(
    "name,instead",
    [
        ("create_protocol", "create_connection"),
        ("extra_headers", "additional_headers"),
        ("klass", "create_connection"),
        ("timeout", "close_timeout"),
    ],
)
def test_client_names_the_argument_to_use_instead(name, instead):
    with pytest.raises(TypeError) as excinfo:
        connect("ws://localhost/", **{name: None})
    assert str(excinfo.value) == (
        f"connect() got an unexpected keyword argument '{name}'; the new API has {instead} instead"
    )
    assert instead in inspect.signature(connect).parameters


@pytest.mark.parametrize(
    "name,instead",
    [
        ("create_protocol", "create_connection"),
        ("extra_headers", "process_response"),
        ("klass", "create_connection"),
        ("timeout", "close_timeout"),
    ],
)
def test_server_names_the_argument_to_use_instead(name, instead):
    with pytest.raises(TypeError) as excinfo:
        serve(handler, **{name: None})
    assert str(excinfo.value) == (
        f"serve() got an unexpected keyword argument '{name}'; the new API has {instead} instead"
    )
    assert instead in inspect.signature(serve).parameters


@pytest.mark.parametrize("name", ["legacy_recv", "loop", "read_limit"])
def test_arguments_without_a_successor_are_to_be_removed(name):
    for function, argument in [(connect, "ws://localhost/"), (serve, handler)]:
        with pytest.raises(TypeError) as excinfo:
            function(argument, **{name: None})
        assert str(excinfo.value) == (
            f"{function.__name__}() got an unexpected keyword argument '{name}'; "
            "the new API has no such thing, remove it"
        )


def test_unix_sockets_have_the_same_arguments():
    with pytest.raises(TypeError, match="additional_headers instead"):
        unix_connect("socket", extra_headers={})
    with pytest.raises(TypeError, match="process_response instead"):
        unix_serve(handler, "socket", extra_headers={})


def test_arguments_of_the_event_loop_are_let_through():
    reject_original_arguments("connect", ["ssl", "sock", "family"], extra_headers="")


async def test_event_loop_tells_of_arguments_that_nobody_knows():
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        await connect("ws://localhost/", nonsense=True, proxy=None)
