"""What is installed is ours, from the wheels that were just built, and says so correctly.

The public index has another ``websockets``, which would do for most other tests.
"""

import importlib
import importlib.metadata
import re
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])

# What each distribution requires: always, and for its extras. The floors of siblings change; that
# they are right is for `nox -s versions` and the rows of `lowest`.
REQUIREMENTS = {
    "ws-protocol": ["zlib-ng>=0.5; extra == 'zlib-ng'"],
    "ws-auth": ["ws-protocol<2,>=FLOOR"],
    "ws-asyncio": [
        "ws-auth<2,>=FLOOR",
        "ws-protocol<2,>=FLOOR",
        "werkzeug>=3.0; extra == 'router'",
        "python-socks[asyncio]>=2.8; extra == 'socks'",
        "uvloop>=0.21; (sys_platform != 'win32') and extra == 'uvloop'",
    ],
    "ws-legacy": ["ws-auth<2,>=FLOOR", "ws-protocol<2,>=FLOOR"],
    "ws-threading": [
        "ws-auth<2,>=FLOOR",
        "ws-protocol<2,>=FLOOR",
        "werkzeug>=3.0; extra == 'router'",
        "python-socks>=3; extra == 'socks'",
    ],
    "ws-trio": [
        "trio>=0.27",
        "ws-auth<2,>=FLOOR",
        "ws-protocol<2,>=FLOOR",
        "werkzeug>=3.0; extra == 'router'",
        "python-socks[trio]>=2.8; extra == 'socks'",
    ],
    "websockets": [
        "ws-asyncio<2,>=FLOOR",
        "ws-auth<2,>=FLOOR",
        "ws-legacy<2,>=FLOOR",
        "ws-protocol<2,>=FLOOR",
        "ws-threading<2,>=FLOOR",
        "ws-asyncio[router]<2,>=FLOOR; extra == 'router'",
        "ws-threading[router]<2,>=FLOOR; extra == 'router'",
        "ws-asyncio[socks]<2,>=FLOOR; extra == 'socks'",
        "ws-threading[socks]<2,>=FLOOR; extra == 'socks'",
        "ws-trio<2,>=FLOOR; extra == 'trio'",
    ],
}


@pytest.fixture(params=REQUIREMENTS)
def distribution(request):
    """Name of a distribution."""
    return request.param


@pytest.fixture
def package(distribution):
    """Name of what it has to import."""
    return distribution.replace("-", "_")


@pytest.fixture
def metadata(distribution):
    """What it says about itself."""
    return importlib.metadata.metadata(distribution)


@pytest.fixture
def wheel(wheels, package):
    """The wheel that was built."""
    (path,) = wheels.glob(f"{package}-*.whl")
    with zipfile.ZipFile(path) as wheel:
        yield wheel


def test_package_is_imported_from_where_it_is_installed(package):
    path = Path(importlib.import_module(package).__file__)
    assert path.parent == SITE_PACKAGES / package
    # Links to the source tree would be a different thing.
    assert path.resolve() == SITE_PACKAGES.resolve() / package / "__init__.py"


def test_package_belongs_to_this_distribution_alone(distribution, package):
    assert importlib.metadata.packages_distributions()[package] == [distribution]


def test_installed_files_are_those_of_the_wheel(wheel, distribution, package):
    expected = {name: wheel.read(name) for name in wheel.namelist() if name.startswith(package)}
    # The installer writes this one.
    (record,) = (name for name in expected if name.endswith(".dist-info/RECORD"))
    del expected[record]
    installed = {name: (SITE_PACKAGES / name).read_bytes() for name in expected}
    assert installed == expected
    modules = {
        path.relative_to(SITE_PACKAGES).as_posix()
        for path in (SITE_PACKAGES / package).rglob("*.py")
    }
    assert modules == {name for name in expected if name.endswith(".py")}


def test_wheel_has_the_package_and_nothing_else(wheel, package):
    version = importlib.import_module(f"{package}._version").__version__
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert folders == {package, f"{package}-{version}.dist-info"}
    suffixes = {Path(name).suffix for name in wheel.namelist() if name.startswith(f"{package}/")}
    assert suffixes == {".py", ".typed"}


def test_wheel_has_the_source_of_this_tree(wheel, distribution, package):
    source = ROOT / "packages" / distribution / "src"
    expected = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in (source / package).rglob("*.py")
    }
    assert {name: wheel.read(name) for name in wheel.namelist() if name.endswith(".py")} == expected


def test_wheel_has_the_license(wheel, distribution, metadata):
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata.get_all("License-File") == ["LICENSE"]
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_package_is_marked_as_typed(wheel, package):
    assert f"{package}/py.typed" in wheel.namelist()
    assert (SITE_PACKAGES / package / "py.typed").is_file()


def test_version_is_the_same_everywhere(metadata, distribution, package):
    version = importlib.import_module(f"{package}._version").__version__
    assert metadata["Version"] == version
    # The major version of websockets says which API its names are of: here, the original one.
    assert version.partition(".")[0] == ("13" if distribution == "websockets" else "1")


def test_requirements_are_the_documented_ones(distribution):
    requirements = importlib.metadata.requires(distribution) or []
    assert [
        re.sub(r"<2,>=[0-9.]+", "<2,>=FLOOR", requirement) for requirement in requirements
    ] == REQUIREMENTS[distribution]


def test_extras_are_the_documented_ones(distribution, metadata):
    extras = {
        "websockets": ["router", "socks", "trio"],
        "ws-asyncio": ["router", "socks", "uvloop"],
        "ws-protocol": ["zlib-ng"],
        "ws-threading": ["router", "socks"],
        "ws-trio": ["router", "socks"],
    }
    assert metadata.get_all("Provides-Extra") == extras.get(distribution)


def test_metadata_describes_the_distribution(metadata, distribution):
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = ROOT / "packages" / distribution / "README.md"
    assert metadata.get_payload() == readme.read_text(encoding="utf-8")
    classifiers = metadata.get_all("Classifier")
    assert "Typing :: Typed" in classifiers
    versions = {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)}
    assert versions <= set(classifiers)
