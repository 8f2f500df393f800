import http
import logging
import typing

import pytest

from ws_protocol import typing as ws_typing


@pytest.mark.parametrize(
    "alias, members",
    [
        ("BytesLike", {bytes, bytearray, memoryview}),
        ("Data", {str, bytes}),
        ("DataLike", {str, bytes, bytearray, memoryview}),
        ("LoggerLike", {logging.Logger, logging.LoggerAdapter[typing.Any]}),
        ("StatusLike", {http.HTTPStatus, int}),
    ],
)
def test_alias_is_a_union(alias, members):
    assert set(typing.get_args(getattr(ws_typing, alias))) == members


@pytest.mark.parametrize("alias", ["BytesLike", "Data", "DataLike", "StatusLike"])
def test_union_of_classes_can_be_used_by_isinstance(alias):
    assert not isinstance(None, getattr(ws_typing, alias))


@pytest.mark.parametrize(
    "name", ["ConnectionOption", "ExtensionName", "Origin", "Subprotocol", "UpgradeProtocol"]
)
def test_new_type_is_a_str_at_runtime(name):
    new_type = getattr(ws_typing, name)
    assert new_type.__name__ == name
    assert new_type.__supertype__ is str
    assert type(new_type("spam")) is str


def test_extension_header_has_a_name_and_parameters():
    name, parameters = typing.get_args(ws_typing.ExtensionHeader)
    assert name is ws_typing.ExtensionName
    assert typing.get_args(parameters) == (ws_typing.ExtensionParameter,)
    assert typing.get_args(ws_typing.ExtensionParameter) == (str, str | None)
