"""Drives ws-legacy, whose options have other names, on an event loop in a thread."""

from __future__ import annotations

import ws_legacy.auth
import ws_legacy.client
import ws_legacy.server

from .on_asyncio import AsyncioDriver


class LegacyDriver(AsyncioDriver):
    name = "ws-legacy"
    client = ws_legacy.client
    server = ws_legacy.server
    router = None

    def refusal(self, exc):
        return exc.status_code, exc.headers

    def handshake(self, connection):
        return connection.path, connection.request_headers, connection.response_headers

    def client_options(self, *, additional_headers=None, **options):
        return {"extra_headers": additional_headers, **options}

    def server_options(self, responses=None, response_headers=None, credentials=None, **options):
        async def respond(path, request_headers):
            if path not in responses:
                return None
            status, headers, body = responses[path]
            return status, headers, body.encode()

        if responses is not None:
            options["process_request"] = respond
        if response_headers is not None:
            options["extra_headers"] = response_headers
        if credentials is not None:
            options["create_protocol"] = ws_legacy.auth.basic_auth_protocol_factory(
                realm="tests", credentials=credentials
            )
        return options
