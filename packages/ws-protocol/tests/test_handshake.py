import base64

import pytest

from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import InvalidHeader, InvalidHeaderFormat, InvalidUpgrade
from ws_protocol.handshake import accept_key, check_upgrade, generate_key, get_single


def test_accept_key_is_the_one_of_the_rfc():
    # RFC 6455, section 1.3.
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_generated_key_has_sixteen_bytes():
    assert len(base64.b64decode(generate_key(), validate=True)) == 16


def test_generated_keys_are_different():
    assert len({generate_key() for _ in range(100)}) == 100


def test_get_single_returns_the_value_whatever_the_case_of_the_name():
    assert get_single(Headers({"sec-websocket-key": "spam"}), "Sec-WebSocket-Key") == "spam"


def test_get_single_returns_an_empty_value():
    assert get_single(Headers(Origin=""), "Origin") == ""


def test_get_single_rejects_a_missing_header():
    with pytest.raises(InvalidHeader) as raised:
        get_single(Headers(), "Sec-WebSocket-Key")
    assert str(raised.value) == "missing Sec-WebSocket-Key header"
    # The KeyError would be noise in a traceback.
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("values", [["spam", "eggs"], ["spam", "spam"], ["", ""]])
def test_get_single_rejects_a_repeated_header(values):
    headers = Headers([("Sec-WebSocket-Key", value) for value in values])
    with pytest.raises(InvalidHeader) as raised:
        get_single(headers, "Sec-WebSocket-Key")
    assert str(raised.value) == "invalid Sec-WebSocket-Key header: multiple values"
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    "connection",
    [
        ["Upgrade"],
        ["upgrade"],
        ["UPGRADE"],
        ["keep-alive, Upgrade"],
        ["Upgrade, keep-alive"],
        ["keep-alive", "Upgrade"],
        [",Upgrade,"],
        ["", "Upgrade"],
        ["Upgrade, Upgrade"],
    ],
)
@pytest.mark.parametrize("upgrade", [["websocket"], ["WebSocket"], [", websocket ,"]])
def test_upgrade_to_websocket_is_accepted(connection, upgrade):
    headers = Headers()
    headers.update([("Connection", value) for value in connection])
    headers.update([("Upgrade", value) for value in upgrade])
    check_upgrade(headers)


@pytest.mark.parametrize(
    "connection, text",
    [
        ([], "missing Connection header"),
        ([""], "empty Connection header"),
        (["keep-alive"], "invalid Connection header: keep-alive"),
        (["close"], "invalid Connection header: close"),
        (["notupgrade"], "invalid Connection header: notupgrade"),
        (["upgrade-insecure"], "invalid Connection header: upgrade-insecure"),
        (["close", "keep-alive"], "invalid Connection header: close, keep-alive"),
    ],
)
def test_connection_without_upgrade_is_rejected(connection, text):
    headers = Headers(Upgrade="websocket")
    headers.update([("Connection", value) for value in connection])
    with pytest.raises(InvalidUpgrade) as raised:
        check_upgrade(headers)
    assert str(raised.value) == text
    assert raised.value.name == "Connection"


@pytest.mark.parametrize(
    "upgrade, text",
    [
        ([], "missing Upgrade header"),
        ([""], "empty Upgrade header"),
        (["h2c"], "invalid Upgrade header: h2c"),
        (["websocket/13"], "invalid Upgrade header: websocket/13"),
        (["websockets"], "invalid Upgrade header: websockets"),
        # What would have been agreed?
        (["websocket, h2c"], "invalid Upgrade header: websocket, h2c"),
        (["websocket", "websocket"], "invalid Upgrade header: websocket, websocket"),
    ],
)
def test_upgrade_to_something_else_is_rejected(upgrade, text):
    headers = Headers(Connection="Upgrade")
    headers.update([("Upgrade", value) for value in upgrade])
    with pytest.raises(InvalidUpgrade) as raised:
        check_upgrade(headers)
    assert str(raised.value) == text
    assert raised.value.name == "Upgrade"


@pytest.mark.parametrize(
    "connection, upgrade, name",
    [
        ("Upgrade keep-alive", "websocket", "Connection"),
        ("Upgrade; a=b", "websocket", "Connection"),
        (",", "websocket", "Connection"),
        ("Upgrade", "websocket h2c", "Upgrade"),
        ("Upgrade", "websocket/", "Upgrade"),
        ("Upgrade", "/13", "Upgrade"),
        ("Upgrade", ",", "Upgrade"),
    ],
)
def test_headers_that_cannot_be_parsed_are_rejected(connection, upgrade, name):
    with pytest.raises(InvalidHeaderFormat) as raised:
        check_upgrade(Headers(Connection=connection, Upgrade=upgrade))
    assert raised.value.name == name
