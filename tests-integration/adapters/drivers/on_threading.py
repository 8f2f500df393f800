"""Drives ws-threading: every call has a thread of its own."""

from __future__ import annotations

import contextlib

import ws_threading.client
import ws_threading.router
import ws_threading.server

from ..driver import TIMEOUT, Driver, End, start_in_thread


class ThreadingDriver(Driver):
    name = "ws-threading"
    client = ws_threading.client
    server = ws_threading.server
    router = ws_threading.router

    def start(self, function, *args, **kwargs):
        return start_in_thread(function, *args, **kwargs)

    def start_within(self, seconds, function):
        return start_in_thread(function, timeout=seconds)

    def open(self, connector):
        return start_in_thread(connector)

    def use(self, connector, body):
        def use():
            with connector() as connection:
                body(End(self, connection))

        return start_in_thread(use)

    def iterate(self, uri, options, body):
        def iterate():
            connector = self.client.reconnect(uri, **self.client_options(**options))
            with contextlib.closing(iter(connector)) as connections:
                for connection in connections:
                    if body(End(self, connection)):
                        break

        return start_in_thread(iterate)

    def collect(self, iterable):
        return start_in_thread(list, iterable)

    def ping(self, connection, data):
        def ping():
            assert connection.ping(data).wait(TIMEOUT)
            return connection.latency

        return start_in_thread(ping)

    def listen(self, function, handler, *args, **options):
        if not args:
            args = "127.0.0.1", 0
        server = function(handler, *args, **options)
        start_in_thread(server.serve_forever)
        return server, server.socket.getsockname()

    def stop(self, server, **options):
        return start_in_thread(server.shutdown, **options)

    def adapt(self, handler):
        return lambda connection: handler(End(self, connection))

    def leftovers(self):
        # The suite itself looks for threads.
        return []

    def quit(self):
        pass
