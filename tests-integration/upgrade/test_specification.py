"""What the upgrade guide says, statement by statement, and the tests that show it.

Each runs what an application does on the original implementation, and on the new one after the
upgrade, and checks what the guide says of the difference.
"""

import ast
from pathlib import Path

import pytest

# File with tests: row of a table or statement of the guide: test.
ROWS = {
    # Deprecated APIs
    "test_deprecated.py": {
        "path argument of handlers": "test_path_argument_of_handlers",
        "path argument is unnecessary": "test_path_argument_of_handlers_is_unnecessary",
        "loop argument of connect() and serve()": "test_loop_argument",
        "legacy_recv argument of connect() and serve()": "test_legacy_recv_argument",
        "timeout argument of connect() and serve()": "test_timeout_argument",
        "klass argument of connect() and serve()": "test_klass_argument",
        "empty string in the origins argument of serve()": "test_empty_string_in_origins",
        "host, port, and secure attributes": "test_host_port_and_secure_attributes",
    },
    # Import paths
    "test_imports.py": {
        "connect() and serve() stand for unix_*()": "test_changes_apply_to_unix_sockets_too",
        "websockets.asyncio is new": "test_new_implementation_is_in_websockets_asyncio",
        "websockets.legacy is original": "test_original_implementation_is_in_websockets_legacy",
        "websockets.* is original": "test_aliases_in_websockets_are_of_the_original_implementation",
        "websockets.client, websockets.server": (
            "test_aliases_in_client_and_server_are_of_the_original_implementation"
        ),
        # Client APIs
        "connect() → asyncio.client.connect()": "test_connect",
        "unix_connect() → asyncio.client.unix_connect()": "test_unix_connect",
        "WebSocketClientProtocol → ClientConnection": "test_web_socket_client_protocol",
        # Server APIs
        "serve() → asyncio.server.serve()": "test_serve",
        "unix_serve() → asyncio.server.unix_serve()": "test_unix_serve",
        "WebSocketServer → Server": "test_web_socket_server",
        "WebSocketServerProtocol → ServerConnection": "test_web_socket_server_protocol",
        "broadcast() → asyncio.server.broadcast()": "test_broadcast",
        "BasicAuthWebSocketServerProtocol": "test_basic_auth_web_socket_server_protocol",
        "basic_auth_protocol_factory()": "test_basic_auth_protocol_factory",
    },
    # New features and improvements
    "test_features.py": {
        # Customizing automatic reconnection
        "original retried on any error": "test_original_retried_on_any_error",
        "network errors are retryable": "test_network_errors_are_retryable",
        "HTTP 500, 502, 503, 504 are retryable": "test_server_errors_are_retryable",
        "process_exception": "test_process_exception_customizes_what_is_retryable",
        "how to revert": "test_process_exception_reverts_to_retrying_on_any_error",
        # Tracking open connections
        "Server.connections": "test_connections_of_a_server",
        # Controlling UTF-8 decoding
        "recv(decode=False)": "test_text_without_decoding",
        "recv(decode=True)": "test_binary_with_decoding",
        # Receiving fragmented messages
        "recv_streaming()": "test_fragmented_messages_frame_by_frame",
        "large messages": "test_fragments_are_received_before_the_message_is_complete",
    },
    # API changes: attributes of connection objects
    "test_attributes.py": {
        "path → request.path": "test_path",
        "request_headers → request.headers": "test_request_headers",
        "response_headers → response.headers": "test_response_headers",
        "extensions attribute": "test_extensions",
        "open → state is State.OPEN": "test_open",
        "closed → state is State.CLOSED": "test_closed",
        "handle ConnectionClosed": "test_exceptions_instead_of_open_and_closed",
    },
    # API changes: arguments, and customizing the opening handshake
    "test_arguments.py": {
        # Arguments of connect()
        "extra_headers → additional_headers": "test_extra_headers_becomes_additional_headers",
        # Arguments of serve()
        "ws_handler → handler": "test_ws_handler_becomes_handler",
        "process_request": "test_process_request",
        "process_request: function or coroutine": (
            "test_process_request_may_be_a_function_or_a_coroutine"
        ),
        "process_request: connection": "test_connection_is_available_in_process_request",
        "process_request: path and headers": "test_path_and_headers_are_attributes_of_the_request",
        "extra_headers → process_response": "test_extra_headers_becomes_process_response",
        "process_response: path and headers": (
            "test_extra_headers_callable_becomes_process_response"
        ),
        "process_response: connection, request, response": (
            "test_connection_request_and_response_are_available_in_process_response"
        ),
        "process_response: more flexibility": "test_process_response_may_replace_the_response",
        "select_subprotocol": "test_select_subprotocol",
        "select_subprotocol: connection": "test_connection_is_available_in_select_subprotocol",
        "1. connections without a subprotocol": (
            "test_server_with_subprotocols_rejects_connections_without"
        ),
        "2. several subprotocols": "test_server_picks_the_first_subprotocol_of_its_list",
        "select_subprotocol for rejecting": "test_select_subprotocol_for_rejecting_can_be_removed",
        # Arguments of connect() and serve()
        "max_queue in frames": "test_max_queue_is_in_messages_or_in_frames",
        "max_queue of connect()": "test_max_queue_of_clients",
        "max_queue defaults": "test_max_queue_defaults_to_32_messages_or_16_frames",
        "max_queue and recv_streaming()": "test_recv_streaming_needs_no_larger_max_queue",
        "read_limit": "test_read_limit_is_removed",
        "write_limit": "test_write_limit_defaults_to_32_kib",
        "create_protocol → create_connection": "test_create_protocol_becomes_create_connection",
    },
    # Performing HTTP Basic Authentication
    "test_basic_auth.py": {
        "credentials in the URI": "test_client_sends_the_credentials_of_the_uri",
        "first example": "test_basic_auth",
        "credentials": "test_several_credentials",
        "realm": "test_realm",
        "check_credentials": "test_check_credentials_coroutine",
        "check_credentials: function": "test_check_credentials_may_be_a_function",
        "type of connection objects": "test_type_of_connections",
        "ill-defined option": "test_process_request_argument_was_ill_defined",
        "cumbersome option": "test_subclass_in_create_protocol_was_cumbersome",
        "second example": "test_process_request_calls_basic_auth",
    },
}

DIRECTORY = Path(__file__).resolve().parent


@pytest.mark.parametrize("name", ROWS)
def test_each_row_has_its_test(name):
    tree = ast.parse((DIRECTORY / name).read_text(encoding="utf-8"))
    functions = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    tests = [function.name for function in functions if function.name.startswith("test_")]
    assert sorted(ROWS[name].values()) == sorted(tests)


def test_each_file_is_listed():
    names = {path.name for path in DIRECTORY.glob("test_*.py")}
    # Breakages are what our own guide adds.
    assert names == {*ROWS, "test_breakages.py", Path(__file__).name}
