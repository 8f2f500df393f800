import importlib.resources
import re
import subprocess
import sys

import pytest

import ws_trio


def test_every_public_name_is_there():
    assert all(hasattr(ws_trio, name) for name in ws_trio.__all__)


def test_version_is_one_of_semantic_versioning():
    assert re.fullmatch(r"\d+\.\d+\.\d+", ws_trio.__version__)


def test_package_is_typed():
    assert importlib.resources.files(ws_trio).joinpath("py.typed").is_file()


@pytest.mark.slow
def test_optional_dependencies_are_not_imported_before_they_are_used():
    program = (
        "import sys, ws_trio\nassert not {'asyncio', 'python_socks', 'werkzeug'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
