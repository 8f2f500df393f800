import pytest

from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    InvalidMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    SecurityError,
)
from ws_protocol.http11 import Response
from ws_protocol.limits import MAX_REDIRECTS
from ws_protocol.redirects import Destination, Redirect, follow_redirect
from ws_protocol.uri import parse_uri


def refusal(*locations, status_code=302, exception=InvalidStatus):
    headers = Headers([("Location", location) for location in locations])
    return exception(Response(status_code, "", headers))


def follow(uri, *locations):
    return follow_redirect(uri, parse_uri(uri), refusal(*locations))


@pytest.mark.parametrize("status_code", [300, 301, 302, 303, 307, 308])
def test_redirects_are_followed(status_code):
    uri = "ws://a/"
    redirect = follow_redirect(uri, parse_uri(uri), refusal("/b", status_code=status_code))
    assert redirect == Redirect("ws://a/b", parse_uri("ws://a/b"), True)


@pytest.mark.parametrize(
    "exc",
    [
        *(
            refusal("/b", status_code=status_code)
            for status_code in (101, 200, 201, 304, 305, 306, 400, 404, 426, 503)
        ),
        refusal(),
        refusal("/b", exception=InvalidProxyStatus),
        InvalidMessage("not HTTP"),
        OSError(),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_other_failures_are_no_redirects(exc):
    assert follow_redirect("ws://a/", parse_uri("ws://a/"), exc) is None


@pytest.mark.parametrize("name", ["Location", "location", "LOCATION"])
def test_name_of_the_header_is_case_insensitive(name):
    exc = InvalidStatus(Response(301, "", Headers({name: "/b"})))
    assert follow_redirect("ws://a/", parse_uri("ws://a/"), exc).uri == "ws://a/b"


@pytest.mark.parametrize(
    "uri, location, target",
    [
        # Relative references, RFC 3986, section 4.2.
        ("ws://a/b/c?d", "/e", "ws://a/e"),
        ("ws://a/b/c?d", "e", "ws://a/b/e"),
        ("ws://a/b/c?d", "../e", "ws://a/e"),
        ("ws://a/b/c?d", "./", "ws://a/b/"),
        ("ws://a/b/c?d", "?e", "ws://a/b/c?e"),
        ("ws://a/b/c?d", "/e?f=http://g", "ws://a/e?f=http://g"),
        ("ws://a/b/c?d", "", "ws://a/b/c?d"),
        ("ws://a:81/b", "/e", "ws://a:81/e"),
        ("ws://a", "/e", "ws://a/e"),
        ("ws://a", "e", "ws://a/e"),
        ("ws://a/b", "//c/d", "ws://c/d"),
        ("wss://a/b", "//c/d", "wss://c/d"),
        ("wss://[::1]:81/b", "/c", "wss://[::1]:81/c"),
        # Absolute ones.
        ("ws://a/b", "ws://c/d", "ws://c/d"),
        ("ws://a/b", "wss://c/d", "wss://c/d"),
        ("wss://a/b", "wss://c:81", "wss://c:81"),
        # Servers see an HTTP request.
        ("ws://a/b", "http://c/d", "ws://c/d"),
        ("ws://a/b", "https://c/d", "wss://c/d"),
        ("wss://a/b", "https://c/d?e", "wss://c/d?e"),
        ("ws://a/b", "HTTP://c/d", "ws://c/d"),
        ("ws://a/b", "HttpS://c/d", "wss://c/d"),
        ("ws://a/b", "http://c:443/d", "ws://c:443/d"),
        # RFC 6455, section 3: fragments are meaningless, and the redirect isn't.
        ("ws://a/b", "/c#d", "ws://a/c"),
        ("ws://a/b", "/c#", "ws://a/c"),
        ("ws://a/b", "#d", "ws://a/b"),
        ("ws://a/b", "https://c/#d#e", "wss://c/"),
        # What has a colon needn't have a scheme.
        ("ws://a/b", "/c:d", "ws://a/c:d"),
        ("ws://a/b", "?http:", "ws://a/b?http:"),
        ("ws://a/b", "http", "ws://a/http"),
        # What isn't ASCII should be percent-encoded. If it isn't, it is UTF-8, as a rule.
        ("ws://a/b", "/caf%C3%A9", "ws://a/caf%C3%A9"),
        ("ws://a/b", "/caf\xc3\xa9?\xc3\xa9", "ws://a/café?é"),
        ("ws://a/b", "http://b\xc3\xbccher.example/", "ws://bücher.example/"),
        ("ws://a/b", "/caf\xe9", "ws://a/café"),
    ],
)
def test_location_is_resolved(uri, location, target):
    redirect = follow(uri, location)
    assert redirect.uri == target
    assert redirect.ws_uri == parse_uri(target)


@pytest.mark.parametrize(
    "location",
    [
        "ftp://c/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:,a",
        "c:80",
        "http://:80/",
        "http://c:65536/",
        "http://c:a/",
        "http://[::1",
        "http://[c]/",
        "//[",
        "//c:a",
        "//a..b/",
        "//c d/",
        "http://c\t/",
        "/c\td",
        "//ex\xbdmple\x80/",
        "http://user@c/",
        "http://us%3Aer:pass@c/",
        "http://user:pa%0Ass@c/",
    ],
)
@pytest.mark.parametrize("uri", ["ws://a/b", "wss://a/b"])
def test_location_that_leads_nowhere_is_refused(uri, location):
    # A server that goes wrong must not cause an exception that nobody knows of.
    with pytest.raises((InvalidURI, SecurityError)) as raised:
        follow(uri, location)
    if uri.startswith("ws:"):
        assert isinstance(raised.value, InvalidURI)


@pytest.mark.parametrize(
    "location", ["http://user:secret@[c", "http://user:secret@c:a/", "ftp://user:secret@c/"]
)
def test_credentials_in_the_location_are_not_shown(location):
    with pytest.raises(InvalidURI) as raised:
        follow("ws://a/b", location)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "location",
    ["ws://a/b", "http://a/b", "HTTP://a:443/", "ws://c:81/", "http://user:secret@c:81/"],
)
def test_redirect_from_tls_to_no_tls_is_refused(location):
    with pytest.raises(SecurityError, match=r"^redirect from WSS to WS, at [ac]:\d+$"):
        follow("wss://a/b", location)


@pytest.mark.parametrize(
    "locations, target", [(("/b", "ws://evil/"), "ws://a/b"), (("ws://b/", "/c"), "ws://b/")]
)
def test_first_of_several_locations_counts(locations, target):
    assert follow("ws://a/", *locations).uri == target


SAME_ORIGIN = [
    ("ws://a/", "/b"),
    ("ws://a/", "ws://a/"),
    ("ws://a/", "WS://A/"),
    ("ws://a/", "http://a/"),
    ("ws://a/", "http://a:80/"),
    ("ws://a:80/", "ws://a"),
    ("wss://a/", "https://a:443/"),
    ("wss://a:81/", "//a:81/"),
    ("ws://[::1]/", "http://[::1]:80/"),
    ("ws://bücher.example/", "http://xn--bcher-kva.example/"),
]

OTHER_ORIGIN = [
    ("ws://a/", "ws://b/"),
    ("ws://a/", "//b/"),
    ("ws://a/", "ws://a:81/"),
    ("ws://a:81/", "ws://a/"),
    ("ws://a/", "wss://a/"),
    ("ws://a:443/", "wss://a:443/"),
    ("ws://a/", "ws://sub.a/"),
    ("ws://sub.a/", "ws://a/"),
    ("ws://a/", "ws://a./"),
    ("ws://a/", "ws://a:pass@b/"),
    ("ws://127.0.0.1/", "ws://localhost/"),
]


@pytest.mark.parametrize(
    "uri, location, same_origin",
    [(*pair, True) for pair in SAME_ORIGIN] + [(*pair, False) for pair in OTHER_ORIGIN],
)
def test_origin_is_scheme_host_and_port(uri, location, same_origin):
    assert follow(uri, location).same_origin is same_origin


@pytest.mark.parametrize("uri, location", SAME_ORIGIN)
def test_user_info_is_kept_in_the_same_origin(uri, location):
    redirect = follow(uri.replace("://", "://user:pass@"), location)
    assert redirect.same_origin
    assert redirect.ws_uri.user_info == ("user", "pass")


@pytest.mark.parametrize("uri, location", OTHER_ORIGIN)
def test_user_info_is_dropped_in_another_origin(uri, location):
    redirect = follow(uri.replace("://", "://user:secret@"), location)
    assert not redirect.same_origin
    assert redirect.ws_uri.user_info in (None, ("a", "pass"))
    assert "secret" not in redirect.uri


@pytest.mark.parametrize("location", ["http://new:word@a/", "http://new:word@b/"])
def test_user_info_in_the_location_is_used(location):
    assert follow("ws://user:pass@a/", location).ws_uri.user_info == ("new", "word")


def test_user_info_without_any_is_none():
    assert follow("ws://a/", "/b").ws_uri.user_info is None


HEADERS = [
    ("Authorization", "Bearer secret"),
    ("X-Custom", "spam"),
    ("cookie", "a=secret"),
    ("COOKIE", "b=secret"),
    ("Proxy-authorization", "Basic secret"),
    ("host", "a.example"),
    ("x-custom", "eggs"),
]


@pytest.mark.parametrize("make", [Headers, list, iter])
def test_credentials_do_not_cross_origins(make):
    allowed = follow("ws://a/", "ws://b/").allowed_headers(make(HEADERS))
    assert list(allowed.raw_items()) == [("X-Custom", "spam"), ("x-custom", "eggs")]


@pytest.mark.parametrize("make", [Headers, list, iter])
def test_all_headers_are_sent_in_the_same_origin(make):
    allowed = follow("ws://a/", "/b").allowed_headers(make(HEADERS))
    assert list(allowed.raw_items()) == HEADERS


@pytest.mark.parametrize(
    "name", ["authorization", "AUTHORIZATION", "Cookie", "cOOKIE", "PROXY-AUTHORIZATION"]
)
def test_names_of_credentials_are_case_insensitive(name):
    redirect = follow("ws://a/", "ws://b/")
    assert redirect.allowed_headers({name: "secret", "Date": "today"}) == Headers(Date="today")


@pytest.mark.parametrize("name", ["Host", "host", "HOST"])
@pytest.mark.parametrize(
    "uri, location, sent",
    [
        ("ws://a/", "/b", True),
        ("ws://a/", "ws://a:80/", True),
        ("ws://a/", "ws://b/", False),
        ("ws://a/", "ws://a:81/", False),
        ("ws://a/", "wss://a/", False),
    ],
)
def test_host_is_only_sent_to_the_origin_that_it_was_meant_for(name, uri, location, sent):
    allowed = follow(uri, location).allowed_headers({name: "virtual", "Date": "today"})
    assert allowed.get_all("Host") == (["virtual"] if sent else [])
    assert allowed["Date"] == "today"


@pytest.mark.parametrize("location", ["/b", "ws://b/"])
def test_no_headers_are_allowed_when_there_are_none(location):
    redirect = follow("ws://a/", location)
    assert redirect.allowed_headers(None) == Headers()
    assert redirect.allowed_headers([]) == Headers()


def test_headers_of_the_user_are_left_alone():
    headers = Headers(HEADERS)
    follow("ws://a/", "ws://b/").allowed_headers(headers)
    assert list(headers.raw_items()) == HEADERS


ARGUMENTS = {
    "address": ("h", 1),
    "host": "h",
    "port": 1,
    "server_hostname": "n",
    "local_addr": ("a", 2),
}


def test_arguments_hold_in_the_same_origin():
    redirect = follow("ws://a/", "/b")
    assert redirect.allowed_arguments(ARGUMENTS) == ARGUMENTS
    assert redirect.allowed_arguments({"unix": True}) == {"unix": True}


def test_arguments_that_override_the_uri_do_not_cross_origins():
    redirect = follow("ws://a/", "ws://b/")
    assert redirect.allowed_arguments(ARGUMENTS) == {"local_addr": ("a", 2)}
    with pytest.raises(ValueError, match=r"cannot follow cross-origin redirect .* Unix socket"):
        redirect.allowed_arguments({"unix": True})


@pytest.mark.parametrize("location", ["/b", "ws://b/"])
def test_socket_that_is_there_already_leads_nowhere_else(location):
    with pytest.raises(ValueError, match=r"cannot follow redirect to .* with a preexisting socket"):
        follow("ws://a/", location).allowed_arguments({"sock": None})


@pytest.mark.parametrize(
    "location, arguments",
    [
        # A relative redirect keeps the user information.
        ("/b\x9b", {"sock": None}),
        ("ws://user:secret@a/b\x9b", {"sock": None}),
        ("ws://user:secret@b/b\x9b", {"unix": True}),
    ],
)
def test_redirect_that_cannot_be_followed_is_shown_without_credentials(location, arguments):
    with pytest.raises(ValueError, match=r"cannot follow .*redirect to ws://\*\*\*@.*x9b with a"):
        follow("ws://user:secret@a/", location).allowed_arguments(arguments)


def test_destination_changes_with_redirects():
    destination = Destination("ws://a/", [("Cookie", "c"), ("X-Spam", "s")], ARGUMENTS)
    assert (destination.uri, destination.ws_uri) == ("ws://a/", parse_uri("ws://a/"))
    assert destination.follow(refusal("/b")) is True
    assert (destination.uri, destination.ws_uri) == ("ws://a/b", parse_uri("ws://a/b"))
    assert destination.headers["Cookie"] == "c"
    assert destination.arguments == ARGUMENTS
    assert destination.follow(refusal("ws://b/")) is True
    assert (destination.uri, destination.ws_uri) == ("ws://b/", parse_uri("ws://b/"))
    assert list(destination.headers.raw_items()) == [("X-Spam", "s")]
    assert destination.arguments == {"local_addr": ("a", 2)}


def test_destination_stays_after_other_failures():
    destination = Destination("ws://a/", None, {})
    assert destination.follow(OSError()) is False
    assert (destination.uri, destination.headers, destination.arguments) == ("ws://a/", None, {})


def test_destination_does_not_change_without_end():
    destination = Destination("ws://a/", None, {})
    for _ in range(MAX_REDIRECTS):
        assert destination.follow(refusal("/")) is True
    with pytest.raises(SecurityError, match=f"more than {MAX_REDIRECTS} redirects"):
        destination.follow(refusal("/"))


def test_destination_must_be_a_websocket_uri():
    with pytest.raises(InvalidURI):
        Destination("http://a/", None, {})
