import importlib.resources
import re

import ws_auth


def test_every_public_name_is_there():
    assert all(hasattr(ws_auth, name) for name in ws_auth.__all__)


def test_version_is_one_of_semantic_versioning():
    assert re.fullmatch(r"\d+\.\d+\.\d+", ws_auth.__version__)


def test_package_is_typed():
    assert importlib.resources.files(ws_auth).joinpath("py.typed").is_file()
