import base64
import http

import pytest

from ws_auth import BasicAuth, basic_auth
from ws_protocol.datastructures import Headers
from ws_protocol.http11 import Request
from ws_protocol.server import ServerProtocol


class Connection:
    """What is needed of a connection."""

    def respond(self, status, text):
        return ServerProtocol().reject(status, text)


def encode(user_pass):
    return "Basic " + base64.b64encode(user_pass.encode()).decode()


async def authenticate(process_request, *authorization):
    """Perform authentication; return the connection and the response."""
    headers = Headers(Host="localhost")
    for value in authorization:
        headers["Authorization"] = value
    connection = Connection()
    return connection, await process_request(connection, Request("/", headers))


async def check_hello(username, password):
    return (username, password) == ("hello", "iloveyou")


@pytest.mark.parametrize(
    "kwargs",
    [
        pytest.param({"credentials": ("hello", "iloveyou")}, id="pair"),
        pytest.param({"credentials": [("hello", "iloveyou"), ("a", "b")]}, id="list"),
        pytest.param(
            {"check_credentials": lambda *args: args == ("hello", "iloveyou")}, id="function"
        ),
        pytest.param({"check_credentials": check_hello}, id="coroutine function"),
    ],
)
class TestCredentials:
    async def test_right_credentials_are_accepted_and_tell_the_user_name(self, kwargs):
        connection, response = await authenticate(basic_auth(**kwargs), encode("hello:iloveyou"))
        assert response is None
        assert connection.username == "hello"

    @pytest.mark.parametrize(
        "user_pass",
        ["hello:", "hello:wrong", "nobody:iloveyou", ":", "hello:iloveyou:", "hello::iloveyou"],
    )
    async def test_wrong_credentials_are_refused(self, kwargs, user_pass):
        connection, response = await authenticate(basic_auth(**kwargs), encode(user_pass))
        assert response.status_code == http.HTTPStatus.UNAUTHORIZED
        assert response.body == b"Invalid credentials\n"
        assert response.headers["WWW-Authenticate"] == 'Basic realm="", charset="UTF-8"'
        assert not hasattr(connection, "username")


@pytest.mark.parametrize(
    "authorization, text",
    [
        pytest.param([], b"Missing credentials\n", id="missing"),
        pytest.param(["Digest x"], b"Unsupported credentials\n", id="other scheme"),
        pytest.param([""], b"Unsupported credentials\n", id="empty"),
        pytest.param(["Basic"], b"Unsupported credentials\n", id="scheme only"),
        pytest.param(["Basic *"], b"Unsupported credentials\n", id="not base64"),
        pytest.param(["Basic aGVsbG8"], b"Unsupported credentials\n", id="no padding"),
        pytest.param([encode("hello")], b"Unsupported credentials\n", id="no colon"),
        pytest.param(["Basic aPY6"], b"Unsupported credentials\n", id="not UTF-8"),
        pytest.param([encode("hello:iloveyou")] * 2, b"Unsupported credentials\n", id="repeated"),
        pytest.param(
            [encode("hello:iloveyou") + ", " + encode("a:b")],
            b"Unsupported credentials\n",
            id="list",
        ),
    ],
)
async def test_missing_or_unsupported_credentials_are_refused(authorization, text):
    process_request = basic_auth(credentials=("hello", "iloveyou"))
    connection, response = await authenticate(process_request, *authorization)
    assert response.status_code == http.HTTPStatus.UNAUTHORIZED
    assert response.body == text
    assert "WWW-Authenticate" in response.headers
    assert not hasattr(connection, "username")


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "Basic"])
async def test_case_of_the_scheme_does_not_matter(scheme):
    process_request = basic_auth(credentials=("hello", "iloveyou"))
    authorization = encode("hello:iloveyou").replace("Basic", scheme)
    _, response = await authenticate(process_request, authorization)
    assert response is None


async def test_credentials_may_be_outside_ascii():
    process_request = basic_auth(credentials=("jörg", "pässwörd"))
    connection, response = await authenticate(process_request, encode("jörg:pässwörd"))
    assert response is None
    assert connection.username == "jörg"
    _, response = await authenticate(process_request, encode("jörg:password"))
    assert response.status_code == http.HTTPStatus.UNAUTHORIZED


async def test_password_may_have_colons():
    process_request = basic_auth(credentials=("hello", "i:love:you"))
    _, response = await authenticate(process_request, encode("hello:i:love:you"))
    assert response is None


async def test_check_that_fails_is_not_taken_for_an_answer():
    def check_credentials(username, password):
        raise LookupError("database is down")

    with pytest.raises(LookupError, match="database is down"):
        await authenticate(basic_auth(check_credentials=check_credentials), encode("a:b"))


async def test_one_policy_serves_many_connections():
    process_request = basic_auth(credentials=[("a", "1"), ("b", "2")])
    first, _ = await authenticate(process_request, encode("a:1"))
    second, _ = await authenticate(process_request, encode("b:2"))
    assert (first.username, second.username) == ("a", "b")


@pytest.mark.parametrize(
    "realm, quoted",
    [
        ("", '""'),
        ("staging", '"staging"'),
        ('the "real" one', r'"the \"real\" one"'),
        ("back\\slash", r'"back\\slash"'),
        ("café", '"café"'),
    ],
)
async def test_realm_is_quoted(realm, quoted):
    _, response = await authenticate(basic_auth(realm, credentials=("a", "b")))
    assert response.headers["WWW-Authenticate"] == f'Basic realm={quoted}, charset="UTF-8"'
    # It can be sent.
    assert response.serialize()


@pytest.mark.parametrize("realm", ["a\r\nX-Injected: 1", "a\0", "密码"])
def test_realm_that_no_header_can_carry_is_refused(realm):
    with pytest.raises(ValueError, match="quoted string"):
        basic_auth(realm, credentials=("a", "b"))


@pytest.mark.parametrize(
    "kwargs, exception",
    [
        ({"credentials": "hello:iloveyou"}, TypeError),
        ({"credentials": ["hello", "iloveyou"]}, TypeError),
        ({"credentials": ("hello", "iloveyou"), "check_credentials": check_hello}, ValueError),
        ({}, ValueError),
        ({"realm": "\n", "credentials": ("hello", "iloveyou")}, ValueError),
    ],
)
def test_wrong_arguments_are_refused_without_showing_the_password(kwargs, exception):
    with pytest.raises(exception) as info:
        basic_auth(**kwargs)
    assert "iloveyou" not in repr(info.value)


def test_policy_reads_and_challenges_without_io():
    policy = BasicAuth("staging", credentials=("hello", "iloveyou"))
    assert policy.read(Headers()) == "Missing credentials\n"
    headers = Headers(Authorization=encode("hello:iloveyou"))
    assert policy.read(headers) == ("hello", "iloveyou")
    assert policy.check("hello", "iloveyou")
    response = policy.challenge(Connection(), "Who are you?\n")
    assert response.status_code == http.HTTPStatus.UNAUTHORIZED
    assert response.body == b"Who are you?\n"
    assert response.headers["WWW-Authenticate"] == 'Basic realm="staging", charset="UTF-8"'
