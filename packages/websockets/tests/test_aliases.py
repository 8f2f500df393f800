"""What is in ``websockets`` is what the other distributions define: the same objects."""

import ast
import importlib
import importlib.util
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import websockets
import ws_asyncio
from websockets._aliases import MODULES, NAMES, SUBMODULES
from ws_protocol.frames import Opcode
from ws_protocol.protocol import Side, State

# Modules that are other modules by another name.
WHOLE_MODULES = {
    "websockets.asyncio.client": "ws_asyncio.client",
    "websockets.asyncio.connection": "ws_asyncio.connection",
    "websockets.asyncio.router": "ws_asyncio.router",
    "websockets.asyncio.server": "ws_asyncio.server",
    "websockets.auth": "ws_legacy.auth",
    "websockets.datastructures": "ws_protocol.datastructures",
    "websockets.extensions": "ws_protocol.extensions",
    "websockets.extensions.base": "ws_protocol.extensions.base",
    "websockets.extensions.permessage_deflate": "ws_protocol.extensions.permessage_deflate",
    "websockets.frames": "ws_protocol.frames",
    "websockets.headers": "ws_protocol.headers",
    "websockets.http11": "ws_protocol.http11",
    "websockets.legacy.auth": "ws_legacy.auth",
    "websockets.legacy.client": "ws_legacy.client",
    "websockets.legacy.exceptions": "ws_legacy.exceptions",
    "websockets.legacy.framing": "ws_legacy.framing",
    "websockets.legacy.handshake": "ws_legacy.handshake",
    "websockets.legacy.http": "ws_legacy.http",
    "websockets.legacy.protocol": "ws_legacy.protocol",
    "websockets.legacy.server": "ws_legacy.server",
    "websockets.protocol": "ws_protocol.protocol",
    "websockets.proxy": "ws_protocol.proxy",
    "websockets.sync.client": "ws_threading.client",
    "websockets.sync.connection": "ws_threading.connection",
    "websockets.sync.router": "ws_threading.router",
    "websockets.sync.server": "ws_threading.server",
    "websockets.trio.client": "ws_trio.client",
    "websockets.trio.connection": "ws_trio.connection",
    "websockets.trio.router": "ws_trio.router",
    "websockets.trio.server": "ws_trio.server",
    "websockets.typing": "ws_protocol.typing",
    "websockets.uri": "ws_protocol.uri",
}

# Where the names of each module are at home, from the table and for those that need none.
SELECTIONS = {
    **{
        module: {name: (alias.home, alias.name or name) for name, alias in names.items()}
        for module, names in MODULES.items()
    },
    "websockets.utils": {
        "accept_key": ("ws_protocol.handshake", "accept_key"),
        "apply_mask": ("ws_protocol.masking", "apply_mask"),
    },
}
SELECTIONS["websockets.exceptions"] |= {
    name: ("ws_protocol.exceptions", name)
    for name in importlib.import_module("ws_protocol.exceptions").__all__
}

# Those of them whose import warns.
WARN = {"websockets.http"}

# Modules that other tests are about.
OTHERS = {
    "websockets.__main__",
    "websockets._aliases",
    "websockets._installation",
    "websockets._terminal",
    "websockets._version",
    "websockets.asyncio",
    "websockets.cli",
    "websockets.connection",
    "websockets.legacy",
    "websockets.sync",
    "websockets.trio",
    "websockets.version",
}


def run_python(program: str) -> str:
    """Run a program in a Python of its own, and return what it prints."""
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# The names of the package


@pytest.mark.parametrize("name, alias", NAMES.items(), ids=NAMES)
def test_name_is_the_object_at_home(name, alias):
    home = importlib.import_module(alias.home)
    assert getattr(websockets, name) is getattr(home, alias.name or name)


@pytest.mark.parametrize("name, alias", NAMES.items(), ids=NAMES)
def test_homes_make_the_name_public(name, alias):
    assert (alias.name or name) in importlib.import_module(alias.home).__all__
    if alias.new:
        assert name in importlib.import_module(alias.new).__all__


@pytest.mark.parametrize("name", [name for name, alias in NAMES.items() if alias.instead])
def test_what_is_to_be_used_instead_exists(name):
    module, _, attribute = NAMES[name].instead.rpartition(".")
    if module:
        assert hasattr(importlib.import_module(module), attribute)


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


@pytest.mark.parametrize(
    "package",
    [
        "websockets",
        "websockets.asyncio",
        "websockets.client",
        "websockets.legacy",
        "websockets.sync",
    ],
)
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
    assert len({name for name, _ in imports}) == len(set(imports))
    homes = {(alias.name or name): alias.home for name, alias in NAMES.items()}
    assert {name: home for name, home in imports if home is not None} == homes
    assert {name for name, home in imports if home is None} == SUBMODULES


@pytest.mark.parametrize(
    "package", ["websockets.asyncio", "websockets.legacy", "websockets.sync", "websockets.trio"]
)
def test_type_checkers_see_the_modules_of_packages(package):
    package = importlib.import_module(package)
    seen = {name for name, home in type_checking_imports(package)}
    assert seen == {info.name for info in pkgutil.iter_modules(package.__path__)}
    assert seen <= set(dir(package))


@pytest.mark.parametrize("module", sorted(WHOLE_MODULES))
def test_type_checkers_see_that_names_are_exported(module):
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    exported = importlib.import_module(module).__all__
    # A name that is imported by itself hides the star import, and is private without an "as".
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == WHOLE_MODULES[module]:
            for alias in statement.names:
                assert alias.name not in exported or alias.asname == alias.name
    # It would give type checkers whatever they ask for.
    assert "__getattr__" not in [getattr(node, "name", None) for node in tree.body]


# The modules


def test_every_module_is_tested():
    found = {info.name for info in pkgutil.walk_packages(websockets.__path__, "websockets.")}
    assert found == WHOLE_MODULES.keys() | SELECTIONS.keys() | OTHERS


def test_modules_for_trio_say_which_extra_they_need(monkeypatch):
    for name in list(sys.modules):
        if name.startswith("websockets.trio"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ws_trio", None)
    with pytest.raises(ImportError) as raised:
        importlib.import_module("websockets.trio.client")
    assert str(raised.value) == (
        "websockets.trio requires ws-trio and trio: install websockets[trio]"
    )


@pytest.mark.parametrize("module, home", WHOLE_MODULES.items(), ids=WHOLE_MODULES)
def test_module_has_the_objects_of_its_home(module, home):
    alias, original = importlib.import_module(module), importlib.import_module(home)
    assert alias.__all__ is original.__all__
    assert alias.__doc__
    for name in original.__all__:
        assert getattr(alias, name) is getattr(original, name)


@pytest.mark.filterwarnings("ignore:Headers and MultipleValuesError were moved")
@pytest.mark.parametrize("module, names", SELECTIONS.items(), ids=SELECTIONS)
def test_module_has_objects_of_their_homes(module, names):
    alias = importlib.import_module(module)
    for name, (home, name_there) in names.items():
        assert getattr(alias, name) is getattr(importlib.import_module(home), name_there)
    assert set(alias.__all__) <= names.keys() <= {*dir(alias), *alias.__all__}


@pytest.mark.parametrize(
    "module, enum, prefix",
    [
        ("websockets.frames", Opcode, "OP_"),
        ("websockets.protocol", Side, ""),
        ("websockets.protocol", State, ""),
    ],
    ids=["opcodes", "sides", "states"],
)
def test_members_of_enums_have_their_earlier_names(module, enum, prefix):
    alias = importlib.import_module(module)
    for member in enum:
        assert getattr(alias, prefix + member.name) is member


# Which implementation


def run_with_aliases(value, program):
    """Run a program with the environment variable, and return the process."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | {"WEBSOCKETS_ALIASES": value},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "value, module", [("asyncio", "ws_asyncio.client"), ("legacy", "ws_legacy.client")]
)
def test_environment_chooses_the_implementation(value, module):
    process = run_with_aliases(value, "import websockets; print(websockets.connect.__module__)")
    assert (process.stdout, process.stderr) == (f"{module}\n", "")


def test_names_lead_to_the_new_implementation_where_it_has_them():
    program = (
        "import importlib, websockets\n"
        "from websockets._aliases import NAMES\n"
        "for name, alias in NAMES.items():\n"
        "    if not alias.instead:\n"
        "        home = importlib.import_module(alias.new or alias.home)\n"
        "        assert getattr(websockets, name) is getattr(home, alias.name or name)\n"
    )
    process = run_with_aliases("asyncio", program)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("name", [name for name, alias in NAMES.items() if alias.instead])
def test_name_without_a_counterpart_warns_and_stays(name):
    program = (
        "import warnings, websockets\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        f"    print(websockets.{name}.__module__)\n"
        "for warning in caught:\n"
        "    print(warning.category.__name__, warning.filename, warning.message)\n"
    )
    process = run_with_aliases("asyncio", program)
    alias = NAMES[name]
    message = f"websockets.{name} isn't in the new implementation; use {alias.instead}"
    assert process.stdout.splitlines() == [
        getattr(websockets, name).__module__,
        f"DeprecationWarning <string> {message}",
    ]


def test_star_import_of_the_new_implementation_warns_of_nothing():
    program = "import inspect, websockets\nfrom websockets import *\ninspect.getmembers(websockets)"
    process = run_with_aliases("asyncio", program)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("module", ["websockets.client", "websockets.server"])
def test_modules_lead_to_the_original_implementation_always(module):
    name = module.replace("websockets.client", "connect").replace("websockets.server", "serve")
    process = run_with_aliases("asyncio", f"import {module}; print({module}.{name}.__module__)")
    assert process.stdout.startswith("ws_legacy.")


def test_environment_with_a_wrong_value_is_an_error():
    process = run_with_aliases("new", "import websockets")
    assert process.returncode == 1
    assert process.stderr.endswith(
        "ValueError: environment variable WEBSOCKETS_ALIASES must be asyncio, for the new "
        "implementation, or legacy, for the original, which is the default; got 'new'\n"
    )


@pytest.fixture
def import_again(monkeypatch):
    """Return a function that returns the package as it is with the environment variable.

    It isn't the one that others import: what a program gets of that is tested above.
    """

    def import_again(value):
        monkeypatch.setenv("WEBSOCKETS_ALIASES", value)
        spec = importlib.util.spec_from_file_location("websockets", websockets.__file__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return import_again


def test_name_with_a_counterpart_leads_to_it(import_again):
    module = import_again("asyncio")
    assert module.connect is ws_asyncio.connect
    assert module.State is websockets.State


def test_name_without_a_counterpart_warns_whenever_it_is_used(import_again):
    module = import_again("asyncio")
    for _ in range(2):
        with pytest.warns(DeprecationWarning, match="WebSocketServer isn't in the new") as record:
            assert module.WebSocketServer is websockets.WebSocketServer
        assert record[0].filename == __file__


def test_name_without_a_counterpart_is_not_for_who_looks_at_all(import_again):
    module = import_again("asyncio")
    assert "WebSocketServer" not in module.__all__
    assert "WebSocketServer" not in dir(module)
    assert {"connect", "State"} <= set(dir(module)) & set(module.__all__)


def test_unknown_implementation_is_refused(import_again):
    with pytest.raises(ValueError, match=r"WEBSOCKETS_ALIASES must be asyncio, .* got 'new'"):
        import_again("new")


def test_original_implementation_can_be_chosen(import_again):
    module = import_again("legacy")
    assert module.connect is websockets.connect
    assert module.__all__ == websockets.__all__


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
            *(
                name
                for name in WHOLE_MODULES
                if name.startswith(
                    ("websockets.asyncio.", "websockets.legacy.", "websockets.sync.")
                )
            ),
        }
    ),
)
def test_module_is_there_without_being_imported(module):
    program = f"import websockets; print({module}.__name__)"
    assert run_python(program) == f"{module}\n"


@pytest.mark.parametrize("module", sorted((WHOLE_MODULES.keys() | SELECTIONS.keys()) - WARN))
def test_module_can_be_imported_first(module):
    # Whatever the order in which modules are imported, there is no circular import.
    assert run_python(f"import {module}; print({module}.__name__)") == f"{module}\n"


def test_package_is_marked_as_typed():
    assert Path(websockets.__file__).with_name("py.typed").is_file()
