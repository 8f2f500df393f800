import importlib.metadata
from pathlib import Path

import ws_legacy


def test_version_is_that_of_the_distribution():
    assert ws_legacy.__version__ == importlib.metadata.version("ws-legacy")


def test_all_names_exist():
    namespace = {}
    exec("from ws_legacy import *", namespace)
    assert set(ws_legacy.__all__) <= namespace.keys()


def test_package_is_marked_as_typed():
    assert Path(ws_legacy.__file__).with_name("py.typed").is_file()
