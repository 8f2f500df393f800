"""What the documentation and the READMEs say is so: numbers and names are those of the code.

Code in them is run by the tests in test_blocks.py.
"""

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import websockets
import ws_asyncio
import ws_auth
import ws_protocol
from websockets._aliases import NAMES, Alias
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve
from ws_protocol import limits
from ws_protocol.state import TRANSITIONS, State, Transition

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
READMES = [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]


def read(path):
    """Return the text of a file."""
    return path.read_text(encoding="utf-8")


def test_links_in_readmes_lead_somewhere():
    files = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    links = {
        path: [link for link in re.findall(r"\]\(([^)]+)\)", read(path)) if "://" not in link]
        for path in files
    }
    assert links[ROOT / "README.md"]
    assert [
        (path, link)
        for path in files
        for link in links[path]
        if not (path.parent / link).resolve().exists()
    ] == []


def test_commands_of_nox_name_sessions_that_exist():
    noxfile = ast.parse(read(ROOT / "noxfile.py"))
    sessions = {node.name for node in noxfile.body if isinstance(node, ast.FunctionDef)}
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        named = re.findall(r"(?:nox|noxfile\.py) -s \"?([a-z]+)", read(path))
        assert named
        assert set(named) <= sessions


@pytest.mark.parametrize(
    "directory", sorted((ROOT / "packages").glob("*")), ids=lambda path: path.name
)
def test_changelog_tells_of_the_version_that_is_next(directory):
    version = importlib.metadata.version(directory.name)
    # Releases have their dates.
    heading = rf"^## {re.escape(version)}( \(\d{{4}}-\d\d-\d\d\))?$"
    assert re.search(heading, read(directory / "CHANGELOG.md"), re.MULTILINE) or list(
        (directory / "changelog.d").glob("*.md")
    )


# Limits


def read_rows(path):
    """Return the rows of the tables of a page, as lists of cells."""
    rows = []
    for block in re.findall(r"^   \* - (.*?)(?=^   \* - |^\S)", read(path) + ".", re.M | re.S):
        cells = re.split(r"^     -(?: |$)", block, flags=re.MULTILINE)
        rows.append([" ".join(cell.split()) for cell in cells])
    return rows


def read_limits():
    """Return the rows of the page about limits, by name."""
    rows = read_rows(DOCS / "reference" / "limits.rst")
    return {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("``")}


def read_number(text):
    """Return a number of the page about limits."""
    return float(text.replace(",", ""))


def test_page_lists_every_constant_with_its_number():
    numbers = {
        name: read_number(cells[0]) for name, cells in read_limits().items() if name.isupper()
    }
    assert numbers == {name: getattr(limits, name) for name in limits.__all__}


def test_page_lists_arguments_with_their_defaults():
    of_connections = [connect, serve]
    for name, cells in read_limits().items():
        if not name.isupper():
            functions = {"max_connections": [serve], "max_handshakes": [serve]}
            functions["max_buffer"] = [broadcast]
            for function in functions.get(name, of_connections):
                default = inspect.signature(function).parameters[name].default
                assert (None if cells[0] == "None" else read_number(cells[0])) == default


def test_page_lists_every_argument_that_is_a_limit():
    limited = re.compile("max_.*|.*_limit|.*_timeout|.*_interval")
    parameters = {
        name
        for function in [connect, serve, broadcast]
        for name in inspect.signature(function).parameters
        if limited.fullmatch(name)
    }
    assert parameters == {name for name in read_limits() if not name.isupper()}


def test_page_says_which_constants_environment_variables_set():
    names = [name for name, cells in read_limits().items() if cells[-1] == "yes"]
    # Neither fewer nor more than there are.
    variables = re.findall(r'"WEBSOCKETS_([A-Z_]+)"', inspect.getsource(limits))
    assert sorted(names) == sorted(variables)
    program = "from ws_protocol import limits\n" + "".join(
        f"assert limits.{name} == 7, {name!r}\n" for name in names
    )
    environment = {f"WEBSOCKETS_{name}": "7" for name in names}
    subprocess.run([sys.executable, "-c", program], env=os.environ | environment, check=True)


# Names


def find_modules(package):
    """Return the names of the public modules of a package."""
    return [
        module.name
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not any(part.startswith("_") for part in module.name.split("."))
    ]


@pytest.mark.parametrize("package", [ws_protocol, ws_auth, ws_asyncio], ids=lambda p: p.__name__)
def test_reference_has_a_page_for_every_module(package):
    directory = DOCS / "reference" / package.__name__.replace("_", "-")
    pages = {path.stem for path in directory.glob("*.rst")} - {"index"}
    modules = find_modules(package)
    assert pages == {module.partition(".")[2] for module in modules}
    index = read(directory / "index.rst")
    assert [module for module in modules if f":mod:`{module}`" not in index] == []


@pytest.mark.parametrize("package", [ws_protocol, ws_auth, ws_asyncio], ids=lambda p: p.__name__)
def test_reference_has_every_name_of_every_module(package):
    directory = DOCS / "reference" / package.__name__.replace("_", "-")
    missing = []
    for module in find_modules(package):
        page = read(directory / f"{module.partition('.')[2]}.rst")
        names = set(importlib.import_module(module).__all__)
        if f".. automodule:: {module}\n   :members:\n" in page:
            # All but those that it is told to leave out, and that stand somewhere else.
            names &= set(re.findall(r"\w+", "".join(re.findall(r":exclude-members: (.*)", page))))
        pages = "".join(read(path) for path in directory.glob("*.rst"))
        missing += [
            f"{module}.{name}"
            for name in names
            if not re.search(rf"auto\w+:: \w+(\.\w+)*\.{name}$", pages, re.MULTILINE)
            and module != "ws_protocol.extensions"  # names of ws_protocol.extensions.base
        ]
    assert missing == []


def test_page_about_exceptions_lists_every_exception_once():
    exceptions = importlib.import_module("ws_protocol.exceptions")
    rows = [row for row in read_rows(DOCS / "reference" / "exceptions.rst") if len(row) == 3]
    listed = [re.sub(r":exc:`~ws_protocol\.[a-z]+\.([A-Za-z]+)`", r"\1", row[0]) for row in rows]
    assert sorted(listed) == sorted(["Exception", *exceptions.__all__, "MultipleValuesError"])


def test_page_about_websockets_lists_import_paths_that_work():
    rows = read_rows(DOCS / "reference" / "websockets" / "index.rst")
    assert len(rows) > 10
    for alias, target in rows[1:]:
        module = importlib.import_module(alias.strip("`"))
        origins = [importlib.import_module(name) for name in re.findall(r":mod:`(.*?)`", target)]
        assert module.__all__
        for name in module.__all__:
            value = getattr(module, name)
            names = {name, value.__name__} if hasattr(value, "__name__") else {name}
            assert any(getattr(origin, name, None) is value for origin in origins for name in names)


# Tables that are made from the code


@pytest.fixture(scope="module")
def tables():
    """The module that makes them."""
    spec = importlib.util.spec_from_file_location("tables", DOCS / "_ext" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_table_has_a_header_and_rows(tables):
    assert tables.build_table(["a", "b"], [["1", "2"], ["3", ""]]) == (
        ".. list-table::\n"
        "   :header-rows: 1\n"
        "\n"
        "   * - a\n"
        "     - b\n"
        "   * - 1\n"
        "     - 2\n"
        "   * - 3\n"
        "     -\n"
    )


def test_table_of_transitions_tells_where_each_leads(tables):
    table = tables.build_transitions(
        {
            (State.OPEN, Transition.CLOSE_SENT): State.CLOSING,
            (State.CLOSING, Transition.CLOSE_SENT): State.CLOSING,
            (State.CLOSING, Transition.EOF_RECEIVED): State.CLOSED,
        }
    )
    assert table == tables.build_table(
        ["", "in ``OPEN``", "in ``CLOSING``", "in ``CLOSED``"],
        [
            ["close frame sent", "→ ``CLOSING``", "stays", ""],
            ["end of stream received", "", "→ ``CLOSED``", ""],
        ],
    )


def test_table_of_transitions_has_all_states_and_transitions(tables):
    table = tables.build_transitions(TRANSITIONS)
    assert all(f"in ``{state.name}``" in table for state in State)
    assert all(f"* - {transition.value}\n" in table for transition in Transition)
    assert table.count("→") + table.count("stays") == len(TRANSITIONS)


def test_table_of_aliases_has_all_names(tables):
    table = tables.build_aliases(NAMES)
    names = re.findall(r"``(\w+)``", table)
    assert sorted(names) == sorted(websockets.__all__)


def test_table_of_aliases_says_where_names_lead(tables):
    table = tables.build_aliases(
        {
            "connect": Alias("ws_legacy.client", new="ws_asyncio.client"),
            "unix_connect": Alias("ws_legacy.client", new="ws_asyncio.client"),
            "InvalidStatusCode": Alias("ws_legacy.exceptions", instead="InvalidStatus"),
            "State": Alias("ws_protocol.protocol"),
        }
    )
    assert table == tables.build_table(
        ["module", "names", "new"],
        [
            [
                ":mod:`ws_legacy.client`",
                "``connect``, ``unix_connect``",
                ":mod:`ws_asyncio.client`",
            ],
            [":mod:`ws_legacy.exceptions`", "``InvalidStatusCode``", "none; use InvalidStatus"],
            [":mod:`ws_protocol.protocol`", "``State``", "the same"],
        ],
    )


def test_tables_of_a_benchmark_fit_the_page_and_say_whose_figures_they_are(tables):
    table = tables.build_benchmark([(["As a client", "ours", "peer"], [["stream", "1 µs", "-"]])])
    assert table == tables.build_table(
        ["As a client", "this project", "peer"],
        [["stream", "1 µs", ""]],
        ":class: wide",
        ":widths: 30 12 12",
    )
    assert "\n   :class: wide\n   :widths: 30 12 12\n\n" in table
