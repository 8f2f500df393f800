"""How connections open: what both sides agree on, and when they don't.

Pairs of packages: the handshake as both see it, subprotocols, compression, headers, origins,
responses instead of the handshake, redirects, authentication, routing, TLS, Unix sockets.
Each package: selecting the subprotocol, changing the response, headers that name the software, a
proxy, requests and responses that never come or aren't valid.
"""

from __future__ import annotations

import contextlib
import http
import re

import pytest
import werkzeug.routing

from websockets.exceptions import NegotiationError

from .driver import TIMEOUT
from .raw import connect_raw

feature = pytest.mark.feature


def test_both_see_the_same_handshake(pair):
    client, server = pair
    assert client.path == server.path == "/"
    assert client.request_headers == server.request_headers
    assert client.response_headers == server.response_headers
    client, server = client.connection, server.connection
    assert client.id != server.id
    assert client.remote_address == server.local_address
    assert client.local_address == server.remote_address


def test_path_reaches_the_server(
    client_driver, server_driver, start_server, start_client, accepted
):
    service = start_server(server_driver)
    start_client(client_driver, service.uri("/caf%C3%A9?au=lait"))
    assert accepted.get(timeout=TIMEOUT).path == "/caf%C3%A9?au=lait"


@feature("subprotocols")
@pytest.mark.parametrize(
    "offered, accepted_ones, chosen",
    [
        (["superchat", "chat"], ["chat", "talk"], "chat"),
        (["chat"], None, None),
        (None, None, None),
    ],
)
def test_subprotocol_is_negotiated(make_pair, offered, accepted_ones, chosen):
    client, server = make_pair({"subprotocols": offered}, {"subprotocols": accepted_ones})
    assert client.connection.subprotocol == server.connection.subprotocol == chosen


@feature("a function that selects the subprotocol")
@pytest.mark.parametrize("offered, chosen", [(["one", "two"], "two"), (["one"], None)])
def test_function_selects_the_subprotocol(make_pair, offered, chosen):
    def select_subprotocol(connection, subprotocols):
        assert connection.request.path == "/"
        return chosen

    client, server = make_pair(
        {"subprotocols": offered}, {"select_subprotocol": select_subprotocol}
    )
    assert client.connection.subprotocol == server.connection.subprotocol == chosen


@feature("a function that selects the subprotocol")
def test_function_that_selects_the_subprotocol_may_refuse(driver, start_server):
    def select_subprotocol(connection, subprotocols):
        raise NegotiationError("not one of these")

    service = start_server(driver, select_subprotocol=select_subprotocol)
    status, _ = driver.refused(service.uri(), subprotocols=["chat"])
    assert status == http.HTTPStatus.BAD_REQUEST


@feature("refusing clients without an acceptable subprotocol")
@pytest.mark.parametrize("offered", [["talk"], None])
def test_client_without_an_acceptable_subprotocol_is_refused(
    client_driver, server_driver, start_server, offered
):
    service = start_server(server_driver, subprotocols=["chat"])
    status, _ = client_driver.refused(service.uri(), subprotocols=offered)
    assert status == http.HTTPStatus.BAD_REQUEST


@feature("compression")
@pytest.mark.parametrize("of_client", ["deflate", None])
@pytest.mark.parametrize("of_server", ["deflate", None])
def test_messages_are_compressed_when_both_sides_want_that(make_pair, of_client, of_server):
    client, server = make_pair({"compression": of_client}, {"compression": of_server})
    extensions = client.response_headers.get("Sec-WebSocket-Extensions", "")
    assert extensions.startswith("permessage-deflate") is bool(of_client and of_server)
    message = "again and again and again " * 99
    for sender, receiver in [(client, server), (server, client)]:
        sender.send(message)
        assert receiver.recv() == message


@feature("additional headers")
def test_headers_are_added_to_request_and_response(make_pair):
    client, server = make_pair(
        {"additional_headers": {"X-Client": "Zoe", "X-Many": "1"}},
        {"response_headers": {"X-Server": "Max"}},
    )
    assert server.request_headers["X-Client"] == "Zoe"
    assert server.request_headers["X-Many"] == "1"
    assert client.response_headers["X-Server"] == "Max"


@feature("additional headers")
@pytest.mark.parametrize("value", ["Test/1.0", None])
def test_headers_that_name_the_software_can_be_chosen(make_pair, value):
    client, server = make_pair({"user_agent_header": value}, {"server_header": value})
    assert server.request_headers.get("User-Agent") == value
    assert client.response_headers.get("Server") == value


@feature("checking the origin")
def test_acceptable_origin_is_accepted(make_pair):
    origin = "https://example.com"
    _, server = make_pair({"origin": origin}, {"origins": [origin]})
    assert server.request_headers["Origin"] == origin


@feature("checking the origin")
@pytest.mark.parametrize("origin", ["https://example.org", None])
def test_other_origin_is_refused(client_driver, server_driver, start_server, origin):
    service = start_server(server_driver, origins=["https://example.com"])
    status, _ = client_driver.refused(service.uri(), origin=origin)
    assert status == http.HTTPStatus.FORBIDDEN


@feature("accepting pages of the server itself")
def test_pages_of_the_server_itself_are_accepted(
    client_driver, server_driver, start_server, start_client
):
    service = start_server(server_driver, origins="same-origin")
    uri = service.uri()
    start_client(client_driver, uri, origin=uri.replace("ws:", "http:").rstrip("/"))
    status, _ = client_driver.refused(uri, origin="https://example.com")
    assert status == http.HTTPStatus.FORBIDDEN


@feature("checking the name that clients use for the server")
def test_other_names_of_the_server_are_refused(
    client_driver, server_driver, start_server, start_client
):
    service = start_server(server_driver, allowed_hosts=["127.0.0.1"])
    start_client(client_driver, service.uri())
    headers = {"Host": "rebound.example.com"}
    status, _ = client_driver.refused(service.uri(), additional_headers=headers)
    assert status == http.HTTPStatus.BAD_REQUEST


@feature("limiting connections")
def test_connections_over_the_limit_are_refused(
    client_driver, server_driver, start_server, start_client
):
    service = start_server(server_driver, max_connections=1)
    start_client(client_driver, service.uri())
    status, headers = client_driver.refused(service.uri())
    assert status == http.HTTPStatus.SERVICE_UNAVAILABLE
    assert headers["Retry-After"] == "5"


@feature("limiting connections")
def test_handshakes_over_the_limit_are_refused(client_driver, server_driver, start_server):
    service = start_server(server_driver, max_handshakes=1)
    with contextlib.closing(connect_raw(service, handshake=False).sock):
        status, headers = client_driver.refused(service.uri())
    assert status == http.HTTPStatus.SERVICE_UNAVAILABLE
    assert headers["Retry-After"] == "5"


@feature("answering requests instead of opening a connection")
def test_server_answers_instead_of_opening(client_driver, server_driver, start_server):
    response = http.HTTPStatus.IM_A_TEAPOT, [("X-Server", "Max")], "short and stout\n"
    service = start_server(server_driver, responses={"/": response})
    status, headers = client_driver.refused(service.uri())
    assert status == http.HTTPStatus.IM_A_TEAPOT
    assert headers["X-Server"] == "Max"
    assert headers["Content-Length"] == "16"


@feature("changing the response that opens a connection")
def test_response_that_opens_can_be_replaced(client_driver, server_driver, start_server):
    def process_response(connection, request, response):
        assert response.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS
        return connection.respond(http.HTTPStatus.CONFLICT, "no, rather not\n")

    service = start_server(server_driver, process_response=process_response)
    status, _ = client_driver.refused(service.uri())
    assert status == http.HTTPStatus.CONFLICT


@feature("answering requests instead of opening a connection")
@feature("changing the response that opens a connection")
@pytest.mark.parametrize("argument", ["process_request", "process_response"])
def test_failing_function_is_an_internal_error(driver, start_server, expected_errors, argument):
    def fail(*args):
        raise ValueError("this function is broken")

    service = start_server(driver, **{argument: fail})
    status, _ = driver.refused(service.uri())
    assert status == http.HTTPStatus.INTERNAL_SERVER_ERROR
    expected_errors.append("opening handshake failed")


@feature("redirects")
def test_redirects_are_followed(client_driver, server_driver, start_server, start_client, accepted):
    responses = {
        "/old": (http.HTTPStatus.FOUND, [("Location", "/newer")], ""),
        "/newer": (http.HTTPStatus.PERMANENT_REDIRECT, [("Location", "/new")], ""),
    }
    service = start_server(server_driver, responses=responses)
    start_client(client_driver, service.uri("/old"))
    assert accepted.get(timeout=TIMEOUT).path == "/new"


@feature("redirects")
def test_credentials_are_not_sent_to_another_origin(
    client_driver, server_driver, start_server, start_client, accepted
):
    service = start_server(server_driver)
    response = http.HTTPStatus.FOUND, [("Location", service.uri("/new"))], ""
    redirecting = start_server(server_driver, responses={"/": response})
    start_client(client_driver, redirecting.uri(userinfo="walter:sesame@"))
    assert "Authorization" not in accepted.get(timeout=TIMEOUT).request_headers


@feature("HTTP Basic Authentication")
def test_user_is_authenticated(client_driver, server_driver, start_server, start_client, accepted):
    service = start_server(server_driver, credentials=("walter", "sesame"))
    start_client(client_driver, service.uri(userinfo="walter:sesame@"))
    assert accepted.get(timeout=TIMEOUT).connection.username == "walter"


@feature("HTTP Basic Authentication")
@pytest.mark.parametrize("userinfo", ["walter:wrong@", "jesse:sesame@", ""])
def test_user_without_the_right_credentials_is_refused(
    client_driver, server_driver, start_server, userinfo
):
    service = start_server(server_driver, credentials=("walter", "sesame"))
    status, headers = client_driver.refused(service.uri(userinfo=userinfo))
    assert status == http.HTTPStatus.UNAUTHORIZED
    assert headers["WWW-Authenticate"] == 'Basic realm="tests", charset="UTF-8"'


@feature("routing")
def test_router_finds_the_handler(client_driver, server_driver, start_server, start_client, park):
    def channel(end, number):
        end.send(f"channel {number}")
        park(end)

    def adapt_with_arguments(function):
        """Return a connection handler that has arguments."""
        adapted = server_driver.adapt

        def handler(connection, **kwargs):
            return adapted(lambda end: function(end, **kwargs))(connection)

        return handler

    url_map = werkzeug.routing.Map(
        [werkzeug.routing.Rule("/channel/<int:number>", endpoint=adapt_with_arguments(channel))]
    )
    service = start_server(server_driver, url_map=url_map)
    client = start_client(client_driver, service.uri("/channel/7"))
    assert client.recv() == "channel 7"
    status, _ = client_driver.refused(service.uri("/nothing"))
    assert status == http.HTTPStatus.NOT_FOUND


# On the way


def check_conversation(client, server):
    """Check that large messages get through, and closing does."""
    message = bytes(range(256)) * 2**10
    client.send(message)
    assert server.recv() == message
    server.send(message)
    assert client.recv() == message
    client.close(4000, "bye")
    assert server.ended().rcvd.code == 4000


@feature("TLS")
def test_connection_has_tls(
    client_driver, server_driver, start_server, start_client, accepted, tls
):
    service = start_server(server_driver, ssl=tls[1])
    client = start_client(client_driver, service.uri(), ssl=tls[0])
    check_conversation(client, accepted.get(timeout=TIMEOUT))


@feature("TLS")
def test_certificate_is_verified(client_driver, server_driver, start_server, tls):
    service = start_server(server_driver, ssl=tls[1])
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        client_driver.connect(service.uri())


@feature("Unix sockets")
def test_connection_uses_a_unix_socket(
    client_driver, server_driver, start_server, start_client, accepted, socket_path
):
    start_server(server_driver, path=socket_path)
    client = start_client(client_driver, path=socket_path)
    check_conversation(client, accepted.get(timeout=TIMEOUT))


@feature("proxies")
@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "tls"])
def test_connection_goes_through_a_proxy(
    driver, start_server, start_client, accepted, proxy, tls, has_tls
):
    service = start_server(driver, **{"ssl": tls[1]} if has_tls else {})
    options = {"ssl": tls[0]} if has_tls else {}
    client = start_client(driver, service.uri(), proxy=proxy.url, **options)
    check_conversation(client, accepted.get(timeout=TIMEOUT))
    assert proxy.requests == [f"CONNECT 127.0.0.1:{service.address[1]} HTTP/1.1"]


@feature("proxies")
def test_proxy_comes_from_the_environment(
    driver, start_server, start_client, accepted, proxy, monkeypatch
):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    service = start_server(driver)
    client = start_client(driver, service.uri())
    check_conversation(client, accepted.get(timeout=TIMEOUT))
    assert len(proxy.requests) == 1


# Peers that don't do their part


def test_server_that_never_answers_times_out(driver, raw_server, stack):
    connecting = driver.start_connecting(raw_server.uri, open_timeout=0.05)
    peer = raw_server.accept(handshake=False)
    stack.callback(peer.sock.close)
    with pytest.raises(TimeoutError):
        connecting.result(TIMEOUT)
    peer.receive_end()


def test_client_that_never_asks_times_out(driver, start_server, stack):
    peer = connect_raw(start_server(driver, open_timeout=0.05), handshake=False)
    stack.callback(peer.sock.close)
    peer.receive_end()


def test_server_that_answers_something_else_is_refused(driver, raw_server, stack):
    connecting = driver.start_connecting(raw_server.uri)
    peer = raw_server.accept(handshake=False)
    stack.callback(peer.sock.close)
    assert peer.receive().path == "/"
    peer.sock.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    with pytest.raises(Exception, match="HTTP"):
        connecting.result(TIMEOUT)
    peer.receive_end()


@pytest.mark.parametrize("end", ["end", "reset"])
def test_server_that_leaves_during_the_handshake_is_noticed(driver, raw_server, stack, end):
    connecting = driver.start_connecting(raw_server.uri)
    peer = raw_server.accept(handshake=False)
    stack.callback(peer.sock.close)
    assert peer.receive().path == "/"
    getattr(peer, end)()
    exc = connecting.exception(TIMEOUT)
    assert type(exc).__name__ in {"InvalidMessage", "InvalidHandshake", "ConnectionResetError"}


def test_client_that_asks_for_something_else_is_refused(driver, start_server, stack):
    peer = connect_raw(start_server(driver), handshake=False)
    stack.callback(peer.sock.close)
    peer.sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    response = peer.receive_end()
    assert re.match(rb"HTTP/1\.1 426 ", response)


@pytest.mark.parametrize("end", ["end", "reset"])
def test_client_that_leaves_during_the_handshake_hurts_nobody(
    driver, start_server, start_client, accepted, end
):
    service = start_server(driver)
    peer = connect_raw(service, handshake=False)
    peer.sock.sendall(b"GET / HTTP/1.1\r\n")
    getattr(peer, end)()
    client = start_client(driver, service.uri())
    check_conversation(client, accepted.get(timeout=TIMEOUT))
    peer.sock.close()


def test_slow_client_does_not_stop_others(driver, start_server, start_client, accepted, stack):
    service = start_server(driver)
    peer = connect_raw(service, handshake=False)
    stack.callback(peer.sock.close)
    client = start_client(driver, service.uri())
    check_conversation(client, accepted.get(timeout=TIMEOUT))


# Connecting again


@feature("connecting again")
def test_client_connects_again_whenever_the_connection_was_closed(
    client_driver, server_driver, start_server
):
    numbers = iter(range(3))
    received = []

    def handler(end):
        end.send(str(next(numbers)))

    def body(end):
        received.extend(end.messages())
        return len(received) == 3

    service = start_server(server_driver, handler)
    client_driver.iterate(service.uri(), {}, body).result(TIMEOUT)
    assert received == ["0", "1", "2"]


@feature("connecting again")
def test_client_that_stops_connecting_again_closes_the_connection(
    client_driver, server_driver, start_server, accepted
):
    service = start_server(server_driver)
    client_driver.iterate(service.uri(), {}, lambda end: True).result(TIMEOUT)
    assert accepted.get(timeout=TIMEOUT).ended().rcvd.code == 1000


@feature("choosing when to connect again")
def test_client_tries_again_until_it_is_let_in(driver, start_server):
    refusals = iter([503, 503])

    def process_request(connection, request):
        status = next(refusals, None)
        return None if status is None else connection.respond(status, "")

    service = start_server(driver, process_request=process_request)
    options = {"reconnect_delays": lambda: iter([0, 0])}
    driver.iterate(service.uri(), options, lambda end: True).result(TIMEOUT)
    assert next(refusals, None) is None


@feature("choosing when to connect again")
def test_client_gives_up_when_there_is_no_other_delay(driver, raw_server):
    raw_server.listener.close()
    options = {"reconnect_delays": lambda: iter([0, 0])}
    with pytest.raises(OSError, match=r"refused|failed|could not connect"):
        driver.iterate(raw_server.uri, options, lambda end: True).result(TIMEOUT)


@feature("choosing when to connect again")
def test_function_decides_whether_to_try_again(driver, raw_server):
    raw_server.listener.close()
    seen = []

    def process_exception(exc):
        seen.append(exc)
        return None if len(seen) < 3 else ValueError("that's enough")

    options = {
        "process_exception": process_exception,
        "reconnect_delays": lambda: iter([0] * 9),
    }
    with pytest.raises(ValueError, match="that's enough"):
        driver.iterate(raw_server.uri, options, lambda end: True).result(TIMEOUT)
    assert [isinstance(exc, OSError) for exc in seen] == [True] * 3


def test_port_where_nobody_listens_is_a_network_error(driver, raw_server):
    raw_server.listener.close()
    with pytest.raises(OSError, match=r"refused|failed|could not connect"):
        driver.connect(raw_server.uri)
