"""What is in ``websockets`` is what the other distributions define: the same objects."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import websockets
from websockets._aliases import NAMES, SUBMODULES

# Modules that are other modules by another name.
MODULES = {
    "websockets.asyncio.client": "ws_asyncio.client",
    "websockets.asyncio.connection": "ws_asyncio.connection",
    "websockets.asyncio.router": "ws_asyncio.router",
    "websockets.asyncio.server": "ws_asyncio.server",
    "websockets.datastructures": "ws_protocol.datastructures",
    "websockets.exceptions": "ws_protocol.exceptions",
    "websockets.extensions": "ws_protocol.extensions",
    "websockets.extensions.base": "ws_protocol.extensions.base",
    "websockets.extensions.permessage_deflate": "ws_protocol.extensions.permessage_deflate",
    "websockets.frames": "ws_protocol.frames",
    "websockets.headers": "ws_protocol.headers",
    "websockets.http11": "ws_protocol.http11",
    "websockets.protocol": "ws_protocol.protocol",
    "websockets.proxy": "ws_protocol.proxy",
    "websockets.typing": "ws_protocol.typing",
    "websockets.uri": "ws_protocol.uri",
}

# Modules that have a selection, and where it is from.
SELECTIONS = {
    "websockets.client": {
        "ClientProtocol": "ws_protocol.client",
        "backoff": "ws_protocol.client",
        "process_exception": "ws_protocol.client",
    },
    "websockets.server": {"ServerProtocol": "ws_protocol.server"},
    "websockets.utils": {
        "accept_key": "ws_protocol.handshake",
        "apply_mask": "ws_protocol.masking",
    },
}

# Modules that other tests are about.
OTHERS = {
    "websockets._aliases",
    "websockets._version",
    "websockets.asyncio",
    "websockets.connection",
    "websockets.version",
}


def run_python(program: str) -> str:
    """Run a program in a Python of its own, and return what it prints."""
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# The names of the package


@pytest.mark.parametrize("name, home", NAMES.items(), ids=NAMES)
def test_name_is_the_object_at_home(name, home):
    assert getattr(websockets, name) is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize("name", NAMES)
def test_home_makes_its_name_public(name):
    assert name in importlib.import_module(NAMES[name]).__all__


def test_all_has_each_name_once():
    assert sorted(websockets.__all__) == sorted(NAMES)


def test_star_import_gives_all_names():
    namespace = {}
    exec("from websockets import *", namespace)
    assert {name: namespace.get(name) for name in NAMES} == {
        name: getattr(websockets, name) for name in NAMES
    }


def test_dir_lists_names_and_submodules():
    assert {*NAMES, *SUBMODULES, "__version__"} <= set(dir(websockets))


def test_looking_at_every_attribute_warns_of_nothing():
    # And it works without the optional dependencies, which aren't installed here. Warnings are
    # errors.
    assert dict(inspect.getmembers(websockets)).keys() == set(dir(websockets))


@pytest.mark.parametrize("package", ["websockets", "websockets.asyncio"])
def test_unknown_name_raises_attribute_error(package):
    module = importlib.import_module(package)
    with pytest.raises(AttributeError) as raised:
        module.Unknown  # noqa: B018
    assert str(raised.value) == f"module '{package}' has no attribute 'Unknown'"
    assert not hasattr(module, "unknown")


def test_importing_an_unknown_name_raises_import_error():
    with pytest.raises(ImportError, match="cannot import name 'Unknown' from 'websockets'"):
        from websockets import Unknown  # noqa: F401


def test_name_can_be_replaced_and_restored(monkeypatch):
    replacement = object()
    with monkeypatch.context() as patch:
        patch.setattr("websockets.State", replacement)
        assert websockets.State is replacement
    assert websockets.State is importlib.import_module("ws_protocol.protocol").State


# What type checkers see


def type_checking_imports(module):
    """Return what a module imports for type checkers: pairs of name and module, or None."""
    tree = ast.parse(inspect.getsource(module))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return [(alias.name, statement.module) for statement in block.body for alias in statement.names]


def test_type_checkers_see_the_names_of_the_table():
    imports = type_checking_imports(websockets)
    assert len(imports) == len(dict(imports))
    assert {name: home for name, home in imports if home is not None} == NAMES
    assert {name for name, home in imports if home is None} == SUBMODULES


def test_type_checkers_see_the_modules_of_asyncio():
    seen = {name for name, home in type_checking_imports(websockets.asyncio)}
    assert seen == {info.name for info in pkgutil.iter_modules(websockets.asyncio.__path__)}


# The modules


def test_every_module_is_tested():
    found = {info.name for info in pkgutil.walk_packages(websockets.__path__, "websockets.")}
    assert found == MODULES.keys() | SELECTIONS.keys() | OTHERS


@pytest.mark.parametrize("module, home", MODULES.items(), ids=MODULES)
def test_module_has_the_objects_of_its_home(module, home):
    alias, original = importlib.import_module(module), importlib.import_module(home)
    assert alias.__all__ is original.__all__
    assert alias.__doc__
    for name in original.__all__:
        assert getattr(alias, name) is getattr(original, name)


@pytest.mark.parametrize("module, names", SELECTIONS.items(), ids=SELECTIONS)
def test_module_has_objects_of_their_homes(module, names):
    alias = importlib.import_module(module)
    for name, home in names.items():
        assert getattr(alias, name) is getattr(importlib.import_module(home), name)
    assert set(alias.__all__) <= names.keys()


# Importing


def test_import_of_package_imports_next_to_nothing():
    program = "import sys, websockets; print(*sys.modules)"
    imported = set(run_python(program).split())
    assert "websockets" in imported
    assert not imported & {
        *("asyncio", "http", "logging", "socket", "ssl", "zlib"),
        *("werkzeug", "ws_asyncio", "ws_auth", "ws_legacy", "ws_protocol"),
    }


def test_import_of_protocol_imports_no_io():
    program = "import sys, websockets.client, websockets.server; print(*sys.modules)"
    imported = set(run_python(program).split())
    assert "ws_protocol" in imported
    assert not imported & {"asyncio", "socket", "ssl", "ws_asyncio", "ws_auth", "ws_legacy"}


@pytest.mark.parametrize(
    "module",
    sorted(
        {
            *(f"websockets.{name}" for name in SUBMODULES),
            *(name for name in MODULES if name.startswith("websockets.asyncio.")),
        }
    ),
)
def test_module_is_there_without_being_imported(module):
    program = f"import websockets; print({module}.__name__)"
    assert run_python(program) == f"{module}\n"


@pytest.mark.parametrize("module", sorted(MODULES.keys() | SELECTIONS.keys()))
def test_module_can_be_imported_first(module):
    # Whatever the order in which modules are imported, there is no circular import.
    assert run_python(f"import {module}; print({module}.__name__)") == f"{module}\n"


def test_package_is_marked_as_typed():
    assert Path(websockets.__file__).with_name("py.typed").is_file()
