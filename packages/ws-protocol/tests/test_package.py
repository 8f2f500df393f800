import importlib
import importlib.resources
import inspect
import pkgutil
import re
import subprocess
import sys

import pytest

import ws_protocol
from ws_protocol._version import __version__

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(ws_protocol.__path__, "ws_protocol.")
)
PUBLIC_MODULES = [name for name in MODULES if "._" not in name]

# What does I/O, waits or knows the time; and what is large, for those who need the protocol only.
FORBIDDEN = [
    "_socket",
    "asyncio",
    "concurrent.futures",
    "email",
    "http.client",
    "multiprocessing",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "trio",
    "urllib.request",
]


def run(code):
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_version_is_a_release_in_three_parts():
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_modules_are_found():
    assert {"ws_protocol.protocol", "ws_protocol.extensions.base"} < set(MODULES)


@pytest.mark.slow
@pytest.mark.skipif(
    sys.implementation.name == "pypy", reason="its modules secrets and uuid import what does I/O"
)
def test_no_module_imports_what_does_io():
    # Of what Python itself, or what is installed beside it, imports at startup, nothing is known.
    code = f"""
import importlib, sys
before = set(sys.modules)
for name in {MODULES!r}:
    importlib.import_module(name)
print(*sorted(({set(FORBIDDEN)!r} & set(sys.modules)) - before))
"""
    assert run(code) == []


@pytest.mark.slow
def test_every_module_can_be_imported_on_its_own():
    # Else an import that goes in a circle works or not, depending on what was imported before.
    code = f"""
import importlib, sys
for name in {MODULES!r}:
    importlib.import_module(name)
    for imported in [key for key in sys.modules if key.split(".")[0] == "ws_protocol"]:
        del sys.modules[imported]
print("done")
"""
    assert run(code) == ["done"]


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_name_in_all_is_there_once(name):
    module = importlib.import_module(name)
    for public in module.__all__:
        assert hasattr(module, public)
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_public_class_is_in_all(name):
    module = importlib.import_module(name)
    classes = {
        attribute
        for attribute, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == name and not attribute.startswith("_")
    }
    assert classes <= set(module.__all__)


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_star_import_gives_what_is_in_all(name):
    namespace = {}
    exec(f"from {name} import *", namespace)
    del namespace["__builtins__"]
    assert set(namespace) == set(importlib.import_module(name).__all__)


@pytest.mark.parametrize("name", ["ws_protocol", *MODULES])
def test_every_module_has_a_docstring(name):
    assert importlib.import_module(name).__doc__


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_public_class_and_function_has_a_docstring(name):
    module = importlib.import_module(name)
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, public
            # What dataclasses write for those without one.
            assert not value.__doc__.startswith(f"{public}("), public


def test_package_says_that_it_is_typed():
    assert (importlib.resources.files(ws_protocol) / "py.typed").is_file()


@pytest.mark.slow
def test_nothing_is_imported_when_a_request_is_answered():
    # It may not be possible any more: a process may have no file descriptors left, or be in a
    # sandbox that hides the files of Python.
    code = """
import sys
from ws_protocol.client import ClientProtocol
from ws_protocol.server import ServerProtocol, complete_response
from ws_protocol.uri import parse_uri
client = ClientProtocol(parse_uri("ws://localhost/"))
client.send_request(client.connect())
request = b"".join(client.data_to_send())
before = set(sys.modules)
server = ServerProtocol()
server.receive_data(request)
response = server.accept(server.events_received()[0])
complete_response(response, "Server")
server.send_response(response)
print(server.data_to_send() and server.state.name, *(set(sys.modules) - before))
"""
    assert run(code) == ["OPEN"]
