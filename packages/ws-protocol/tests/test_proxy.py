import traceback
import urllib.request

import pytest

from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    StatusLineTooLong,
)
from ws_protocol.http11 import USER_AGENT, Response
from ws_protocol.proxy import (
    ConnectTunnel,
    Proxy,
    choose_proxy,
    get_proxy,
    parse_proxy,
    prepare_connect_request,
)
from ws_protocol.uri import parse_uri

PROXY = Proxy("http", "proxy", 8080)
PROXY_WITH_CREDENTIALS = Proxy("http", "proxy", 8080, "user", "pass")


@pytest.mark.parametrize(
    "url, proxy",
    [
        ("http://proxy", Proxy("http", "proxy", 80)),
        ("https://proxy", Proxy("https", "proxy", 443)),
        ("socks5h://proxy", Proxy("socks5h", "proxy", 1080)),
        ("socks5://proxy", Proxy("socks5", "proxy", 1080)),
        ("socks4a://proxy", Proxy("socks4a", "proxy", 1080)),
        ("socks4://proxy", Proxy("socks4", "proxy", 1080)),
        ("http://proxy:8080", Proxy("http", "proxy", 8080)),
        ("http://proxy:8080/", Proxy("http", "proxy", 8080)),
        ("http://proxy/?", Proxy("http", "proxy", 80)),
        ("HTTP://Proxy.Example:", Proxy("http", "proxy.example", 80)),
        ("http://[::1]:8080", Proxy("http", "::1", 8080)),
        ("http://bücher.example", Proxy("http", "xn--bcher-kva.example", 80)),
        ("http://user:pass@proxy", Proxy("http", "proxy", 80, "user", "pass")),
        ("http://us%C3%A9r:p%40ss@proxy", Proxy("http", "proxy", 80, "usér", "p@ss")),
        # SOCKS proxies don't care about colons.
        ("socks5://us%3Aer:@proxy", Proxy("socks5", "proxy", 1080, "us:er", "")),
    ],
)
def test_url_of_a_proxy_is_parsed(url, proxy):
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize(
    "url, text",
    [
        ("", "scheme isn't provided"),
        ("proxy", "scheme isn't provided"),
        ("proxy:8080", "scheme isn't provided"),
        ("//proxy:8080", "scheme isn't provided"),
        ("user:pass@proxy:8080", "scheme isn't provided"),
        ("ftp://proxy", "scheme ftp isn't supported"),
        ("ws://proxy", "scheme ws isn't supported"),
        ("socks://proxy", "scheme socks isn't supported"),
        ("://proxy", "scheme  isn't supported"),
        ("http://", "hostname isn't provided"),
        ("http://:8080", "hostname isn't provided"),
        ("http://user:pass@", "hostname isn't provided"),
        ("http://proxy/path", "path is meaningless"),
        ("http://proxy//", "path is meaningless"),
        ("http://proxy?query", "query is meaningless"),
        ("http://proxy/?query", "query is meaningless"),
        ("http://proxy#fragment", "fragment is meaningless"),
        ("http://proxy/#fragment", "fragment is meaningless"),
        ("http://user@proxy", "username provided without password"),
        ("http://proxy:65536", "port isn't a number up to 65535"),
        ("http://proxy:a", "port isn't a number up to 65535"),
        ("http://[::1", "hostname isn't valid"),
        ("http://pro xy", "hostname has characters that aren't allowed"),
        ("http://a..b", "hostname can't be encoded with IDNA"),
        ("http://proxy\r\n", "control characters aren't allowed"),
        ("http://us%3Aer:pass@proxy", "username can't contain a colon"),
        ("https://us%3Aer:pass@proxy", "username can't contain a colon"),
        ("http://user:%0D@proxy", "control characters aren't allowed in username and password"),
    ],
)
def test_invalid_url_of_a_proxy_is_refused(url, text):
    with pytest.raises(InvalidProxy) as raised:
        parse_proxy(url)
    assert raised.value.args == (url, text)


@pytest.mark.parametrize(
    "url",
    [
        "alice:secret@proxy:8080",
        "ftp://alice:secret@proxy",
        "http://alice:secret@",
        "http://alice:secret@proxy/path",
        "http://alice:secret@proxy:port",
        "http://alice:secret@proxy:65536",
        "http://alice:secret@a..b",
        "http://alice:secret@ex\u2100mple",
        "http://alice:secret@[::1",
        "http://alice:secret@proxy\n",
        "http://alice:%00secret@proxy",
        "http://alice%3A:secret@proxy",
        "http://secret@proxy",
        "http://alice:se/cret@proxy",
        "http://alice:se?cret@proxy",
        "http://alice:se#cret@proxy",
        "http://alice:se[cret@proxy",
    ],
)
def test_credentials_are_never_shown(url):
    with pytest.raises(InvalidProxy) as raised:
        parse_proxy(url)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    for part in ("alice", "secret", "cret"):
        assert part not in shown


def test_repr_does_not_show_the_password():
    assert repr(parse_proxy("http://user:secret@proxy")) == (
        "Proxy(scheme='http', host='proxy', port=80, username='user')"
    )


@pytest.mark.parametrize(
    "username, password, user_info",
    [
        (None, None, None),
        ("user", None, None),
        (None, "pass", None),
        ("user", "pass", ("user", "pass")),
        ("", "", ("", "")),
    ],
)
def test_user_info_has_username_and_password(username, password, user_info):
    assert Proxy("http", "proxy", 80, username, password).user_info == user_info


@pytest.fixture
def environment(monkeypatch):
    """Configure proxies by environment variables, and by nothing else."""
    # Else Windows and macOS look at the settings of the system, too.
    monkeypatch.setattr(urllib.request, "getproxies", urllib.request.getproxies_environment)
    monkeypatch.setattr(urllib.request, "proxy_bypass", urllib.request.proxy_bypass_environment)
    # With it, a header of a request might have set HTTP_PROXY.
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    for name in ("ws", "wss", "socks", "http", "https", "ftp", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)

    def environment(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return environment


ALL = {
    "ws_proxy": "http://ws:80",
    "wss_proxy": "http://wss:80",
    "socks_proxy": "socks5://socks:1080",
    "https_proxy": "http://https:80",
    "http_proxy": "http://http:80",
    "ftp_proxy": "http://ftp:80",
}


@pytest.mark.parametrize(
    "uri, names",
    [
        # RFC 6455, section 4.1, has the order.
        ("ws://example.com/", ["ws_proxy", "socks_proxy", "https_proxy", "http_proxy"]),
        ("wss://example.com/", ["wss_proxy", "socks_proxy", "https_proxy"]),
    ],
)
def test_proxy_is_the_first_in_order(environment, monkeypatch, uri, names):
    environment(**ALL)
    for name in names:
        assert get_proxy(parse_uri(uri)) == ALL[name]
        monkeypatch.delenv(name)
    assert get_proxy(parse_uri(uri)) is None


@pytest.mark.parametrize("uri", ["ws://example.com/", "wss://example.com/"])
def test_there_is_no_proxy_without_a_configuration(environment, uri):
    environment()
    assert get_proxy(parse_uri(uri)) is None


def test_variables_may_be_in_a_mapping_of_another_kind(environment, monkeypatch):
    monkeypatch.setattr("os.environ", {"https_proxy": "http://proxy:8080"})
    assert get_proxy(parse_uri("wss://example.com/")) == "http://proxy:8080"
    monkeypatch.setattr("os.environ", {})
    assert get_proxy(parse_uri("wss://example.com/")) is None


def test_variables_may_change_at_any_time(environment, monkeypatch):
    environment()
    assert get_proxy(parse_uri("wss://example.com/")) is None
    environment(HTTPS_Proxy="http://proxy:8080")
    assert get_proxy(parse_uri("wss://example.com/")) == "http://proxy:8080"
    monkeypatch.delenv("HTTPS_Proxy")
    assert get_proxy(parse_uri("wss://example.com/")) is None


def test_empty_variables_mean_no_proxy(environment):
    environment(wss_proxy="", socks_proxy="", https_proxy="")
    assert get_proxy(parse_uri("wss://example.com/")) is None


def test_variables_may_be_upper_case(environment):
    environment(HTTPS_PROXY="http://proxy:8080")
    assert get_proxy(parse_uri("wss://example.com/")) == "http://proxy:8080"


@pytest.mark.parametrize(
    "variables, uri, proxy",
    [
        # macOS has a host and a port, which it puts behind http:// for all kinds of proxies.
        ({"socks_proxy": "http://localhost:1080"}, "wss://a/", "socks5h://localhost:1080"),
        ({"socks_proxy": "https://localhost:1080"}, "wss://a/", "https://localhost:1080"),
        ({"socks_proxy": "socks5://localhost:1080"}, "wss://a/", "socks5://localhost:1080"),
        ({"socks_proxy": "socks4a://localhost:1080"}, "wss://a/", "socks4a://localhost:1080"),
        ({"https_proxy": "http://localhost:8080"}, "wss://a/", "http://localhost:8080"),
        ({"https_proxy": "socks5h://localhost:1080"}, "wss://a/", "socks5h://localhost:1080"),
        # Without a scheme.
        ({"https_proxy": "localhost:8080"}, "wss://a/", "http://localhost:8080"),
        ({"http_proxy": "user:pass@localhost"}, "ws://a/", "http://user:pass@localhost"),
        ({"socks_proxy": "localhost:1080"}, "ws://a/", "socks5h://localhost:1080"),
    ],
)
def test_proxy_has_the_scheme_that_is_meant(environment, variables, uri, proxy):
    environment(**variables)
    assert get_proxy(parse_uri(uri)) == proxy
    parse_proxy(proxy)


@pytest.mark.parametrize(
    "no_proxy, uri",
    [
        ("*", "wss://example.com/"),
        ("example.com", "wss://example.com/"),
        ("Example.COM", "wss://example.com/"),
        (".example.com", "wss://api.example.com/"),
        ("example.com", "wss://api.example.com/"),
        ("localhost, example.com", "wss://example.com/"),
        ("example.com:443", "wss://example.com/"),
        ("example.com:8765", "wss://example.com:8765/"),
        ("127.0.0.1", "wss://127.0.0.1:8765/"),
        ("::1", "wss://[::1]:8765/"),
    ],
)
def test_no_proxy_is_obeyed(environment, no_proxy, uri):
    environment(wss_proxy="http://proxy", no_proxy=no_proxy)
    assert get_proxy(parse_uri(uri)) is None


@pytest.mark.parametrize(
    "no_proxy, uri",
    [
        ("", "wss://example.com/"),
        ("localhost", "wss://example.com/"),
        ("ample.com", "wss://example.com/"),
        ("api.example.com", "wss://example.com/"),
        ("example.com:80", "wss://example.com/"),
        ("example.com:443", "wss://example.com:8765/"),
    ],
)
def test_no_proxy_holds_for_other_hosts_only(environment, no_proxy, uri):
    environment(wss_proxy="http://proxy", no_proxy=no_proxy)
    assert get_proxy(parse_uri(uri)) == "http://proxy"


WS_URI = parse_uri("ws://example.com/chat")


@pytest.mark.parametrize(
    "uri, target",
    [
        # RFC 9110, section 9.3.6: always with a port.
        ("ws://example.com/chat?a", "example.com:80"),
        ("wss://user:pass@example.com/", "example.com:443"),
        ("wss://example.com:8765/", "example.com:8765"),
        ("ws://[::1]/", "[::1]:80"),
        ("ws://[fe80::1%eth0]/", "[fe80::1]:80"),
        ("ws://bücher.example/", "xn--bcher-kva.example:80"),
    ],
)
def test_connect_request_names_host_and_port(uri, target):
    assert prepare_connect_request(PROXY, parse_uri(uri), None) == (
        f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
    )


@pytest.mark.parametrize("args, user_agent", [((), USER_AGENT), (("spam",), "spam")])
def test_connect_request_names_the_user_agent(args, user_agent):
    assert (
        prepare_connect_request(PROXY, WS_URI, *args)
        == (
            "CONNECT example.com:80 HTTP/1.1\r\n"
            "Host: example.com:80\r\n"
            f"User-Agent: {user_agent}\r\n"
            "\r\n"
        ).encode()
    )


def test_connect_request_has_the_credentials_for_the_proxy():
    assert prepare_connect_request(PROXY_WITH_CREDENTIALS, WS_URI, None) == (
        b"CONNECT example.com:80 HTTP/1.1\r\n"
        b"Host: example.com:80\r\n"
        b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"
        b"\r\n"
    )


def test_tunnel_begins_with_the_request():
    tunnel = ConnectTunnel(PROXY_WITH_CREDENTIALS, WS_URI, "spam")
    assert tunnel.request == prepare_connect_request(PROXY_WITH_CREDENTIALS, WS_URI, "spam")


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\nProxy-Agent: spam\r\n\r\n",
        b"HTTP/1.1 299\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1000, 1])
def test_tunnel_is_there_when_the_proxy_agrees(response, size):
    tunnel = ConnectTunnel(PROXY, WS_URI)
    *chunks, last = [response[i : i + size] for i in range(0, len(response), size)]
    for chunk in chunks:
        assert tunnel.receive_data(chunk) is False
    assert tunnel.receive_data(last) is True


@pytest.mark.parametrize("status_code", [101, 300, 301, 400, 403, 407, 502])
@pytest.mark.parametrize("size", [1000, 1])
def test_tunnel_is_refused_with_the_response_of_the_proxy(status_code, size):
    body = b"" if status_code == 101 else b"Hello"
    response = b"HTTP/1.1 %d Spam\r\nContent-Length: 5\r\n\r\n" % status_code + body
    tunnel = ConnectTunnel(PROXY, WS_URI)
    with pytest.raises(InvalidProxyStatus) as raised:
        for i in range(0, len(response), size):
            assert tunnel.receive_data(response[i : i + size]) is False
    assert str(raised.value) == f"proxy rejected connection: HTTP {status_code}"
    assert raised.value.response == Response(
        status_code, "Spam", Headers({"Content-Length": "5"}), body
    )


def test_tunnel_is_refused_with_a_response_that_ends_with_the_connection():
    tunnel = ConnectTunnel(PROXY, WS_URI)
    assert tunnel.receive_data(b"HTTP/1.0 407 Spam\r\n\r\nHello") is False
    with pytest.raises(InvalidProxyStatus) as raised:
        tunnel.receive_eof()
    assert raised.value.response == Response(407, "Spam", Headers(), b"Hello")


@pytest.mark.parametrize(
    "response, exception, text",
    [
        (b"SSH-2.0-OpenSSH\r\n", ValueError, "invalid HTTP status line: 'SSH-2.0-OpenSSH'"),
        (b"HTTP/2.0 200 OK\r\n", ValueError, "unsupported HTTP version: 'HTTP/2.0 200 OK'"),
        (
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            ValueError,
            "invalid HTTP header line: 'A : b'",
        ),
        (b"a" * 10_000, StatusLineTooLong, "expected no more than 8192 bytes in a line"),
        # Whoever talks first here isn't the server.
        (b"HTTP/1.1 200 OK\r\n\r\n\x81\x00", ValueError, "received data after the response"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP", ValueError, "received data after the response"),
    ],
)
def test_tunnel_is_not_there_after_an_invalid_response(response, exception, text):
    tunnel = ConnectTunnel(PROXY, WS_URI)
    with pytest.raises(InvalidProxyMessage) as raised:
        tunnel.receive_data(response)
    assert str(raised.value) == "did not receive a valid HTTP response from proxy"
    assert type(raised.value.__cause__) is exception
    assert str(raised.value.__cause__) == text


@pytest.mark.parametrize(
    "response, text",
    [
        (b"", "connection closed while reading HTTP status line"),
        (b"HTTP/1.1 200 OK\r\n", "connection closed while reading HTTP headers"),
        (
            b"HTTP/1.1 407 Spam\r\nContent-Length: 5\r\n\r\nHell",
            "connection closed while reading HTTP body",
        ),
    ],
)
def test_tunnel_is_not_there_when_the_proxy_hangs_up(response, text):
    tunnel = ConnectTunnel(PROXY, WS_URI)
    assert tunnel.receive_data(response) is False
    with pytest.raises(InvalidProxyMessage) as raised:
        tunnel.receive_eof()
    assert str(raised.value) == "did not receive a valid HTTP response from proxy"
    assert isinstance(raised.value.__cause__, EOFError)
    assert str(raised.value.__cause__) == text


@pytest.mark.parametrize(
    "scheme, is_socks, resolves_names",
    [
        ("http", False, True),
        ("https", False, True),
        ("socks5h", True, True),
        ("socks5", True, False),
        ("socks4a", True, True),
        ("socks4", True, False),
    ],
)
def test_scheme_says_what_the_proxy_does(scheme, is_socks, resolves_names):
    proxy = Proxy(scheme, "proxy", 8080)
    assert (proxy.is_socks, proxy.resolves_names) == (is_socks, resolves_names)


@pytest.mark.parametrize("proxy", [None, False, ""])
def test_no_proxy_is_chosen(monkeypatch, proxy):
    monkeypatch.setenv("ws_proxy", "http://proxy:8080")
    assert choose_proxy(WS_URI, proxy, {}) is None


def test_proxy_of_the_environment_is_chosen(monkeypatch):
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"ws": "http://proxy:8080"})
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda host: False)
    assert choose_proxy(WS_URI, True, {}) == PROXY
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    assert choose_proxy(WS_URI, True, {}) is None


@pytest.mark.parametrize(
    "url, arguments",
    [
        ("http://proxy", {"ssl": None, "server_hostname": "a"}),
        ("https://proxy", {"ssl": object(), "server_hostname": "a"}),
        ("socks5://proxy", {}),
    ],
)
def test_proxy_that_is_given_is_chosen(url, arguments):
    assert choose_proxy(WS_URI, url, arguments) == parse_proxy(url)


@pytest.mark.parametrize(
    "url, arguments, text",
    [
        (
            "http://proxy",
            {"ssl": object()},
            "proxy_ssl argument is incompatible with an http:// proxy",
        ),
        (
            "socks5://proxy",
            {"ssl": None, "server_hostname": "a"},
            "proxy_ssl, proxy_server_hostname can't be used with a SOCKS proxy",
        ),
    ],
)
def test_arguments_must_go_with_the_proxy(url, arguments, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        choose_proxy(WS_URI, url, arguments)
