"""What the suite shares: who is on which side, and connections between them.

A test with both ``client_driver`` and ``server_driver`` runs for every pair of packages, one with
``driver`` for every package. Fixtures that need them count, too. The table in the documentation
says what packages have: a test that is marked with one of its rows runs for those that have it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import ssl
import threading
from concurrent.futures import Future

import pytest
import trustme

from .driver import TIMEOUT, End
from .drivers.on_asyncio import AsyncioDriver
from .drivers.on_legacy import LegacyDriver
from .drivers.on_threading import ThreadingDriver
from .drivers.on_trio import TrioDriver
from .features import read_features
from .raw import Proxy, RawServer, connect_raw

DRIVERS = {
    driver.name: driver for driver in (AsyncioDriver, ThreadingDriver, TrioDriver, LegacyDriver)
}


def pytest_generate_tests(metafunc):
    """Run a test for all packages that have its feature."""
    names = list(DRIVERS)
    for marker in metafunc.definition.iter_markers("feature"):
        packages = read_features()[marker.args[0]]
        names = [name for name in names if name in packages]
    for fixture in ("client_driver", "server_driver", "driver"):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, names, indirect=True)


# Who is on which side


@pytest.fixture(scope="session")
def get_driver():
    """Return a function that returns the driver of a package."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def get_driver(name):
            driver = DRIVERS[name]()
            stack.callback(driver.quit)
            return driver

        yield get_driver


@pytest.fixture
def client_driver(request, get_driver):
    """Drives the client."""
    return get_driver(request.param)


@pytest.fixture
def server_driver(request, get_driver):
    """Drives the server."""
    return get_driver(request.param)


@pytest.fixture
def driver(request, get_driver):
    """Drives the only side, or both."""
    return get_driver(request.param)


# Cleanliness


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    """Hide the proxies that the environment configures."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def expected_errors(request, caplog):
    """Fail a test that leaves something behind, or logs an error that isn't in this list."""
    expected = []
    drivers = {
        request.getfixturevalue(name)
        for name in ("client_driver", "server_driver", "driver")
        if name in request.fixturenames
    }
    threads = set(threading.enumerate())
    yield expected
    for thread in set(threading.enumerate()) - threads:
        # These are kept for the next that has something to do.
        if not thread.name.startswith("Trio thread"):
            thread.join(TIMEOUT)
            assert not thread.is_alive(), f"{thread} is left"
    assert {driver.name: driver.leftovers() for driver in drivers} == {
        driver.name: [] for driver in drivers
    }
    errors = [record for record in caplog.get_records("call") if record.levelname == "ERROR"]
    assert [record.getMessage() for record in errors] == expected


# Connections


@pytest.fixture
def stack(expected_errors):
    """What is closed at the end of the test, before it is looked for what is left."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def accepted():
    """The ends of the server, in order."""
    return queue.SimpleQueue()


@pytest.fixture
def park(stack, accepted):
    """A connection handler that leaves the connection to the test."""
    ends = []
    released = threading.Event()

    def handler(end):
        ends.append(end)
        accepted.put(end)
        # Or it began afterwards.
        if not released.is_set():
            assert end.released.wait(TIMEOUT)

    def release():
        released.set()
        for end in ends:
            end.released.set()

    handler.release = release
    return handler


@pytest.fixture
def start_server(stack, park):
    """Return a function that runs a server until the test ends."""

    def start_server(driver, handler=park, **options):
        service = stack.enter_context(driver.serving(handler, **options))
        # First, let the handlers return.
        stack.callback(park.release)
        return service

    return start_server


@pytest.fixture
def start_client(stack):
    """Return a function that connects to a server, until the test ends."""

    def start_client(driver, uri=None, **options):
        end = driver.connect(uri, **options)
        stack.callback(end.close)
        return end

    return start_client


@pytest.fixture
def make_pair(client_driver, server_driver, start_server, start_client, accepted):
    """Return a function that makes a connection, and returns both ends: the client's first."""

    def make_pair(client_options=None, server_options=None):
        service = start_server(server_driver, **server_options or {})
        client = start_client(client_driver, service.uri(), **client_options or {})
        return client, accepted.get(timeout=TIMEOUT)

    return make_pair


@pytest.fixture
def pair(make_pair):
    """Both ends of a connection with default options: the client's first."""
    return make_pair()


@pytest.fixture(params=["client", "server"])
def make_ends(request, make_pair):
    """Return a function that makes a connection; it returns the end that acts, and the other."""

    def make_ends(acting_options=None, other_options=None):
        if request.param == "client":
            return make_pair(acting_options, other_options)
        return make_pair(other_options, acting_options)[::-1]

    return make_ends


@pytest.fixture
def ends(make_ends):
    """The end that acts, and the other, of a connection with default options."""
    return make_ends()


@pytest.fixture
def raw_server(stack):
    """A server on a plain socket."""
    server = RawServer()
    stack.callback(server.listener.close)
    return server


@pytest.fixture
def connect_to_raw(stack, raw_server):
    """Return a function that connects a client to the server on a plain socket."""

    def connect_to_raw(driver, **options):
        connecting: Future = driver.start_connecting(raw_server.uri, **options)
        peer = raw_server.accept()
        stack.callback(peer.sock.close)
        end = End(driver, connecting.result(TIMEOUT))
        stack.callback(end.close)
        # It doesn't answer by itself; so it leaves.
        stack.callback(peer.sock.close)
        return end, peer

    return connect_to_raw


@pytest.fixture(params=["client", "server"])
def meet(request, stack, driver, start_server, accepted, connect_to_raw):
    """Return a function that connects either side of a package with a raw peer."""

    def meet(**options):
        if request.param == "client":
            return connect_to_raw(driver, **options)
        peer = connect_raw(start_server(driver, **options))
        stack.callback(peer.sock.close)
        return accepted.get(timeout=TIMEOUT), peer

    return meet


# Networks


@pytest.fixture
def proxy(stack):
    """An HTTP proxy."""
    proxy = Proxy()
    stack.callback(proxy.close)
    return proxy


@pytest.fixture(scope="session")
def tls():
    """TLS contexts of the client and of the server."""
    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    return client, server
