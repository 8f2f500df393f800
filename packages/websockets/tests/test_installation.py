"""A torn installation is told when ``websockets`` is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

import websockets
from websockets._installation import check, find_misfit


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that lays a distribution out as an installer does; return its package."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name, version, *requirements, metadata=True):
        package = tmp_path / name.replace("-", "_")
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("raise AssertionError('imported')\n")
        (package / "_version.py").write_text(f'"""The version."""\n\n__version__ = "{version}"\n')
        if metadata:
            lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
            lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
            directory = tmp_path / f"{package.name}-{version}.dist-info"
            directory.mkdir()
            text = "\n".join([*lines, "", "Requires-Dist: ws-words<1"])
            (directory / "METADATA").write_text(text)
        return str(package)

    return install


def test_what_is_installed_here_belongs_together():
    assert find_misfit("websockets", websockets.__path__[0]) is None


def test_distributions_that_fit_are_fine(install):
    install("ws-torn-one", "1.5.0", "ws-torn-two<2,>=1.0.0", "h11>=1")
    install("ws-torn-two", "1.0.0")
    directory = install("torn", "13.2.0", "ws-torn-one<2,>=1.5.0", "ws-torn-two<2,>=1.0.0")
    check("torn", directory)


@pytest.mark.parametrize("version", ["0.9.0", "1.4.9", "2.0.0", "3.1.0"])
def test_sibling_out_of_range_is_told(install, version):
    install("ws-torn-one", version)
    directory = install("torn", "13.2.0", "ws-torn-one<2,>=1.5.0")
    with pytest.raises(ImportError) as excinfo:
        check("torn", directory)
    assert str(excinfo.value) == (
        f"torn 13.2.0 needs ws-torn-one<2,>=1.5.0, but {version} is installed; "
        "to repair that: pip install --upgrade torn"
    )


@pytest.mark.parametrize("version", ["1.5.0", "1.5.1", "1.10.0", "1.6.0rc1"])
def test_versions_are_compared_by_their_numbers(install, version):
    install("ws-torn-one", version)
    check("torn", install("torn", "13.2.0", "ws-torn-one<2,>=1.5.0"))


def test_siblings_of_siblings_are_looked_at(install):
    install("ws-torn-one", "1.5.0", "ws-torn-two<2,>=1.5.0")
    install("ws-torn-two", "1.4.0")
    directory = install("torn", "13.2.0", "ws-torn-one<2,>=1.0.0", "ws-torn-two<2,>=1.0.0")
    misfit = find_misfit("torn", directory)
    assert misfit == "ws-torn-one 1.5.0 needs ws-torn-two<2,>=1.5.0, but 1.4.0 is installed"


def test_what_an_extra_requires_has_to_fit_if_it_is_there(install):
    requirement = "ws-torn-one[socks] <2, >=1.5.0; extra == 'one'"
    directory = install("torn", "13.2.0", requirement)
    assert find_misfit("torn", directory) is None
    install("ws-torn-one", "1.4.0")
    assert "but 1.4.0 is installed" in find_misfit("torn", directory)


def test_distribution_without_metadata_is_believed(install):
    directory = install("torn", "13.2.0", metadata=False)
    assert find_misfit("torn", directory) is None


def test_bounds_of_other_kinds_are_left_to_installers(install):
    install("ws-torn-one", "1.4.0")
    check("torn", install("torn", "13.2.0", "ws-torn-one!=1.4.0,<=1.0,~=9.0", "ws-torn-one"))


def test_package_that_is_imported_already_is_not_looked_for(install, monkeypatch, tmp_path):
    install("ws-torn-one", "1.4.0")
    module = type(sys)("ws_torn_one")
    module.__path__ = [str(tmp_path / "ws_torn_one")]
    monkeypatch.setitem(sys.modules, "ws_torn_one", module)
    assert find_misfit("torn", install("torn", "13.2.0", "ws-torn-one>=1.5.0")) is not None


def test_module_that_is_no_package_has_no_version(install, tmp_path):
    (tmp_path / "ws_torn_one.py").touch()
    check("torn", install("torn", "13.2.0", "ws-torn-one>=1.5.0"))


def test_import_of_websockets_fails_with_one_line(tmp_path):
    # What is in the first directory hides what is installed.
    (tmp_path / "ws_protocol").mkdir()
    (tmp_path / "ws_protocol" / "__init__.py").touch()
    (tmp_path / "ws_protocol" / "_version.py").write_text('__version__ = "0.1.0"\n')
    source = Path(websockets.__path__[0])
    if not source.with_name(f"websockets-{websockets.__version__}.dist-info").exists():
        pytest.skip("websockets has no metadata beside it: it is an editable installation")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import websockets"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith("ImportError: websockets ")
    assert last.endswith(" is installed; to repair that: pip install --upgrade websockets")


def test_check_imports_neither_siblings_nor_what_is_slow():
    program = "import sys, websockets; print(*sys.modules)"
    command = [sys.executable, "-I", "-c", program]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    modules = set(run.stdout.split())
    assert "websockets._installation" in modules
    assert not modules & {"ws_protocol", "ws_asyncio", "importlib.metadata", "email"}
